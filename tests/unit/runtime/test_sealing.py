"""Sealed private keys open for their own version alone, and key files are read strictly."""

from __future__ import annotations

import base64
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from services.runtime.sealing import (
    KEY_BYTES,
    CannotUnseal,
    Sealed,
    SecretKey,
    Vault,
)
from services.runtime.secret_files import SecretRefused
from tests.unit.signing.builders import FIRST_KEY, NOW, SECOND_KEY, vault

SECRET = bytes(range(32))
LINE = "kek-1 " + base64.b64encode(SECRET).decode() + "\n"


def write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_a_key_file_of_its_owner_alone_is_read(tmp_path: Path) -> None:
    key = SecretKey.load(write(tmp_path / "k", LINE))
    assert (key.id, key.secret) == ("kek-1", SECRET)


def test_a_generated_key_is_read_back_from_its_line(tmp_path: Path) -> None:
    key = SecretKey.generate(NOW)
    assert SecretKey.load(write(tmp_path / "k", key.to_line())) == key
    assert len(key.secret) == KEY_BYTES
    assert uuid.UUID(key.id).version == 7


def test_every_generated_key_is_another() -> None:
    keys = [SecretKey.generate(NOW) for _ in range(10)]
    assert len({key.id for key in keys}) == len({key.secret for key in keys}) == 10


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretRefused, match="chmod 0600"):
        SecretKey.load(write(tmp_path / "k", LINE, mode))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "kek-1\n",
        base64.b64encode(SECRET).decode(),
        "kek-1 " + base64.b64encode(SECRET[:31]).decode(),
        "kek-1 not*base64",
        "kek/1 " + base64.b64encode(SECRET).decode(),
        LINE + LINE,
        "x" * 10_000,
        b"\xff\xfe",
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(SecretRefused):
        SecretKey.load(write(tmp_path / "k", content))


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretRefused):
        SecretKey.load(tmp_path / "k")


def test_a_refusal_never_shows_the_key(tmp_path: Path) -> None:
    encoded = base64.b64encode(SECRET).decode()
    with pytest.raises(SecretRefused) as caught:
        SecretKey.load(write(tmp_path / "k", f"kek {encoded} {encoded}"))
    assert encoded not in str(caught.value)
    assert "secret" not in repr(FIRST_KEY)


def test_what_was_sealed_for_a_version_opens_for_that_version() -> None:
    sealed = vault().seal(b"private", record="keys/a/versions/1")
    assert sealed.key_id == "first"
    assert b"private" not in sealed.data
    assert vault().unseal(sealed, record="keys/a/versions/1") == b"private"


def test_a_ciphertext_moved_to_another_version_opens_nothing() -> None:
    sealed = vault().seal(b"private", record="keys/a/versions/1")
    for other in ("keys/a/versions/2", "keys/b/versions/1", ""):
        with pytest.raises(CannotUnseal):
            vault().unseal(sealed, record=other)


def test_a_changed_ciphertext_opens_nothing() -> None:
    sealed = vault().seal(b"private", record="v")
    for place in (0, 12, len(sealed.data) - 1):
        changed = bytearray(sealed.data)
        changed[place] ^= 1
        with pytest.raises(CannotUnseal):
            vault().unseal(replace(sealed, data=bytes(changed)), record="v")
    for data in (b"", sealed.data[:20]):
        with pytest.raises(CannotUnseal):
            vault().unseal(replace(sealed, data=data), record="v")


def test_another_key_under_the_same_id_opens_nothing() -> None:
    sealed = vault().seal(b"private", record="v")
    with pytest.raises(CannotUnseal):
        Vault(SecretKey("first", SECOND_KEY.secret)).unseal(sealed, record="v")


def test_an_older_key_still_opens_and_the_current_one_seals() -> None:
    before = vault().seal(b"private", record="v")
    both = Vault(SECOND_KEY, FIRST_KEY)
    assert both.unseal(before, record="v") == b"private"
    assert both.seal(b"private", record="v").key_id == "second"
    with pytest.raises(CannotUnseal):
        vault().unseal(Sealed("second", before.data), record="v")


def test_two_keys_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        Vault(FIRST_KEY, SecretKey("first", SECOND_KEY.secret))
