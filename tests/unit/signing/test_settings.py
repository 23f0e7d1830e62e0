"""The signing service's settings, as the environment gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.runtime.intake.message_bounds import MESSAGE_LIMIT_BYTES
from services.signing.settings import SigningSettings


def test_secrets_lie_in_the_folder_unless_a_setting_says_otherwise(tmp_path: Path) -> None:
    settings = SigningSettings(folder=tmp_path)
    assert settings.key_encryption_key_file() == tmp_path / "key-encryption.key"
    assert settings.credential_file() == tmp_path / "credential.pem"
    other = SigningSettings(folder=tmp_path, key_encryption_key=Path("/a"), credential=Path("/b"))
    assert (other.key_encryption_key_file(), other.credential_file()) == (Path("/a"), Path("/b"))


def test_the_bytes_in_flight_hold_at_least_one_message(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        SigningSettings(folder=tmp_path, bytes_in_flight=MESSAGE_LIMIT_BYTES - 1)


def test_workers_which_was_once_a_setting_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QAGAZSYZ_FOLDER", str(tmp_path))
    before = SigningSettings()  # type: ignore[call-arg]
    monkeypatch.setenv("QAGAZSYZ_WORKERS", "4")
    assert SigningSettings() == before  # type: ignore[call-arg]
