"""Rules of trust: the contract's numbers, statuses at other times, roles, verdicts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from qagazsyz.common.v1 import certificates_pb2
from qagazsyz.signing.v1 import verification_pb2
from services.signing.verification.trust import (
    CertificateRole,
    CheckedCertificate,
    HolderRoles,
    RoleRequirement,
    TrustPolicy,
    verdict_for,
)
from services.signing.verification.trust import CertificateStatus as Status
from signatures.algorithms import Verdict
from tests.unit.signing.builders import NOW, checked, contract_numbers

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
FROM, UNTIL = NOW - 30 * DAY, NOW + 30 * DAY
BIN, OTHER_BIN = "061211600012", "931002451325"


def test_policies_are_those_of_the_contract() -> None:
    contract = contract_numbers(verification_pb2.TrustPolicy.DESCRIPTOR, "TRUST_POLICY_")
    assert {policy.name: policy.value for policy in TrustPolicy} == contract


def test_statuses_are_those_of_the_contract() -> None:
    contract = contract_numbers(
        certificates_pb2.CertificateStatus.DESCRIPTOR, "CERTIFICATE_STATUS_"
    )
    assert {status.name: status.value for status in Status} == contract


def test_roles_are_those_of_the_contract() -> None:
    contract = contract_numbers(certificates_pb2.CertificateRole.DESCRIPTOR, "CERTIFICATE_ROLE_")
    assert {role.name: role.value for role in CertificateRole} == contract


@pytest.mark.parametrize("status", Status)
def test_a_signature_is_valid_by_a_good_certificate_alone(status: Status) -> None:
    expected = {Status.GOOD: Verdict.VALID, Status.UNKNOWN: Verdict.INDETERMINATE}
    assert verdict_for(status) is expected.get(status, Verdict.UNTRUSTED_SIGNER)


def test_an_answer_is_fresh_before_the_time_that_it_names_and_never_without_one() -> None:
    answer = checked(Status.GOOD, fresh_until=NOW)
    assert answer.is_fresh(NOW - SECOND)
    assert not answer.is_fresh(NOW)
    assert not checked(Status.GOOD, fresh_until=None).is_fresh(NOW)


def telling(status: Status, revoke_time: datetime | None = None) -> CheckedCertificate:
    """An answer that tells about other times too."""
    return checked(status, revoke_time=revoke_time, valid_from=FROM, valid_until=UNTIL)


@pytest.mark.parametrize(
    ("check", "at", "status"),
    [
        (telling(Status.GOOD), NOW, Status.GOOD),
        (telling(Status.GOOD), FROM - SECOND, Status.NOT_YET_VALID),
        (telling(Status.GOOD), FROM, Status.GOOD),
        (telling(Status.GOOD), UNTIL, Status.GOOD),
        (telling(Status.GOOD), UNTIL + SECOND, Status.EXPIRED),
        (telling(Status.EXPIRED), NOW, Status.GOOD),
        (telling(Status.NOT_YET_VALID), NOW, Status.GOOD),
        (telling(Status.REVOKED, NOW), NOW - SECOND, Status.GOOD),
        (telling(Status.REVOKED, NOW), NOW, Status.REVOKED),
        (telling(Status.EXPIRED, NOW), NOW + SECOND, Status.REVOKED),
        (telling(Status.REVOKED, NOW), FROM - DAY, Status.NOT_YET_VALID),
        (telling(Status.WRONG_USAGE), NOW, Status.WRONG_USAGE),
        (telling(Status.UNTRUSTED), NOW, Status.UNTRUSTED),
        (telling(Status.UNKNOWN), NOW, Status.UNKNOWN),
        (checked(Status.MALFORMED), NOW, Status.MALFORMED),
        (checked(Status.GOOD), NOW, None),
        (checked(Status.EXPIRED), NOW, None),
    ],
)
def test_at_another_time_the_answers_dates_and_revocation_decide(
    check: CheckedCertificate, at: datetime, status: Status | None
) -> None:
    assert check.status_at(at) is status


@pytest.mark.parametrize(
    ("requirement", "holder", "is_met"),
    [
        (RoleRequirement(frozenset({3}), BIN), HolderRoles(BIN, frozenset({3, 7})), True),
        (RoleRequirement(frozenset({3}), BIN), HolderRoles(OTHER_BIN, frozenset({3})), False),
        (RoleRequirement(frozenset({3}), BIN), HolderRoles("", frozenset({3})), False),
        (RoleRequirement(frozenset({3}), BIN), HolderRoles(BIN, frozenset({7})), False),
        (RoleRequirement(frozenset({3, 4})), HolderRoles("", frozenset({4})), True),
        (RoleRequirement(frozenset({3, 4})), HolderRoles(BIN, frozenset({3})), True),
        (RoleRequirement(frozenset({3, 4})), HolderRoles(BIN, frozenset({5})), False),
        (RoleRequirement(frozenset({1}), on_sim=True), HolderRoles("", frozenset({1})), False),
        (
            RoleRequirement(frozenset({1}), on_sim=True),
            HolderRoles("", frozenset({1}), on_sim=True),
            True,
        ),
        (
            RoleRequirement(frozenset({1}), on_sim=True),
            HolderRoles("", frozenset({3}), on_sim=True),
            False,
        ),
        (RoleRequirement(frozenset({1})), HolderRoles("", frozenset({1}), on_sim=True), True),
    ],
)
def test_a_role_is_met_in_its_organization_or_in_any_if_none_is_named(
    requirement: RoleRequirement, holder: HolderRoles, is_met: bool
) -> None:
    assert requirement.is_met_by(holder) is is_met
