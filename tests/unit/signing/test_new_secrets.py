"""The signing service's new secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.clock import system_clock, system_randomness
from services.runtime.sealing import SecretKey
from services.signing.new_secrets import create_secrets


def test_the_key_encryption_key_is_the_owners_alone_and_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "signing"
    create_secrets(folder, now=system_clock(), randomness=system_randomness)
    (path,) = folder.iterdir()
    assert path.name == "key-encryption.key"
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    first = SecretKey.load(path)
    path.unlink()
    create_secrets(folder, now=system_clock(), randomness=system_randomness)
    second = SecretKey.load(path)
    assert first.id != second.id and first.secret != second.secret


def test_a_key_that_exists_is_not_replaced(tmp_path: Path) -> None:
    create_secrets(tmp_path, now=system_clock(), randomness=system_randomness)
    with pytest.raises(FileExistsError):
        create_secrets(tmp_path, now=system_clock(), randomness=system_randomness)
