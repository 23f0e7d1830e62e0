"""Dual control: how many people a certificate takes, case by case, and who may be the second."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from services.identity.certificates.dual_control import (
    Application,
    CertificateState,
    Facts,
    Wanted,
    basis_alone,
    check_is_pending,
    check_may_ask,
    check_may_decide,
    check_may_reject,
)
from services.identity.certificates.rules import StoredCertificate
from services.identity.events.event import IdentityEventBasis
from services.identity.subjects.dual_control import LAPSES_AFTER, Provenance, check_is_second
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Caller, Role
from services.runtime.errors import FailedPrecondition, PermissionDenied
from tests.clock import Clock

NOW = Clock()()
PERSON, OTHER, BANK = "subjects/person", "subjects/other", "subjects/bank"
SIGN, AUTHENTICATE = CertificateUsage.SIGN, CertificateUsage.AUTHENTICATE
RENEWAL, ALONE = IdentityEventBasis.RENEWAL, IdentityEventBasis.ALONE
TWO, DENIED = "two people", "denied"

OPERATOR = Caller(OTHER, "", frozenset({Role.ROLE_OPERATOR, Role.ROLE_CITIZEN}))
REGISTRAR = Caller(OTHER, "", frozenset({Role.ROLE_REGISTRAR, Role.ROLE_CITIZEN}))
HOLDER = Caller(PERSON, "", frozenset({Role.ROLE_CITIZEN}))
STRANGER = Caller(OTHER, "", frozenset({Role.ROLE_CITIZEN}))
OFFICER = Caller(PERSON, BANK, frozenset({Role.ROLE_OFFICER}))
OTHER_OFFICER = Caller(PERSON, OTHER, frozenset({Role.ROLE_OFFICER}))
SYSTEM = Caller(BANK, BANK, frozenset({Role.ROLE_OFFICER}))

OF_PERSON = Wanted(PERSON, is_person=True, usage=SIGN)
OF_EMPLOYEE = Wanted(PERSON, is_person=True, usage=SIGN, organization=BANK)
SEAL = Wanted(BANK, is_person=False, usage=SIGN)
OF_SYSTEM = Wanted(BANK, is_person=False, usage=AUTHENTICATE)
EXTERNAL = replace(OF_PERSON, is_external=True)
EXTERNAL_SEAL = replace(SEAL, is_external=True)

FIRST = Facts()
FURTHER = Facts(had_certificate=True)
OFFICIALS_FIRST = Facts(is_official=True)
OFFICIALS_FURTHER = Facts(is_official=True, had_certificate=True)
SECOND_OPERATORS = Facts(is_official=True, is_second_operator=True)
SAME_KEY = Facts(had_certificate=True, is_sealing_key=True)


def certificate(
    subject: str = PERSON,
    usage: CertificateUsage = SIGN,
    organization: str = "",
    *,
    own: bool = True,
    revoked: bool = False,
    days_left: int = 1,
) -> StoredCertificate:
    return StoredCertificate(
        fingerprint="f",
        subject=subject,
        der=b"",
        serial_number="1",
        not_before=NOW - timedelta(days=300),
        not_after=NOW + timedelta(days=days_left),
        usage=usage,
        own=own,
        create_time=NOW,
        organization=organization,
        revoke_time=NOW if revoked else None,
    )


def confirmed_with(found: StoredCertificate | None) -> Facts:
    return Facts(had_certificate=True, confirmed_with=found)


def people_needed(caller: Caller, wanted: Wanted, facts: Facts) -> IdentityEventBasis | str:
    try:
        role = check_may_ask(caller, wanted, is_official=facts.is_official)
    except PermissionDenied:
        return DENIED
    return basis_alone(role, caller, wanted, facts, NOW) or TWO


@pytest.mark.parametrize(
    ("wanted", "facts", "by_operator", "by_registrar", "by_holder"),
    [
        (OF_PERSON, FIRST, ALONE, ALONE, TWO),
        (OF_EMPLOYEE, FIRST, ALONE, ALONE, TWO),
        (EXTERNAL, FIRST, ALONE, ALONE, TWO),
        (OF_PERSON, FURTHER, TWO, TWO, TWO),
        (OF_EMPLOYEE, FURTHER, TWO, TWO, TWO),
        (EXTERNAL, FURTHER, TWO, TWO, TWO),
        (OF_PERSON, OFFICIALS_FIRST, TWO, DENIED, TWO),
        (OF_PERSON, OFFICIALS_FURTHER, TWO, DENIED, TWO),
        (EXTERNAL, OFFICIALS_FIRST, TWO, DENIED, TWO),
        (OF_PERSON, SECOND_OPERATORS, ALONE, DENIED, TWO),
        (OF_PERSON, replace(SECOND_OPERATORS, had_certificate=True), TWO, DENIED, TWO),
    ],
)
def test_a_persons_certificate_takes_one_official_at_first_and_two_people_then(
    wanted: Wanted,
    facts: Facts,
    by_operator: object,
    by_registrar: object,
    by_holder: object,
) -> None:
    assert people_needed(OPERATOR, wanted, facts) == by_operator
    assert people_needed(REGISTRAR, wanted, facts) == by_registrar
    assert people_needed(HOLDER, wanted, facts) == by_holder
    for caller in (STRANGER, OFFICER, SYSTEM):
        assert people_needed(caller, wanted, facts) == DENIED


@pytest.mark.parametrize(
    ("wanted", "facts", "by_operator", "by_officer"),
    [
        (SEAL, FIRST, TWO, TWO),
        (SEAL, FURTHER, TWO, TWO),
        (SEAL, SAME_KEY, ALONE, ALONE),
        (OF_SYSTEM, FIRST, TWO, TWO),
        (OF_SYSTEM, FURTHER, TWO, TWO),
        (OF_SYSTEM, SAME_KEY, TWO, TWO),
        (EXTERNAL_SEAL, FIRST, TWO, DENIED),
        (EXTERNAL_SEAL, SAME_KEY, TWO, DENIED),
    ],
)
def test_an_organizations_certificate_takes_two_people_but_over_the_same_managed_key(
    wanted: Wanted, facts: Facts, by_operator: object, by_officer: object
) -> None:
    assert people_needed(OPERATOR, wanted, facts) == by_operator
    for caller in (OFFICER, SYSTEM):
        assert people_needed(caller, wanted, facts) == by_officer
    for caller in (REGISTRAR, STRANGER, HOLDER, OTHER_OFFICER):
        assert people_needed(caller, wanted, facts) == DENIED


@pytest.mark.parametrize(
    ("caller", "wanted", "found"),
    [
        (HOLDER, OF_PERSON, certificate()),
        (HOLDER, OF_EMPLOYEE, certificate(organization=BANK)),
        (SYSTEM, OF_SYSTEM, certificate(BANK, AUTHENTICATE)),
        # An operator is a citizen too.
        (replace(OPERATOR, subject=PERSON), OF_PERSON, certificate()),
    ],
)
def test_a_holder_renews_the_certificate_that_they_confirm_with(
    caller: Caller, wanted: Wanted, found: StoredCertificate
) -> None:
    assert people_needed(caller, wanted, confirmed_with(found)) == RENEWAL


@pytest.mark.parametrize(
    ("caller", "wanted", "found"),
    [
        (HOLDER, OF_PERSON, None),
        (HOLDER, OF_PERSON, certificate(revoked=True)),
        (HOLDER, OF_PERSON, certificate(days_left=-1)),
        (HOLDER, OF_PERSON, certificate(own=False)),
        (HOLDER, OF_PERSON, certificate(OTHER)),
        (HOLDER, OF_PERSON, certificate(usage=AUTHENTICATE)),
        (HOLDER, OF_PERSON, certificate(organization=BANK)),
        (HOLDER, OF_EMPLOYEE, certificate()),
        (HOLDER, EXTERNAL, certificate()),
        (SYSTEM, SEAL, certificate(BANK, AUTHENTICATE)),
        (SYSTEM, OF_SYSTEM, certificate(BANK, AUTHENTICATE, revoked=True)),
        # The person who acts for an organization is not the system.
        (OFFICER, OF_SYSTEM, certificate(PERSON, AUTHENTICATE)),
        (OPERATOR, OF_PERSON, certificate(OTHER)),
    ],
)
def test_anything_else_is_no_renewal(
    caller: Caller, wanted: Wanted, found: StoredCertificate | None
) -> None:
    assert people_needed(caller, wanted, confirmed_with(found)) == TWO


@pytest.mark.parametrize(
    ("caller", "is_person", "is_official", "may"),
    [
        (OPERATOR, True, False, True),
        (OPERATOR, True, True, True),
        (OPERATOR, False, False, True),
        (REGISTRAR, True, False, True),
        (REGISTRAR, True, True, False),
        (REGISTRAR, False, False, False),
        (HOLDER, True, False, False),
        (OFFICER, False, False, False),
        (SYSTEM, False, False, False),
    ],
)
def test_operators_approve_all_and_registrars_people_outside_the_platform(
    caller: Caller, is_person: bool, is_official: bool, may: bool
) -> None:
    if may:
        check_may_decide(caller, is_person=is_person, is_official=is_official)
        return
    with pytest.raises(PermissionDenied):
        check_may_decide(caller, is_person=is_person, is_official=is_official)


def test_holders_reject_what_is_over_them() -> None:
    check_may_reject(HOLDER, subject=PERSON, is_person=True, is_official=True)
    check_may_reject(OFFICER, subject=BANK, is_person=False, is_official=False)
    check_may_reject(REGISTRAR, subject=PERSON, is_person=True, is_official=False)
    for caller in (STRANGER, OFFICER, OTHER_OFFICER):
        with pytest.raises(PermissionDenied):
            check_may_reject(caller, subject=PERSON, is_person=True, is_official=False)


MADE_BY = {
    "init": Provenance(),
    "others": Provenance("subjects/a", "subjects/b"),
    "proposed": Provenance(PERSON, "subjects/b"),
    "approved": Provenance("subjects/a", PERSON),
    "alone": Provenance(PERSON),
    "nothing": None,
}


@pytest.mark.parametrize(("membership", "certificate"), [*product(MADE_BY, MADE_BY)])
def test_the_second_person_is_not_of_the_firsts_making(membership: str, certificate: str) -> None:
    def check(approver: str) -> None:
        check_is_second(
            approver,
            proposer=PERSON,
            membership=MADE_BY[membership],
            certificate=MADE_BY[certificate],
        )

    with pytest.raises(PermissionDenied):
        check(PERSON)
    if {membership, certificate} <= {"init", "others"}:
        check(OTHER)
        return
    with pytest.raises(PermissionDenied):
        check(OTHER)


def test_the_fourth_operator_is_the_first_to_approve_for_the_first_one() -> None:
    made = {
        "second": Provenance("first"),
        "third": Provenance("second", "first"),
        "fourth": Provenance("third", "second"),
    }
    for approver in ("second", "third"):
        with pytest.raises(PermissionDenied):
            check_is_second(
                approver, proposer="first", membership=made[approver], certificate=made[approver]
            )
    fourth = made["fourth"]
    check_is_second("fourth", proposer="first", membership=fourth, certificate=fourth)


def test_what_waits_lapses_after_seven_days() -> None:
    application = Application(
        id="i",
        subject=PERSON,
        organization="",
        usage=SIGN,
        request=b"",
        der=b"",
        chain=(),
        key="",
        proposer=OTHER,
        proposer_role=Role.ROLE_OPERATOR,
        proposer_organization="",
        proposer_certificate="",
        create_time=NOW,
    )
    check_is_pending(application.at(NOW + timedelta(days=7) - timedelta(seconds=1)))
    lapsed = application.at(NOW + LAPSES_AFTER)
    assert lapsed.state is CertificateState.LAPSED
    with pytest.raises(FailedPrecondition, match="waits"):
        check_is_pending(lapsed)
    rejected = replace(application, state=CertificateState.REJECTED)
    assert rejected.at(NOW + LAPSES_AFTER) == rejected
