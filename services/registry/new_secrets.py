"""The registry's own secrets, made offline before its first start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.runtime.clock import Randomness
from services.runtime.sealing import create_key
from services.runtime.secret_files import make_private_folder, write_secret

# In the registry's folder, unless the settings name others.
CONTENT_KEY, LOG_KEY = "content.key", "log.key"


def create_secrets(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write the registry's folder (mode 0700) with a new content key and log key (mode 0600)."""
    make_private_folder(folder)
    create_key(folder / CONTENT_KEY, now=now, randomness=randomness)
    log_key = Ed25519PrivateKey.generate()
    write_secret(
        folder / LOG_KEY,
        log_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
