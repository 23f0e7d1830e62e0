"""The messaging service's own secrets, made offline before its first start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from services.runtime.clock import Randomness
from services.runtime.sealing import create_key
from services.runtime.secret_files import make_private_folder

# In the service's folder, unless the settings name others.
MESSAGE_KEY, LOOKUP_KEY = "message.key", "lookup.key"


def create_secrets(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write the service's folder (mode 0700) with new message and lookup keys (mode 0600).

    Keys that are there stay: others would not open what they have sealed.
    """
    make_private_folder(folder)
    for name in (MESSAGE_KEY, LOOKUP_KEY):
        if not (folder / name).exists():
            create_key(folder / name, now=now, randomness=randomness)
