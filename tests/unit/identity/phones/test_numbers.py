"""Numbers are found by a keyed hash, and read by who has the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from services.identity.phones.numbers import (
    NUMBER_KEY,
    NumberVault,
    check_iccid,
    check_number,
    load_number_vault,
)
from services.runtime.clock import system_randomness
from services.runtime.errors import InvalidArgument
from services.runtime.secret_files import SecretRefused, write_secret

NUMBER = "+77011234567"
VAULT = NumberVault(b"k" * 32, system_randomness)
OTHER = NumberVault(b"o" * 32, system_randomness)


def test_a_sealed_number_opens_with_its_own_hash_and_key_only() -> None:
    sealed, number_hash = VAULT.seal(NUMBER), VAULT.hash_number(NUMBER)
    assert VAULT.open(sealed, number_hash) == NUMBER
    assert NUMBER.encode() not in sealed
    assert VAULT.seal(NUMBER) != sealed
    for vault, data, bound_to in (
        (OTHER, sealed, number_hash),
        (VAULT, sealed, VAULT.hash_number("+77011234568")),
        (VAULT, sealed[:-1] + bytes([sealed[-1] ^ 1]), number_hash),
    ):
        with pytest.raises(InvalidTag):
            vault.open(data, bound_to)


def test_a_hash_is_of_one_key_and_one_kind() -> None:
    assert VAULT.hash_number(NUMBER) == NumberVault(b"k" * 32, bytes).hash_number(NUMBER)
    assert VAULT.hash_number(NUMBER) != OTHER.hash_number(NUMBER)
    assert VAULT.hash_number(NUMBER) != VAULT.hash_card(NUMBER)
    assert VAULT.key_id != OTHER.key_id


@pytest.mark.parametrize("number", [NUMBER, "+1234567", "+123456789012345"])
def test_numbers_of_e164_are_taken(number: str) -> None:
    assert check_number(number, "number") == number


@pytest.mark.parametrize(
    "number",
    [
        "",
        "+",
        "77011234567",
        "+7701",
        "+07011234567",
        "+1234567890123456",
        "+7 7011234567",
        "+77011234567\n",
        "+7701123456٧",
        "tel:+77011234567",
    ],
)
def test_other_numbers_are_refused(number: str) -> None:
    with pytest.raises(InvalidArgument):
        check_number(number, "number")


@pytest.mark.parametrize("iccid", ["", "8977" * 4, "8977" * 6, "8977a00000000000001"])
def test_other_cards_than_those_of_e118_are_refused(iccid: str) -> None:
    with pytest.raises(InvalidArgument):
        check_iccid(iccid, "iccid")


def test_a_folder_of_an_earlier_version_gets_a_key_once(tmp_path: Path) -> None:
    made = load_number_vault(tmp_path, system_randomness)
    assert (tmp_path / NUMBER_KEY).stat().st_mode & 0o777 == 0o600
    assert load_number_vault(tmp_path, system_randomness).key_id == made.key_id


def test_a_key_of_another_length_or_open_to_others_is_refused(tmp_path: Path) -> None:
    write_secret(tmp_path / NUMBER_KEY, b"short")
    with pytest.raises(SecretRefused, match="has not 32 bytes"):
        load_number_vault(tmp_path, system_randomness)
    (tmp_path / NUMBER_KEY).chmod(0o644)
    with pytest.raises(SecretRefused, match="chmod"):
        load_number_vault(tmp_path, system_randomness)
    with pytest.raises(SecretRefused, match="cannot be written"):
        load_number_vault(tmp_path / "missing", system_randomness)
