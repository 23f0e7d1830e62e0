"""Consents: how long they last, and who reads and withdraws them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.registry.model.consents import (
    check_expire_time,
    check_purpose,
    may_read,
    may_withdraw,
)
from services.runtime.access import Caller
from services.runtime.errors import (
    InvalidArgument,
)
from tests.unit.registry.ledger import NOW
from tests.unit.registry.model.builders import consent
from tests.unit.registry.world import (
    CITIZEN,
    SECOND_BANK,
    auditor,
    bank_officer,
    citizen,
    other_bank_officer,
    spouse,
)


@pytest.mark.parametrize(
    ("now", "asked", "is_allowed"),
    [
        (NOW, NOW + timedelta(days=365), True),
        (NOW, NOW + timedelta(days=365, seconds=1), False),
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 3, 1, tzinfo=UTC), True),
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 3, 2, tzinfo=UTC), False),
        (NOW, NOW, False),
        (NOW, NOW - timedelta(days=1), False),
    ],
)
def test_a_consent_lasts_a_year_at_most(now: datetime, asked: datetime, is_allowed: bool) -> None:
    if is_allowed:
        assert check_expire_time(asked, now, "consent.expire_time") == asked
    else:
        with pytest.raises(InvalidArgument, match="expire_time"):
            check_expire_time(asked, now, "consent.expire_time")


def test_a_consent_lasts_ninety_days_unless_asked_otherwise() -> None:
    assert check_expire_time(None, NOW, "f") == NOW + timedelta(days=90)


@pytest.mark.parametrize(
    ("caller", "reads", "withdraws"),
    [
        (citizen, True, True),
        (bank_officer, True, False),
        (auditor, True, False),
        (spouse, False, False),
        (other_bank_officer, False, False),
        # The citizen, acting for an organization.
        (Caller(CITIZEN, SECOND_BANK, other_bank_officer.roles), False, False),
    ],
)
def test_its_subject_its_organization_and_auditors_read_a_consent(
    caller: Caller, reads: bool, withdraws: bool
) -> None:
    assert may_read(caller, consent()) == reads
    assert may_withdraw(caller, consent()) == withdraws


@pytest.mark.parametrize("purpose", ["", "Mortgage", "a b", "-a", "a-", "x" * 65, "ипотека"])
def test_another_text_is_no_purpose(purpose: str) -> None:
    with pytest.raises(InvalidArgument, match="purpose"):
        check_purpose(purpose, "purpose")
