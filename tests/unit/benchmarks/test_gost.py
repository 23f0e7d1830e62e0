"""GOST keys for the bench, made by adding the base point."""

from __future__ import annotations

from benchmarks import gost


def test_keys_of_gost_are_made_one_after_the_other() -> None:
    keys = gost.Keys(gost.BITS_256)
    first, second = keys.generate(), keys.generate()
    curve = first.family.curve
    assert second.secret == first.secret + 1
    for key in (first, second):
        assert key.point == curve.sum_of([(key.secret, curve.odd_multiples(curve.base))])
