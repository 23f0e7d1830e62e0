"""The registry's own secrets, made offline before its first start."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.registry.contents.packs import WrappingKey
from services.runtime.clock import Randomness, uuid7
from services.runtime.secret_files import make_private_folder, write_secret

# In the registry's folder, unless the settings name others.
CONTENT_KEY, LOG_KEY = "content.key", "log.key"
CONTENT_KEY_BYTES = 32


def create_secrets(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write the registry's folder (mode 0700) with a new content key and log key (mode 0600)."""
    make_private_folder(folder)
    secret = base64.b64encode(randomness(CONTENT_KEY_BYTES)).decode()
    line = f"{uuid7(now, randomness)} {secret}\n"
    # The registry must be able to read what it will find.
    WrappingKey.parse(line)
    write_secret(folder / CONTENT_KEY, line.encode())
    log_key = Ed25519PrivateKey.generate()
    write_secret(
        folder / LOG_KEY,
        log_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
