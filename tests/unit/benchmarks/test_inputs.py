"""The signatures that the bench measures with are valid."""

from __future__ import annotations

import pytest

from benchmarks.inputs import Keyring, schemes
from signatures.loading import load_backend

NAMES = [scheme.name for scheme in schemes()]


@pytest.mark.parametrize("name", NAMES)
def test_signatures_of_every_algorithm_hold(name: str) -> None:
    scheme = next(scheme for scheme in schemes() if scheme.name == name)
    batch = load_backend().parse_batch(Keyring().sign(scheme, items=4, signers=2).request(4))
    assert list(batch.verify(0, 4)) == [1] * 4
