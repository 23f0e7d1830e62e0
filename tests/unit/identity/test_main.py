"""Identity does not start with another key than phone numbers are stored with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.identity.main import serve
from services.identity.new_secrets import Operator, Platform, create_secrets
from services.identity.phones.numbers import NUMBER_KEY, make_number_key
from services.identity.settings import IdentitySettings
from services.runtime.clock import system_clock, system_randomness
from services.runtime.secret_files import SecretRefused
from tests.unit.identity.service import number


async def start(folder: Path) -> None:
    """Start the service, which stops at once where it can serve."""
    stop = asyncio.Event()
    stop.set()
    await serve(IdentitySettings(folder=folder, listen="127.0.0.1:0"), stop)


async def test_another_key_of_phone_numbers_ends_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    create_secrets(
        folder,
        Platform("Qagazsyz", number("200140", 1)),
        Operator(number("9503014", 1), "Құрманова", "Әлия"),
        services=[],
        now=system_clock(),
        randomness=system_randomness,
    )
    await start(folder)
    await start(folder)
    (folder / NUMBER_KEY).unlink()
    make_number_key(folder, system_randomness)
    with pytest.raises(SecretRefused, match="is not the key"):
        await start(folder)
