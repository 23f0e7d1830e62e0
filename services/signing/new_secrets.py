"""The signing service's own secret, made offline before its first start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from services.runtime.clock import Randomness
from services.runtime.sealing import create_key
from services.runtime.secret_files import make_private_folder

# In the service's folder, unless the settings name another.
KEY_ENCRYPTION_KEY = "key-encryption.key"


def create_secrets(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write the service's folder (mode 0700) with a new key-encryption key (mode 0600)."""
    path = make_private_folder(folder) / KEY_ENCRYPTION_KEY
    create_key(path, now=now, randomness=randomness)
