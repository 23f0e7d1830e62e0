"""The registry's new secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.registry.main import load_content_key, load_log_key
from services.registry.new_secrets import create_secrets
from services.registry.settings import RegistrySettings
from services.runtime.clock import system_clock, system_randomness


def test_the_keys_are_the_owners_alone_and_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    create_secrets(folder, now=system_clock(), randomness=system_randomness)
    assert {path.name for path in folder.iterdir()} == {"content.key", "log.key"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    settings = RegistrySettings(folder=folder)
    assert len(load_content_key(settings).key) == 32
    assert load_log_key(settings).origin == settings.log_origin


def test_a_key_that_exists_is_not_replaced(tmp_path: Path) -> None:
    create_secrets(tmp_path, now=system_clock(), randomness=system_randomness)
    with pytest.raises(FileExistsError):
        create_secrets(tmp_path, now=system_clock(), randomness=system_randomness)
