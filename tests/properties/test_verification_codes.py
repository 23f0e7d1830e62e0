"""Laws of verification codes: what is shown reads back, however people write it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.registry.model.documents import (
    format_verification_code,
    make_verification_code,
    parse_verification_code,
)

codes = st.binary(min_size=10, max_size=10).map(
    lambda random: make_verification_code(lambda _size: random)
)


@given(codes, st.booleans(), st.sampled_from(["-", " ", ""]))
def test_a_code_reads_back_as_it_was_shown(code: str, lower: bool, between: str) -> None:
    shown = format_verification_code(code).replace("-", between)
    assert parse_verification_code(shown.lower() if lower else shown) == code


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_every_bit_of_randomness_counts(one: bytes, two: bytes) -> None:
    codes = [make_verification_code(lambda _size, random=each: random) for each in (one, two)]  # type: ignore[misc]
    assert (codes[0] == codes[1]) == (one == two)


@given(st.text(max_size=40))
def test_any_text_is_a_code_or_none(text: str) -> None:
    code = parse_verification_code(text)
    assert code is None or parse_verification_code(format_verification_code(code)) == code
