"""Laws of IIN and BIN."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.identity.subjects.iin_bin import (
    InvalidNumber,
    NumberKind,
    check_bin,
    check_digit,
    check_iin,
    kind_of,
)

digits = st.text("0123456789", min_size=11, max_size=11)


@pytest.mark.parametrize("number", ["791028302728", "061211600012", "931002451325"])
def test_published_numbers_hold(number: str) -> None:
    assert check_digit(number[:11]) == int(number[11])


@pytest.mark.parametrize("number", ["123456789011", "123456789021"])
def test_the_numbers_of_test_certificates_do_not(number: str) -> None:
    with pytest.raises(InvalidNumber):
        kind_of(number)


@given(digits)
def test_one_check_digit_fits_or_none(first: str) -> None:
    last = check_digit(first)
    assert last is None or 0 <= last <= 9


@given(digits)
def test_the_fifth_digit_tells_people_from_organizations(first: str) -> None:
    last = check_digit(first)
    assume(last is not None and first[4] in "0123456")
    kind = kind_of(f"{first}{last}")
    assert kind is (NumberKind.ORGANIZATION if first[4] in "456" else NumberKind.PERSON)


@given(digits, st.integers(0, 9), st.integers(1, 9))
def test_an_error_in_a_digit_that_counts_is_caught_on_the_first_pass(
    first: str, place: int, shift: int
) -> None:
    # The eleventh digit weighs 11, which is 0 modulo 11: errors there may pass, and are not drawn.
    def plain(number: str) -> int:
        return sum(int(digit) * weight for weight, digit in enumerate(number, 1)) % 11

    wrong = first[:place] + str((int(first[place]) + shift) % 10) + first[place + 1 :]
    assume(plain(first) != 10 and plain(wrong) != 10)
    assert check_digit(wrong) != check_digit(first)


@given(st.text(max_size=14))
def test_anything_else_is_refused_and_breaks_nothing(text: str) -> None:
    for check in (check_iin, check_bin, kind_of):
        try:
            check(text)
        except InvalidNumber:
            continue
        assert len(text) == 12 and text.isascii()
