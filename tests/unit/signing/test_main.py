"""What the signing process checks before it takes calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.sealing import SecretKey, Vault
from services.runtime.secret_files import SecretRefused
from services.runtime.storage.database import Database
from services.signing.keys.servicer import KeyServicer
from services.signing.main import check_vault, open_vault
from services.signing.settings import SigningSettings
from tests.unit.signing.builders import FIRST_KEY, SECOND_KEY, create, vault


def write(path: Path, key: SecretKey) -> Path:
    path.write_bytes(key.to_line())
    path.chmod(0o600)
    return path


async def test_private_keys_under_an_unknown_key_encryption_key_are_refused(
    service: KeyServicer, database: Database
) -> None:
    await create(service, key_id="seal")
    await check_vault(database, vault())
    await check_vault(database, Vault(SECOND_KEY, FIRST_KEY))
    with pytest.raises(SecretRefused, match="first"):
        await check_vault(database, Vault(SECOND_KEY))


def test_the_vault_seals_under_the_present_key_and_knows_the_previous_one(tmp_path: Path) -> None:
    write(tmp_path / "key-encryption.key", SECOND_KEY)
    previous = write(tmp_path / "previous", FIRST_KEY)
    opened = open_vault(SigningSettings(folder=tmp_path, previous_key_encryption_key=previous))
    assert opened.current_id == "second"
    assert opened.knows("first")
    assert not open_vault(SigningSettings(folder=tmp_path)).knows("first")


def test_two_keys_of_one_id_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "key-encryption.key", FIRST_KEY)
    previous = write(tmp_path / "previous", SecretKey("first", SECOND_KEY.secret))
    with pytest.raises(SecretRefused, match="same id"):
        open_vault(SigningSettings(folder=tmp_path, previous_key_encryption_key=previous))
