"""Look-ups and consents that cannot be accepted name their field, and leave no record."""

from __future__ import annotations

from typing import Any

import pytest

from services.runtime.errors import (
    InvalidArgument,
)
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    SPOUSE,
    World,
    auditor,
)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("subject", {"subject": "791028302728"}),
        ("document_type", {"document_type": "address-certificate"}),
        ("purpose", {"purpose": "Mortgage application"}),
        ("reason", {"reason": "x" * 1001}),
        ("request_id", {"request_id": "nine"}),
    ],
)
async def test_a_malformed_look_up_names_its_field_and_leaves_no_record(
    world: World, field: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument, match=field):
        await world.look_up(**changes)
    assert await world.accesses(auditor) == []


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("organization", {"organization": "subjects/nobody"}),
        ("organization", {"organization": SPOUSE}),
        ("organization", {"organization": "bank"}),
        ("document_type", {"document_type": "documentTypes/unknown"}),
        ("purpose", {"purpose": "Mortgage"}),
        ("purpose", {"purpose": "x" * 65}),
        ("expire_time", {"expire_time": NOW}),
    ],
)
async def test_a_malformed_consent_names_its_field(
    world: World, field: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument, match=f"consent.{field}"):
        await world.grant(**changes)
