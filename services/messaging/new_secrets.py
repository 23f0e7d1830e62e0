"""The messaging service's own secrets, made offline before its first start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from services.messaging.privacy.vault import KEY_BYTES, SecretKey
from services.runtime.clock import Randomness, uuid7
from services.runtime.secret_files import make_private_folder, write_secret

# In the service's folder, unless the settings name others.
MESSAGE_KEY, LOOKUP_KEY = "message.key", "lookup.key"


def create_secrets(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write the service's folder (mode 0700) with new message and lookup keys (mode 0600)."""
    make_private_folder(folder)
    for name in (MESSAGE_KEY, LOOKUP_KEY):
        key = SecretKey(str(uuid7(now, randomness)), randomness(KEY_BYTES))
        write_secret(folder / name, key.to_line())
        # The service must be able to read what it will find.
        SecretKey.load(folder / name)
