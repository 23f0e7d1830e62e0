"""The made-up people and organizations of the demo and of the tests."""

from __future__ import annotations

from itertools import islice

from testing.people import FIRST_BANK, MINISTRY, SECOND_BANK, people


def test_people_differ_and_agree_with_their_numbers() -> None:
    some = list(islice(people(), 1_000))
    assert len({person.iin for person in some}) == len(some)
    assert all(person.iin.startswith(f"{person.birth_date:%y%m%d}") for person in some)
    assert len({MINISTRY.bin, FIRST_BANK.bin, SECOND_BANK.bin}) == 3
