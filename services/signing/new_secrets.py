"""The signing service's own secret, made offline before its first start."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

from services.runtime.clock import Randomness, uuid7
from services.runtime.secret_files import make_private_folder, write_secret
from services.signing.keys.sealing import KEY_BYTES, KeyEncryptionKey

# In the service's folder, unless the settings name another.
KEY_ENCRYPTION_KEY = "key-encryption.key"


def create_secrets(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write the service's folder (mode 0700) with a new key-encryption key (mode 0600)."""
    path = make_private_folder(folder) / KEY_ENCRYPTION_KEY
    secret = base64.b64encode(randomness(KEY_BYTES)).decode()
    write_secret(path, f"{uuid7(now, randomness)} {secret}\n".encode())
    # The service must be able to read what it will find.
    KeyEncryptionKey.load(path)
