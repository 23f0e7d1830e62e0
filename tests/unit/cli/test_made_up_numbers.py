"""Made-up numbers are well-formed ones."""

from __future__ import annotations

from datetime import date
from itertools import islice

from cli.made_up_numbers import made_up_bin, made_up_iin
from services.identity.subjects.iin_bin import check_digit
from testing.people import FIRST_BANK, MINISTRY, SECOND_BANK, people


def test_a_made_up_iin_says_birth_date_century_and_sex() -> None:
    assert made_up_iin(date(1979, 10, 28), 1).startswith("7910283")
    assert made_up_iin(date(1979, 10, 28), 1, female=True).startswith("7910284")
    assert made_up_iin(date(2006, 12, 11), 1).startswith("0612115")


def test_a_made_up_bin_is_a_resident_legal_entitys_head_office() -> None:
    assert made_up_bin(date(1993, 10, 1), 245132).startswith("931040")


def test_every_made_up_number_passes_its_own_check() -> None:
    numbers = [made_up_iin(date(1990, 1, 1), serial) for serial in range(2_000)]
    numbers += [made_up_bin(date(2001, 5, 1), serial) for serial in range(2_000)]
    assert all(check_digit(number[:11]) == int(number[11]) for number in numbers)


def test_the_demos_people_differ_and_agree_with_their_numbers() -> None:
    some = list(islice(people(), 1_000))
    assert len({person.iin for person in some}) == len(some)
    assert all(person.iin.startswith(f"{person.birth_date:%y%m%d}") for person in some)
    assert len({MINISTRY.bin, FIRST_BANK.bin, SECOND_BANK.bin}) == 3
