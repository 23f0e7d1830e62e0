"""Keys that the signing service manages cannot sign in, and are certified as seals only."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from asn1crypto import keys as asn1
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import func, select

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.tables import managed_keys
from tests.unit.identity.service import AUTHENTICATE, SIGN, Identity, certificate_request

MANAGE = "CertificateService/HoldKeys"
EXCHANGE = "TokenService/ExchangeToken"
ISSUE = "CertificateService/IssueCertificate"
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED = grpc.StatusCode.FAILED_PRECONDITION


def spki(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def with_compressed_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The same key's other SubjectPublicKeyInfo."""
    info = asn1.PublicKeyInfo.load(spki(key))
    info["public_key"] = asn1.ECPointBitString(
        key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    )
    encoded: bytes = info.dump(force=True)
    return encoded


async def manage(identity: Identity, *public_keys: bytes) -> None:
    await identity.call(MANAGE, pb.HoldKeysRequest(public_keys=public_keys), identity.as_signing)


async def count(identity: Identity) -> int:
    async with identity.database.reading() as connection:
        query = select(func.count()).select_from(managed_keys)
        return (await connection.execute(query)).scalar_one()


@pytest.mark.parametrize("usage", [SIGN, AUTHENTICATE])
@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "Ed25519", "RSA"],
)
async def test_a_managed_key_signs_no_person_in(
    identity: Identity, usage: pb.CertificateUsage, key: Any
) -> None:
    certificate, _ = await identity.issue(await identity.person(), usage=usage, key=key)
    await identity.sign_in(certificate.der, key)
    await manage(identity, spki(key))
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_a_managed_key_signs_no_information_system_in(
    identity: Identity,
) -> None:
    certificate, key = await identity.issue(await identity.organization(), usage=AUTHENTICATE)
    await identity.sign_in(certificate.der, key)
    await manage(identity, spki(key))
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_the_refusal_is_that_of_a_certificate_that_is_not_valid(identity: Identity) -> None:
    details = set()
    for is_managed in (True, False):
        certificate, key = await identity.issue(await identity.person())
        if is_managed:
            await manage(identity, spki(key))
        else:
            await identity.revoke(certificate.name, identity.as_operator)
        request = await identity.exchange(certificate.der, key)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await identity.call(EXCHANGE, request)
        details.add((caught.value.code(), caught.value.details()))
    assert len(details) == 1


async def test_another_key_still_signs_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    await manage(identity, spki(ec.generate_private_key(ec.SECP256R1())))
    assert await identity.sign_in(certificate.der, key)


async def test_a_managed_key_is_certified_as_a_seal_only(identity: Identity) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    await manage(identity, spki(key))
    person, organization = await identity.person(), await identity.organization()
    await identity.member(organization, person)
    for subject, usage, employer in (
        (person, SIGN, ""),
        (person, AUTHENTICATE, ""),
        (person, SIGN, organization),
        (organization, AUTHENTICATE, ""),
    ):
        request = pb.IssueCertificateRequest(
            subject=subject,
            usage=usage,
            organization=employer,
            certificate_request=certificate_request(key),
        )
        assert await identity.refused(ISSUE, request, identity.as_operator) == FAILED
    seal, _ = await identity.issue(organization, key=key)
    assert seal.info.usage == SIGN


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_both_forms_of_a_point_are_one_key(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    compressed = with_compressed_point(key)
    assert compressed != spki(key)
    assert key_fingerprint(compressed) == key_fingerprint(spki(key))


async def test_a_key_announced_in_compressed_form_does_not_sign_in(
    identity: Identity,
) -> None:
    certificate, key = await identity.issue(await identity.person())
    await manage(identity, with_compressed_point(key))
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_announcing_a_key_again_changes_nothing(identity: Identity) -> None:
    first, second = (spki(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    await manage(identity, first)
    await manage(identity, first, second, second)
    await asyncio.gather(*(manage(identity, first, second) for _ in range(4)))
    assert await count(identity) == 2
    await manage(identity)
    assert await count(identity) == 2


async def test_one_malformed_key_refuses_all(identity: Identity) -> None:
    good = spki(ec.generate_private_key(ec.SECP256R1()))
    weak = spki(rsa.generate_private_key(65537, 1024))  # noqa: S505 - that it is refused
    for bad in (b"", b"key", good[:-1], good + b"\0", weak):
        request = pb.HoldKeysRequest(public_keys=[good, bad])
        assert await identity.refused(MANAGE, request, identity.as_signing) == INVALID
    many = pb.HoldKeysRequest(public_keys=[good] * 1_001)
    assert await identity.refused(MANAGE, many, identity.as_signing) == INVALID
    assert await count(identity) == 0


async def test_only_services_announce_keys(identity: Identity) -> None:
    for token in (identity.as_operator, identity.as_registrar, identity.as_officer("subjects/o")):
        code = await identity.refused(MANAGE, pb.HoldKeysRequest(), token)
        assert code == grpc.StatusCode.PERMISSION_DENIED
