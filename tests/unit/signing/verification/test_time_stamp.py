"""Time-stamps: the contract's numbers, and the verdicts of those that are not valid."""

from __future__ import annotations

import pytest

from qagazsyz.identity.v1 import certificates_pb2
from services.signing.verification.time_stamp import TimeStamp, TimeStampStatus
from signatures.algorithms import Verdict
from tests.unit.signing.builders import contract_numbers


def test_statuses_are_those_of_the_contract() -> None:
    contract = contract_numbers(certificates_pb2.TimeStampStatus.DESCRIPTOR, "TIME_STAMP_STATUS_")
    assert {status.name: status.value for status in TimeStampStatus} == contract


@pytest.mark.parametrize("status", set(TimeStampStatus) - {TimeStampStatus.VALID})
def test_a_time_stamp_that_is_not_valid_is_invalid_or_leaves_the_signature_indeterminate(
    status: TimeStampStatus,
) -> None:
    unclear = status in (TimeStampStatus.UNKNOWN, TimeStampStatus.UNSPECIFIED)
    expected = Verdict.INDETERMINATE if unclear else Verdict.INVALID_TIME_STAMP
    assert TimeStamp(status).verdict is expected
