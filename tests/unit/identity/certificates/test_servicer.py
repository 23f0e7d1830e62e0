"""CertificateService: who may read and revoke whose certificates."""

from __future__ import annotations

import uuid
from typing import cast

import grpc

from qagazsyz.identity.v1 import certificates_pb2 as pb
from tests.unit.identity.service import Identity

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
GET = "CertificateService/GetCertificate"
LIST = "CertificateService/ListCertificates"
REVOKE = "CertificateService/RevokeCertificate"


async def test_a_persons_certificates_are_their_own(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    theirs, _ = await identity.issue(person)
    seal, _ = await identity.issue(organization)
    stranger = identity.as_citizen(await identity.person())
    officer = identity.as_officer(organization)
    missing = f"subjects/{uuid.uuid4()}/certificates/{'0' * 64}"
    for token in (stranger, officer):
        for name in (theirs.name, missing):
            asked = pb.GetCertificateRequest(name=name)
            assert await identity.refused(GET, asked, token) == DENIED
        request = pb.GetCertificateRequest(name=seal.name)
        assert await identity.call(GET, request, token) == seal
        listing = pb.ListCertificatesRequest(subject=person)
        assert await identity.refused(LIST, listing, token) == DENIED
    mine = pb.GetCertificateRequest(name=theirs.name)
    own = identity.as_citizen(person)
    assert await identity.call(GET, mine, own) == theirs


async def test_callers_revoke_only_their_own_certificates(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    other = await identity.organization()
    await identity.member(organization, person)
    personal, _ = await identity.issue(person)
    employees, _ = await identity.issue(person, organization=organization)
    seal, _ = await identity.issue(organization)
    missing = f"{person}/certificates/{'0' * 64}"
    for name, token in (
        (personal.name, identity.as_citizen(await identity.person())),
        (personal.name, identity.as_officer(organization)),
        (seal.name, identity.as_officer(other)),
        (employees.name, identity.as_officer(other)),
        (seal.name, identity.as_registrar),
        (missing, identity.as_officer(organization)),
        (missing, identity.as_citizen(await identity.person())),
    ):
        request = pb.RevokeCertificateRequest(name=name)
        assert await identity.refused(REVOKE, request, token) == DENIED
    for name, token in (
        (seal.name, identity.as_officer(organization)),
        (employees.name, identity.as_officer(organization)),
        (personal.name, identity.as_citizen(person)),
    ):
        await identity.revoke(name, token)


async def test_revoking_twice_keeps_the_first_time_and_reason(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    first = await identity.revoke(
        made.name, identity.as_operator, pb.REVOCATION_REASON_KEY_COMPROMISE
    )
    identity.clock.move(minutes=1)
    again = await identity.revoke(made.name, identity.as_operator)
    assert again == first


async def test_an_unknown_reason_revokes_nothing(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    # 1 would be RFC 5280's "unspecified" plus one; 7 is certificateHold, which is not offered.
    for reason in (1, 7, 99, -1):
        request = pb.RevokeCertificateRequest(
            name=made.name, reason=cast("pb.RevocationReason", reason)
        )
        assert await identity.refused(REVOKE, request, identity.as_operator) == INVALID
    found = await identity.call(GET, pb.GetCertificateRequest(name=made.name), identity.as_operator)
    assert not found.HasField("revoke_time")
