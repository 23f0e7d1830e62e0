"""The requests service's own secrets, made offline before its first start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from services.runtime.clock import Randomness
from services.runtime.sealing import create_key
from services.runtime.secret_files import make_private_folder

# In the service's folder, unless the settings name another.
TEXT_KEY = "text.key"


def create_secrets(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write the service's folder (mode 0700) with a new text key (mode 0600).

    A key that is there stays: another would not open what it has sealed.
    """
    make_private_folder(folder)
    if not (folder / TEXT_KEY).exists():
        create_key(folder / TEXT_KEY, now=now, randomness=randomness)
