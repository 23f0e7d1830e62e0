"""Registering certificates of external authorities: for whom, by whom, and which."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.validation.interface import CertificateStatus, ValidationResult
from services.identity.validation.validator import Validator
from services.identity.x509.inspection import fingerprint_of
from tests.unit.identity.chains import AUTHORITY, Profile, make
from tests.unit.identity.service import Identity

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
REGISTER = "CertificateService/RegisterCertificate"


async def test_callers_register_certificates_only_for_themselves(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    theirs, _ = await identity.issue(person)
    missing = f"subjects/{uuid.uuid4()}"
    for subject, token in (
        (person, identity.as_citizen(await identity.person())),
        (organization, identity.as_citizen(person)),
        (organization, identity.as_registrar),
        (missing, identity.as_registrar),
        (missing, identity.as_citizen(person)),
        (person, identity.as_officer(organization, person)),
        (organization, identity.as_officer(organization)),
    ):
        request = pb.RegisterCertificateRequest(subject=subject, der=theirs.der)
        assert await identity.refused(REGISTER, request, token) == DENIED


async def test_a_certificate_of_another_number_or_of_no_trusted_authority_is_not_registered(
    identity: Identity,
) -> None:
    person, other = await identity.person(), await identity.person()
    theirs, _ = await identity.issue(person)
    for token in (identity.as_citizen(other), identity.as_registrar, identity.as_operator):
        request = pb.RegisterCertificateRequest(subject=other, der=theirs.der)
        assert await identity.refused(REGISTER, request, token) == INVALID
    # No external authority is trusted here, and the own one registers what it issues.
    request = pb.RegisterCertificateRequest(subject=person, der=theirs.der)
    code = await identity.refused(REGISTER, request, identity.as_citizen(person))
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_certificates_out_of_bounds_are_refused_by_their_field(identity: Identity) -> None:
    person = await identity.person()
    theirs, _ = await identity.issue(person)
    unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x")
    large = make(Profile(name=x509.Name([unit] * 3_800)), make(AUTHORITY)).der
    for request, field in (
        (pb.RegisterCertificateRequest(der=large), "der"),
        (pb.RegisterCertificateRequest(der=theirs.der, chain=[theirs.der, large]), "chain[1]"),
    ):
        request.subject = person
        with pytest.raises(grpc.aio.AioRpcError, match="more than 64 attributes") as caught:
            await identity.call(REGISTER, request, identity.as_citizen(person))
        assert caught.value.code() == INVALID
        assert str(caught.value.details()).startswith(f"{field}: ")


async def test_a_person_registers_their_own_certificate_with_a_second_one(
    identity: Identity, judged: dict[str, CertificateStatus]
) -> None:
    person, iin = await numbered(identity)
    first, second, third = (outside(iin) for _ in range(3))
    made = await register(identity, person, first, identity.as_registrar)
    assert (made.state, made.der) == (pb.CERTIFICATE_STATE_ISSUED, first)
    mine = identity.as_citizen(person, made.name.rpartition("/")[2])
    for token in (mine, identity.as_registrar, identity.as_operator):
        waiting = await register(identity, person, outside(iin), token)
        assert waiting.state == pb.CERTIFICATE_STATE_PENDING and not waiting.der
    waiting = await register(identity, person, second, mine)
    approved = await identity.approve(waiting)
    assert approved.name == f"{person}/certificates/{fingerprint_of(second)}"
    # Its authority is asked again at the approval.
    waiting = await register(identity, person, third, mine)
    judged["status"] = CertificateStatus.REVOKED
    approval = pb.ApproveCertificateRequest(name=waiting.name)
    official = await identity.official()
    code = await identity.refused("CertificateService/ApproveCertificate", approval, official.token)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_registered_certificate_is_registered_once(
    identity: Identity, judged: dict[str, CertificateStatus]
) -> None:
    assert judged
    person, iin = await numbered(identity)
    der = outside(iin)
    await register(identity, person, der, identity.as_operator)
    request = pb.RegisterCertificateRequest(subject=person, der=der, chain=CHAIN)
    code = await identity.refused(REGISTER, request, identity.as_operator)
    assert code == grpc.StatusCode.ALREADY_EXISTS


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[str, CertificateStatus]:
    """What the validator finds of every outside certificate: GOOD, until a test says otherwise."""
    found = {"status": CertificateStatus.GOOD}

    async def validate(
        _self: Validator, _der: bytes, intermediates: Sequence[bytes], *, at: datetime
    ) -> ValidationResult:
        assert list(intermediates) == CHAIN
        return ValidationResult(found["status"], at)

    monkeypatch.setattr(Validator, "validate", validate)
    return found


CHAIN = [make(AUTHORITY).der, make(AUTHORITY).der]


def outside(iin: str) -> bytes:
    """An outside certificate over the number, and a key of its own."""
    number = x509.NameAttribute(NameOID.SERIAL_NUMBER, f"IIN{iin}")
    return make(Profile(name=x509.Name([number]))).der


async def numbered(identity: Identity) -> tuple[str, str]:
    """A new person and their IIN."""
    iin = identity.iin()
    return await identity.person(iin=iin), iin


async def register(identity: Identity, subject: str, der: bytes, token: str) -> pb.Certificate:
    request = pb.RegisterCertificateRequest(subject=subject, der=der, chain=CHAIN)
    registered: pb.Certificate = await identity.call(REGISTER, request, token)
    return registered
