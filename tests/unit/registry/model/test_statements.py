"""Whom a statement that does not name its issuer may be taken from."""

from __future__ import annotations

import pytest

from services.registry.model.statements import may_omit_issuer
from tests.unit.registry.world import CLERK, FIRST_BANK, MINISTRY


@pytest.mark.parametrize(
    ("signer", "organizations", "expected"),
    [
        (MINISTRY, set(), True),
        (FIRST_BANK, {FIRST_BANK}, False),
        (CLERK, {MINISTRY}, True),
        (CLERK, {MINISTRY, FIRST_BANK}, False),
        (CLERK, {FIRST_BANK}, False),
        (CLERK, set(), True),
        ("", set(), True),
    ],
)
def test_only_a_signer_who_served_no_other_organization_may_omit_the_issuer(
    signer: str, organizations: set[str], expected: bool
) -> None:
    assert may_omit_issuer(MINISTRY, signer, organizations) is expected
