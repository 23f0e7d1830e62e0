"""Registering certificates of external authorities: for whom, by whom, and which."""

from __future__ import annotations

import uuid

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from qagazsyz.identity.v1 import certificates_pb2 as pb
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
