"""Issuing certificates: who may have which, over which key."""

from __future__ import annotations

import asyncio
import uuid
from typing import cast

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.x509.inspection import fingerprint_of
from tests.builders import with_last_bit_flipped
from tests.unit.identity.service import (
    AUTHENTICATE,
    CONCURRENT,
    Identity,
    certificate_request,
    issue_request,
    outcomes,
)

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXISTS = grpc.StatusCode.ALREADY_EXISTS
ISSUE = "CertificateService/IssueCertificate"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"x",
        b"0\x80",
        with_last_bit_flipped(certificate_request(ec.generate_private_key(ec.SECP256R1()))),
        certificate_request(ec.generate_private_key(ec.SECP256K1())),
    ],
)
async def test_a_request_without_proof_of_possession_is_refused(
    identity: Identity, request_bytes: bytes
) -> None:
    request = pb.IssueCertificateRequest(
        subject=await identity.person(), certificate_request=request_bytes
    )
    code = await identity.refused(ISSUE, request, identity.as_operator)
    assert code == INVALID


async def test_a_citizen_asks_for_no_certificate_of_another(identity: Identity) -> None:
    person = await identity.person()
    organization = await identity.organization()
    mine = identity.as_citizen(person)
    for request in (
        issue_request(await identity.person()),
        issue_request(organization),
        issue_request(f"subjects/{uuid.uuid4()}"),
    ):
        assert await identity.refused(ISSUE, request, mine) == DENIED
    request = issue_request(person, organization=organization)
    assert await identity.refused(ISSUE, request, mine) == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_registrar_has_certificates_issued_to_people_only(identity: Identity) -> None:
    organization = await identity.organization()
    code = await identity.refused(ISSUE, issue_request(organization), identity.as_registrar)
    assert code == DENIED
    await identity.call(ISSUE, issue_request(await identity.person()), identity.as_registrar)


async def test_an_employee_must_be_a_member(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    request = issue_request(person, organization=organization)
    code = await identity.refused(ISSUE, request, identity.as_operator)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_request_that_asks_to_sign_gets_no_certificate_that_only_signs_in(
    identity: Identity,
) -> None:
    for subject in (await identity.organization(), await identity.person()):
        request = issue_request(subject, usage=AUTHENTICATE, signs=True)
        assert await identity.refused(ISSUE, request, identity.as_operator) == INVALID


async def test_an_unknown_usage_is_refused(identity: Identity) -> None:
    # 3 is the time-stamping authority's, which only the platform itself issues.
    for usage in (3, 99, -1):
        request = issue_request(await identity.person(), usage=cast("pb.CertificateUsage", usage))
        assert await identity.refused(ISSUE, request, identity.as_operator) == INVALID


async def test_a_repeated_request_issues_one_certificate(identity: Identity) -> None:
    request = issue_request(await identity.person(), request_id=str(uuid.uuid4()))
    first, second = [await identity.call(ISSUE, request, identity.as_operator) for _ in range(2)]
    assert first == second


async def test_a_repeated_issue_with_another_key_already_exists(identity: Identity) -> None:
    request = issue_request(await identity.person(), request_id=str(uuid.uuid4()))
    await identity.call(ISSUE, request, identity.as_operator)
    other = pb.IssueCertificateRequest()
    other.CopyFrom(request)
    other.certificate_request = issue_request(request.subject).certificate_request
    assert await identity.refused(ISSUE, other, identity.as_operator) == EXISTS


async def test_a_citizen_who_is_revoked_meanwhile_renews_nothing(identity: Identity) -> None:
    person = await identity.person()
    first, _ = await identity.issue(person)
    mine = identity.as_citizen(person, fingerprint_of(first.der))
    request = issue_request(person)
    await asyncio.gather(
        identity.revoke(first.name, mine),
        outcomes(*(identity.call(ISSUE, request, mine) for _ in range(CONCURRENT))),
    )
    # Once it is revoked, its key renews nothing.
    assert (await identity.call(ISSUE, request, mine)).state == pb.CERTIFICATE_STATE_PENDING
