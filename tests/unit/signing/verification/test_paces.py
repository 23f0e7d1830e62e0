"""Paces follow what items took, by algorithm, within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from services.signing.verification.paces import FASTEST, FIRST_PACES, Paces

ED25519, P256, P521 = 1, 2, 4
ALGORITHMS = st.lists(st.integers(0, len(FIRST_PACES) - 1), max_size=300).map(bytes)


@given(ALGORITHMS, st.floats(0, 0.1))
def test_what_is_cut_takes_the_time_with_its_last_item_at_most(
    algorithms: bytes, seconds: float
) -> None:
    paces = Paces()
    count = paces.cut(algorithms, seconds)
    assert 0 <= count <= len(algorithms)
    if count:
        assert paces.total(algorithms[: count - 1]) <= seconds + 1e-9
    if count < len(algorithms):
        assert paces.total(algorithms[:count]) >= seconds - 1e-9


def test_a_slower_measurement_counts_fully_and_a_faster_one_by_half() -> None:
    paces = Paces()
    items = bytes([P256]) * 100
    first = paces.total(items)
    paces.update(items, 3 * first)
    assert paces.total(items) == approx(3 * first)
    paces.update(items, first)
    assert paces.total(items) == approx(2 * first)


def test_other_algorithms_keep_their_paces() -> None:
    paces = Paces()
    before = paces.total(bytes([P521]))
    paces.update(bytes([ED25519]) * 10, 1.0)
    assert paces.total(bytes([P521])) == before


def test_refused_items_do_not_make_an_algorithm_pass_for_fast() -> None:
    paces = Paces()
    for _ in range(50):
        paces.update(bytes([P521]) * 1_000, 0.0)
    assert paces.total(bytes([P521])) == approx(FIRST_PACES[P521] / FASTEST)


def test_nothing_was_measured_of_nothing() -> None:
    paces = Paces()
    paces.update(b"", 1.0)
    assert paces.total(bytes([P256])) == FIRST_PACES[P256]
