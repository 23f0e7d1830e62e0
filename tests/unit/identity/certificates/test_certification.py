"""Certificates by two people, through the servicer: asked for, approved, rejected, lapsed; and what
insiders and thieves do not get."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from qagazsyz.common.v1 import access_pb2
from qagazsyz.identity.v1 import certificates_pb2 as pb
from qagazsyz.identity.v1 import subjects_pb2
from services.identity.certificates.dual_control import PENDING_LIMIT
from services.identity.events.event import REGISTRY
from services.identity.events.store import advance_place, get_last_number, read_events
from services.identity.subjects.dual_control import LAPSES_AFTER
from services.identity.x509.inspection import fingerprint_of
from tests.unit.identity.certificates.test_managed_keys import manage, spki
from tests.unit.identity.service import (
    AUTHENTICATE,
    CONCURRENT,
    Identity,
    Made,
    Role,
    certificate_request,
    issue_request,
    outcomes,
)

DENIED = grpc.StatusCode.PERMISSION_DENIED
FAILED = grpc.StatusCode.FAILED_PRECONDITION
ISSUE = "CertificateService/IssueCertificate"
APPROVE = "CertificateService/ApproveCertificate"
REJECT = "CertificateService/RejectCertificate"
LIST = "CertificateService/ListCertificateRequests"
PENDING = pb.CERTIFICATE_STATE_PENDING
ISSUED = pb.CERTIFICATE_STATE_ISSUED
REJECTED = pb.CERTIFICATE_STATE_REJECTED


async def ask(identity: Identity, request: pb.IssueCertificateRequest, token: str) -> Any:
    return await identity.call(ISSUE, request, token)


async def certified(identity: Identity) -> tuple[str, str]:
    """A person with a certificate, and the token that it gets."""
    person = await identity.person()
    made, _ = await identity.issue(person)
    return person, identity.as_citizen(person, fingerprint_of(made.der))


async def waiting_for(identity: Identity, token: str) -> list[str]:
    found = await identity.call(LIST, pb.ListCertificateRequestsRequest(), token)
    return [certificate.name for certificate in found.certificates]


def later(identity: Identity, token: str) -> str:
    """A token that says the same, got now."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return identity.token(
        *(Role.Value(f"ROLE_{name}") for name in claims["roles"]),
        subject=claims["sub"],
        organization=claims["org"],
        certificate=base64.urlsafe_b64decode(claims["cnf"]["x5t#S256"] + "=").hex(),
    )


def approval(waiting: pb.Certificate) -> pb.ApproveCertificateRequest:
    return pb.ApproveCertificateRequest(name=waiting.name)


# --- What waits -----------------------------------------------------------------------------------


async def test_a_further_certificate_waits_until_a_second_operator_approves_it(
    identity: Identity,
) -> None:
    person, _ = await certified(identity)
    waiting = await ask(identity, issue_request(person), identity.as_operator)
    assert waiting.state == PENDING
    assert waiting.name.startswith(f"{person}/certificateRequests/")
    assert not waiting.der and not waiting.HasField("info")
    assert len(await identity.certificates(person)) == 1
    approved = await identity.approve(waiting)
    assert approved.state == ISSUED
    assert approved.name == f"{person}/certificates/{fingerprint_of(approved.der)}"
    assert approved in await identity.certificates(person)
    assert await waiting_for(identity, identity.as_operator) == []


async def test_a_revoked_or_expired_certificate_counts_as_had(identity: Identity) -> None:
    revoked, expired = await identity.person(), await identity.person()
    first, _ = await identity.issue(revoked)
    await identity.revoke(first.name, identity.as_operator)
    await identity.issue(expired)
    identity.clock.move(days=400)
    for person in (revoked, expired):
        for token in (identity.as_operator, identity.as_registrar):
            assert (await ask(identity, issue_request(person), token)).state == PENDING


async def test_of_concurrent_first_certificates_one_is_the_first(identity: Identity) -> None:
    person = await identity.person()
    await outcomes(
        *(ask(identity, issue_request(person), identity.as_registrar) for _ in range(CONCURRENT))
    )
    assert len(await identity.certificates(person)) == 1
    assert len(await waiting_for(identity, identity.as_operator)) == CONCURRENT - 1


async def test_an_information_systems_certificate_takes_its_officer_and_an_operator(
    identity: Identity,
) -> None:
    bank, officer, token = await with_officer(identity)
    waiting = await ask(identity, issue_request(bank, usage=AUTHENTICATE), token)
    assert waiting.state == PENDING
    for other in (
        identity.as_registrar,
        identity.as_auditor,
        identity.as_citizen(officer),
        identity.as_officer(bank),
    ):
        assert await identity.refused(APPROVE, approval(waiting), other) == DENIED
    approved = await identity.approve(waiting, identity.as_operator)
    # It renews itself.
    system = identity.as_officer(bank, bank, fingerprint_of(approved.der))
    renewed = await ask(identity, issue_request(bank, usage=AUTHENTICATE), system)
    assert renewed.state == ISSUED
    assert (await ask(identity, issue_request(bank), system)).state == PENDING


async def with_officer(identity: Identity) -> tuple[str, str, str]:
    """An organization, an officer with a certificate, and their token."""
    bank, officer = await identity.organization(), await identity.person()
    await identity.member(bank, officer)
    made, _ = await identity.issue(officer, organization=bank)
    return bank, officer, identity.as_officer(bank, officer, fingerprint_of(made.der))


async def test_a_seal_is_approved_once_for_each_managed_key(identity: Identity) -> None:
    bank, _, token = await with_officer(identity)
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    await manage(identity, spki(key), spki(other))

    def seal(of: Any) -> pb.IssueCertificateRequest:
        return pb.IssueCertificateRequest(subject=bank, certificate_request=certificate_request(of))

    waiting = await ask(identity, seal(key), token)
    assert waiting.state == PENDING
    # Asked for is not yet approved.
    assert (await ask(identity, seal(key), token)).state == PENDING
    first = await identity.approve(waiting, identity.as_operator)
    identity.clock.move(days=400)
    token = later(identity, token)
    again = await ask(identity, seal(key), token)
    assert again.state == ISSUED
    assert (await ask(identity, seal(other), token)).state == PENDING
    for each in (first, again):
        await identity.revoke(each.name, token)
    assert (await ask(identity, seal(key), token)).state == PENDING


async def test_a_seal_over_a_key_that_is_not_managed_always_takes_two(identity: Identity) -> None:
    bank, _, token = await with_officer(identity)
    key = ec.generate_private_key(ec.SECP256R1())
    request = pb.IssueCertificateRequest(subject=bank, certificate_request=certificate_request(key))
    await identity.approve(await ask(identity, request, token), identity.as_operator)
    assert (await ask(identity, request, token)).state == PENDING


async def test_a_key_of_another_subject_never_waits(identity: Identity) -> None:
    person, mine = await certified(identity)
    _, key = await identity.issue(await identity.person())
    request = pb.IssueCertificateRequest(
        subject=person, certificate_request=certificate_request(key)
    )
    for token in (mine, identity.as_operator):
        assert await identity.refused(ISSUE, request, token) == FAILED
    assert await waiting_for(identity, identity.as_operator) == []


# --- Who approves ---------------------------------------------------------------------------------


async def test_nobody_approves_what_they_asked_for(identity: Identity) -> None:
    person, _ = await certified(identity)
    for official in (await identity.official(), await identity.official(Role.ROLE_REGISTRAR)):
        waiting = await ask(identity, issue_request(person), official.token)
        assert await identity.refused(APPROVE, approval(waiting), official.token) == DENIED
        await identity.approve(waiting)


async def test_nobody_approves_whom_the_proposer_made(identity: Identity) -> None:
    person, _ = await certified(identity)
    proposer = await identity.official()
    waiting = await ask(identity, issue_request(person), proposer.token)
    for made in (
        Made(certificate_proposer=proposer.subject),
        Made(certificate_proposer=identity.operator, certificate_approver=proposer.subject),
        Made(membership_proposer=proposer.subject),
        Made(membership_proposer=identity.operator, membership_approver=proposer.subject),
    ):
        puppet = await identity.official(made=made)
        assert await identity.refused(APPROVE, approval(waiting), puppet.token) == DENIED
    independent = await identity.official(
        made=Made(identity.operator, puppet.subject, identity.operator, puppet.subject)
    )
    await identity.approve(waiting, independent.token)


async def test_a_renewed_certificate_counts_as_made_by_who_made_the_first(
    identity: Identity,
) -> None:
    person, _ = await certified(identity)
    registrar = await identity.official(Role.ROLE_REGISTRAR)
    puppet = await identity.person()
    first = await ask(identity, issue_request(puppet), registrar.token)
    renewed = await ask(
        identity, issue_request(puppet), identity.as_citizen(puppet, fingerprint_of(first.der))
    )
    assert renewed.state == ISSUED
    await identity.member(identity.platform, puppet, Role.ROLE_OPERATOR)
    token = identity.token(
        Role.ROLE_OPERATOR,
        Role.ROLE_CITIZEN,
        subject=puppet,
        certificate=fingerprint_of(renewed.der),
    )
    waiting = await ask(identity, issue_request(person), registrar.token)
    assert await identity.refused(APPROVE, approval(waiting), token) == DENIED


async def test_a_token_of_a_former_operator_approves_nothing(identity: Identity) -> None:
    person, _ = await certified(identity)
    waiting = await ask(identity, issue_request(person), identity.as_operator)
    stranger = identity.token(Role.ROLE_OPERATOR, subject=await identity.person())
    assert await identity.refused(APPROVE, approval(waiting), stranger) == DENIED


async def test_the_decision_is_on_the_state_at_the_approval(identity: Identity) -> None:
    person, mine = await certified(identity)
    employer = await identity.organization()
    await identity.member(employer, person)
    registrar = await identity.official(Role.ROLE_REGISTRAR)
    second = await identity.official(Role.ROLE_REGISTRAR)
    asked = [
        await ask(identity, issue_request(person), registrar.token),
        await ask(identity, issue_request(person, organization=employer), mine),
    ]
    await identity.member(identity.platform, person, Role.ROLE_AUDITOR)
    for waiting in asked:
        # The person is the platform's own now.
        assert await identity.refused(APPROVE, approval(waiting), second.token) == DENIED
    assert await identity.refused(APPROVE, approval(asked[0]), identity.as_operator) == FAILED
    await identity.approve(asked[1], identity.as_operator)


async def test_a_key_that_waits_for_one_subject_is_certified_for_no_other(
    identity: Identity,
) -> None:
    bank, (person, mine) = await identity.organization(), await certified(identity)
    csr = certificate_request(ec.generate_private_key(ec.SECP256R1()))
    request = pb.IssueCertificateRequest(subject=bank, certificate_request=csr)
    waiting = await ask(identity, request, identity.as_operator)
    stolen = pb.IssueCertificateRequest(subject=person, certificate_request=csr)
    assert await identity.refused(ISSUE, stolen, mine) == FAILED
    rejection = pb.RejectCertificateRequest(name=waiting.name)
    await identity.call(REJECT, rejection, identity.as_operator)
    assert (await ask(identity, stolen, mine)).state == ISSUED


async def test_a_key_that_is_managed_meanwhile_signs_nobody_in(identity: Identity) -> None:
    bank = await identity.organization()
    key = ec.generate_private_key(ec.SECP256R1())
    request = pb.IssueCertificateRequest(
        subject=bank, certificate_request=certificate_request(key), usage=AUTHENTICATE
    )
    waiting = await ask(identity, request, identity.as_operator)
    await manage(identity, spki(key))
    official = await identity.official()
    assert await identity.refused(APPROVE, approval(waiting), official.token) == FAILED


# --- What becomes of it ---------------------------------------------------------------------------


async def test_what_lapsed_is_listed_and_approved_no_more(identity: Identity) -> None:
    person, _ = await certified(identity)
    waiting = await ask(identity, issue_request(person), identity.as_operator)
    official = await identity.official()
    identity.clock.move(days=7)
    assert await waiting_for(identity, identity.as_operator) == []
    for method, request in (
        (APPROVE, approval(waiting)),
        (REJECT, pb.RejectCertificateRequest(name=waiting.name)),
    ):
        token = later(identity, official.token)
        assert await identity.refused(method, request, token) == FAILED


async def test_a_repeated_approval_gets_the_same_certificate(identity: Identity) -> None:
    person, _ = await certified(identity)
    waiting = await ask(identity, issue_request(person), identity.as_operator)
    official = await identity.official()
    request = approval(waiting)
    request.request_id = str(uuid.uuid4())
    first, again = [await identity.call(APPROVE, request, official.token) for _ in range(2)]
    assert first == again
    # The same headers: the same confirmation, without an id.
    other = await ask(identity, issue_request(person), identity.as_operator)
    once = await identity.call(APPROVE, approval(other), official.token)
    repeated = await identity.call(APPROVE, approval(other), headers=identity.last_headers)
    assert repeated == once
    assert await identity.refused(APPROVE, approval(other), official.token) == FAILED


async def test_a_repeated_request_waits_once(identity: Identity) -> None:
    person, _ = await certified(identity)
    request = issue_request(person, request_id=str(uuid.uuid4()))
    first, again = [await ask(identity, request, identity.as_operator) for _ in range(2)]
    assert first == again
    assert await waiting_for(identity, identity.as_operator) == [first.name]


async def test_of_concurrent_approvals_one_issues(identity: Identity) -> None:
    person, _ = await certified(identity)
    waiting = await ask(identity, issue_request(person), identity.as_operator)
    officials = [await identity.official() for _ in range(4)]
    counts = await outcomes(
        *(identity.call(APPROVE, approval(waiting), each.token) for each in officials)
    )
    assert counts == {"OK": 1, "FAILED_PRECONDITION": 3}
    assert len(await identity.certificates(person)) == 2


async def test_who_approves_sees_what_was_asked_for(identity: Identity) -> None:
    person, _ = await certified(identity)
    key = ec.generate_private_key(ec.SECP256R1())
    request = pb.IssueCertificateRequest(
        subject=person, certificate_request=certificate_request(key), usage=AUTHENTICATE
    )
    waiting = await ask(identity, request, identity.as_operator)
    listed = await identity.call(LIST, pb.ListCertificateRequestsRequest(), identity.as_operator)
    (found,) = [each for each in listed.certificates if each.name == waiting.name]
    assert found.application == waiting.application
    shown = found.application
    assert shown.key_fingerprint == hashlib.sha256(spki(key)).hexdigest()
    assert (shown.usage, shown.organization) == (AUTHENTICATE, "")
    assert (shown.proposer, shown.proposer_role) == (identity.operator, Role.ROLE_OPERATOR)
    lapses_after = shown.expire_time.ToDatetime() - shown.create_time.ToDatetime()
    assert lapses_after == LAPSES_AFTER


async def test_the_holder_rejects_what_waits_over_them(identity: Identity) -> None:
    person, mine = await certified(identity)
    bank, _, officer = await with_officer(identity)
    for subject, holder in ((person, mine), (bank, officer)):
        waiting = await ask(identity, issue_request(subject), identity.as_operator)
        assert await waiting_for(identity, holder) == [waiting.name]
        request = pb.RejectCertificateRequest(name=waiting.name)
        stranger = identity.as_citizen(await identity.person())
        assert await identity.refused(REJECT, request, stranger) == DENIED
        rejected = await identity.call(REJECT, request, holder)
        assert (rejected.state, rejected.name) == (REJECTED, waiting.name)
        assert await identity.call(REJECT, request, holder) == rejected
        official = await identity.official()
        assert await identity.refused(APPROVE, approval(waiting), official.token) == FAILED
    approved = await ask(identity, issue_request(person), identity.as_operator)
    await identity.approve(approved)
    request = pb.RejectCertificateRequest(name=approved.name)
    assert await identity.refused(REJECT, request, mine) == FAILED


async def test_only_operators_are_told_that_nothing_of_a_name_waits(identity: Identity) -> None:
    person, mine = await certified(identity)
    name = f"{person}/certificateRequests/{uuid.uuid4()}"
    for method, request in (
        (APPROVE, pb.ApproveCertificateRequest(name=name)),
        (REJECT, pb.RejectCertificateRequest(name=name)),
    ):
        not_found = grpc.StatusCode.NOT_FOUND
        assert await identity.refused(method, request, identity.as_operator) == not_found
        assert await identity.refused(method, request, identity.as_registrar) == DENIED
    request = pb.RejectCertificateRequest(name=name)
    assert await identity.refused(REJECT, request, mine) == DENIED
    for name in ("", "x", f"{person}/certificates/{'0' * 64}", f"{person}/certificateRequests/x"):
        request = pb.RejectCertificateRequest(name=name)
        code = await identity.refused(REJECT, request, mine)
        assert code == grpc.StatusCode.INVALID_ARGUMENT


async def test_what_waits_is_listed_in_pages_oldest_first(identity: Identity) -> None:
    person, mine = await certified(identity)
    names = []
    for _ in range(3):
        names.append((await ask(identity, issue_request(person, usage=AUTHENTICATE), mine)).name)
        identity.clock.move(seconds=1)
    request = pb.ListCertificateRequestsRequest(page_size=2)
    first = await identity.call(LIST, request, identity.as_auditor)
    request.page_token = first.next_page_token
    last = await identity.call(LIST, request, identity.as_auditor)
    found = [each.name for each in (*first.certificates, *last.certificates)]
    assert found == names and not last.next_page_token
    assert await waiting_for(identity, identity.as_citizen(await identity.person())) == []
    assert await waiting_for(identity, identity.as_officer(await identity.organization())) == []


async def test_nobody_fills_the_list_that_others_read(identity: Identity) -> None:
    person, mine = await certified(identity)
    for _ in range(PENDING_LIMIT):
        await ask(identity, issue_request(person, usage=AUTHENTICATE), mine)
    code = await identity.refused(ISSUE, issue_request(person, usage=AUTHENTICATE), mine)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    await ask(identity, issue_request(person), identity.as_operator)
    identity.clock.move(days=7)
    await ask(identity, issue_request(person, usage=AUTHENTICATE), later(identity, mine))


# --- What the transparency log is told ------------------------------------------------------------


async def happenings(identity: Identity, subject: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """What happened to the subject's certificates: kind, basis and officers."""
    async with identity.database.reading() as connection:
        events = await read_events(connection, after=0, limit=1_000)
    return [
        (happening.kind.name, happening.basis.name, happening.officers)
        for event in events
        if (happening := event.happening).subject == subject and happening.fingerprint
    ]


async def test_each_act_is_told_with_its_officers(identity: Identity) -> None:
    person = await identity.person()
    registrar, second = (
        await identity.official(Role.ROLE_REGISTRAR),
        await identity.official(Role.ROLE_REGISTRAR),
    )
    first = await ask(identity, issue_request(person), registrar.token)
    mine = identity.as_citizen(person, fingerprint_of(first.der))
    await ask(identity, issue_request(person), mine)
    waiting = await ask(identity, issue_request(person, usage=AUTHENTICATE), registrar.token)
    told = [("CERTIFIED", "ALONE", (registrar.subject,)), ("CERTIFIED", "RENEWAL", ())]
    assert await happenings(identity, person) == told, "what waits has not happened"
    await identity.approve(waiting, second.token)
    for _ in range(2):
        await identity.revoke(first.name, mine)
    assert await happenings(identity, person) == [
        *told,
        ("CERTIFIED", "APPROVED", (registrar.subject, second.subject)),
        ("CERTIFICATE_REVOKED", "ALONE", (person,)),
    ]


async def test_an_event_names_the_certificate_and_its_organization(identity: Identity) -> None:
    bank, officer, _ = await with_officer(identity)
    (certificate,) = await identity.certificates(officer)
    async with identity.database.reading() as connection:
        last = await get_last_number(connection)
        (event,) = await read_events(connection, after=last - 1, limit=1)
    assert event.happening.fingerprint == hashlib.sha256(certificate.der).digest()
    assert (event.happening.subject, event.happening.organization) == (officer, bank)


async def test_nothing_is_issued_that_the_log_does_not_take_and_everything_revoked(
    identity: Identity,
) -> None:
    person, mine = await certified(identity)
    waiting = await ask(identity, issue_request(person, usage=AUTHENTICATE), mine)
    async with identity.database.transaction() as connection:
        await advance_place(connection, REGISTRY, 1)
    identity.clock.move(hours=1)
    official = await identity.official()
    for method, request, token in (
        (ISSUE, issue_request(await identity.person()), official.token),
        (ISSUE, issue_request(person), later(identity, mine)),
        (APPROVE, approval(waiting), official.token),
    ):
        assert await identity.refused(method, request, token) == FAILED
    (certificate,) = await identity.certificates(person)
    await identity.revoke(certificate.name, later(identity, mine))


# --- A new platform -------------------------------------------------------------------------------


async def test_the_first_operator_certifies_the_second_alone_and_nobody_after(
    identity: Identity,
) -> None:
    second, third = await identity.person(), await identity.person()
    await identity.member(identity.platform, second, Role.ROLE_OPERATOR)
    made = await ask(identity, issue_request(second), identity.as_operator)
    assert made.state == ISSUED
    await identity.revoke(made.name, identity.as_operator)
    await identity.member(identity.platform, third, Role.ROLE_OPERATOR)
    assert (await ask(identity, issue_request(third), identity.as_operator)).state == PENDING


async def test_an_operator_who_had_a_certificate_before_counts_as_the_second(
    identity: Identity,
) -> None:
    second, _ = await certified(identity)
    await identity.member(identity.platform, second, Role.ROLE_OPERATOR)
    third = await identity.person()
    await identity.member(identity.platform, third, Role.ROLE_OPERATOR)
    assert (await ask(identity, issue_request(third), identity.as_operator)).state == PENDING


async def test_a_second_operator_counts_for_good(identity: Identity) -> None:
    second, _ = await certified(identity)
    await identity.member(identity.platform, second, Role.ROLE_OPERATOR)
    await identity.dismiss(second)
    third = await identity.person()
    request = subjects_pb2.AddMembershipRequest(
        organization=identity.platform,
        membership=subjects_pb2.Membership(person=third, role=access_pb2.ROLE_OPERATOR),
    )
    await identity.call("SubjectService/AddMembership", request, identity.as_operator)
    # Whose membership waits is no operator yet.
    assert (await ask(identity, issue_request(third), identity.as_operator)).state == PENDING


async def test_who_waits_to_become_an_operator_is_not_certified_alone(identity: Identity) -> None:
    uncertified, third = await identity.person(), await identity.person()
    for person in (uncertified, third):
        await identity.member(identity.platform, person, Role.ROLE_OPERATOR)
    assert (await ask(identity, issue_request(third), identity.as_operator)).state == PENDING
    made = await ask(identity, issue_request(uncertified), identity.as_operator)
    assert made.state == ISSUED


async def test_the_first_registrar_and_auditor_take_two_operators(identity: Identity) -> None:
    for role in (Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR):
        person = await identity.person()
        await identity.member(identity.platform, person, role)
        assert (await ask(identity, issue_request(person), identity.as_operator)).state == PENDING


# --- Insiders and thieves -------------------------------------------------------------------------


async def test_a_registrar_gets_no_certificate_over_another_persons_name(
    identity: Identity,
) -> None:
    person, _ = await certified(identity)
    registrar = await identity.official(Role.ROLE_REGISTRAR)
    for usage in (pb.CERTIFICATE_USAGE_SIGN, AUTHENTICATE):
        waiting = await ask(identity, issue_request(person, usage=usage), registrar.token)
        assert waiting.state == PENDING and not waiting.der
        assert await identity.refused(APPROVE, approval(waiting), registrar.token) == DENIED
    # Nor over an operator's.
    request = issue_request(identity.operator)
    assert await identity.refused(ISSUE, request, registrar.token) == DENIED


async def test_an_operator_alone_gets_no_certificate_over_anybody(identity: Identity) -> None:
    person, _ = await certified(identity)
    bank, officer, _ = await with_officer(identity)
    colleague = await identity.official()
    insider = await identity.official()
    for request in (
        issue_request(person),
        issue_request(officer, organization=bank),
        issue_request(bank),
        issue_request(bank, usage=AUTHENTICATE),
        issue_request(colleague.subject),
        issue_request(insider.subject, usage=AUTHENTICATE),
    ):
        waiting = await ask(identity, request, insider.token)
        assert waiting.state == PENDING and not waiting.der
        assert await identity.refused(APPROVE, approval(waiting), insider.token) == DENIED


async def test_a_stolen_token_gets_no_certificate(identity: Identity) -> None:
    person, mine = await certified(identity)
    request = issue_request(person)
    # All that a thief has is the token; the key that confirms is the holder's.
    thiefs = [("authorization", f"Bearer {mine}")]
    code = await identity.refused(ISSUE, request, headers=thiefs)
    assert code == grpc.StatusCode.UNAUTHENTICATED


async def test_what_a_thief_of_a_key_asked_for_ends_with_the_key(identity: Identity) -> None:
    person = await identity.person()
    made, _ = await identity.issue(person)
    thief = identity.as_citizen(person, fingerprint_of(made.der))
    waiting = await ask(identity, issue_request(person, usage=AUTHENTICATE), thief)
    await identity.revoke(made.name, identity.as_citizen(person))
    official = await identity.official()
    assert await identity.refused(APPROVE, approval(waiting), official.token) == FAILED
    renewed = await ask(identity, issue_request(person), thief)
    assert renewed.state == PENDING


async def test_a_request_made_for_one_person_is_certified_for_no_other(
    identity: Identity,
) -> None:
    first, mine = await certified(identity)
    second, theirs = await certified(identity)
    key = ec.generate_private_key(ec.SECP256R1())
    csr = certificate_request(key)
    request = pb.IssueCertificateRequest(subject=first, certificate_request=csr)
    assert (await ask(identity, request, mine)).state == ISSUED
    stolen = pb.IssueCertificateRequest(subject=second, certificate_request=csr)
    assert await identity.refused(ISSUE, stolen, theirs) == FAILED


@pytest.mark.parametrize("role", [Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR])
async def test_who_lost_their_role_has_nothing_approved(identity: Identity, role: Any) -> None:
    person, _ = await certified(identity)
    former = await identity.official(role)
    waiting = await ask(identity, issue_request(person), former.token)
    await identity.dismiss(former.subject)
    official = await identity.official()
    assert await identity.refused(APPROVE, approval(waiting), official.token) == FAILED
