"""Keys that the signing service holds sign nobody in, and are certified as seals only."""

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
from services.identity.tables import held_keys
from tests.unit.identity.conftest import Identity, certificate_request

SIGN, AUTHENTICATE = 1, 2
HOLD = "CertificateService/HoldKeys"
EXCHANGE = "TokenService/ExchangeToken"
ISSUE = "CertificateService/IssueCertificate"
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED = grpc.StatusCode.FAILED_PRECONDITION


def spki(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def with_short_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The same key's other SubjectPublicKeyInfo."""
    info = asn1.PublicKeyInfo.load(spki(key))
    info["public_key"] = asn1.ECPointBitString(
        key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    )
    encoded: bytes = info.dump(force=True)
    return encoded


async def hold(identity: Identity, *public_keys: bytes) -> None:
    await identity.call(HOLD, pb.HoldKeysRequest(public_keys=public_keys), identity.as_service)


async def count(identity: Identity) -> int:
    async with identity.database.reading() as connection:
        query = select(func.count()).select_from(held_keys)
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
async def test_a_person_is_not_signed_in_by_a_key_that_is_held(
    identity: Identity, usage: int, key: Any
) -> None:
    certificate, _ = await identity.issue(await identity.person(), usage=usage, key=key)
    await identity.sign_in(certificate.der, key)
    await hold(identity, spki(key))
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_an_information_system_is_not_signed_in_by_a_key_that_is_held(
    identity: Identity,
) -> None:
    certificate, key = await identity.issue(await identity.organization(), usage=AUTHENTICATE)
    await identity.sign_in(certificate.der, key)
    await hold(identity, spki(key))
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_the_refusal_is_that_of_a_certificate_that_does_not_hold(identity: Identity) -> None:
    details = set()
    for holds in (True, False):
        certificate, key = await identity.issue(await identity.person())
        if holds:
            await hold(identity, spki(key))
        else:
            await identity.call(
                "CertificateService/RevokeCertificate",
                pb.RevokeCertificateRequest(name=certificate.name),
                identity.as_operator,
            )
        request = await identity.exchange(certificate.der, key)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await identity.call(EXCHANGE, request)
        details.add((caught.value.code(), caught.value.details()))
    assert len(details) == 1


async def test_another_key_still_signs_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    await hold(identity, spki(ec.generate_private_key(ec.SECP256R1())))
    assert await identity.sign_in(certificate.der, key)


async def test_a_held_key_is_certified_as_a_seal_only(identity: Identity) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    await hold(identity, spki(key))
    person, organization = await identity.person(), await identity.organization()
    await identity.member(organization, person)
    for fields in (
        {"subject": person},
        {"subject": person, "usage": AUTHENTICATE},
        {"subject": person, "organization": organization},
        {"subject": organization, "usage": AUTHENTICATE},
    ):
        request = pb.IssueCertificateRequest(
            certificate_request=certificate_request(key),
            **fields,  # type: ignore[arg-type]
        )
        assert await identity.refused(ISSUE, request, identity.as_operator) == FAILED
    seal, _ = await identity.issue(organization, key=key)
    assert seal.info.usage == SIGN


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_both_forms_of_a_point_are_one_key(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    short = with_short_point(key)
    assert short != spki(key)
    assert key_fingerprint(short) == key_fingerprint(spki(key))


async def test_a_key_that_was_held_in_the_short_form_signs_nobody_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    await hold(identity, with_short_point(key))
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_saying_it_again_changes_nothing(identity: Identity) -> None:
    first, second = (spki(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    await hold(identity, first)
    await hold(identity, first, second, second)
    await asyncio.gather(*(hold(identity, first, second) for _ in range(4)))
    assert await count(identity) == 2
    await hold(identity)
    assert await count(identity) == 2


async def test_one_key_that_cannot_be_read_refuses_all(identity: Identity) -> None:
    good = spki(ec.generate_private_key(ec.SECP256R1()))
    weak = spki(rsa.generate_private_key(65537, 1024))  # noqa: S505 - that it is refused
    for bad in (b"", b"key", good[:-1], good + b"\0", weak):
        request = pb.HoldKeysRequest(public_keys=[good, bad])
        assert await identity.refused(HOLD, request, identity.as_service) == INVALID
    many = pb.HoldKeysRequest(public_keys=[good] * 1_001)
    assert await identity.refused(HOLD, many, identity.as_service) == INVALID
    assert await count(identity) == 0


async def test_only_services_say_what_is_held(identity: Identity) -> None:
    for token in (identity.as_operator, identity.as_registrar, identity.as_officer("subjects/o")):
        code = await identity.refused(HOLD, pb.HoldKeysRequest(), token)
        assert code == grpc.StatusCode.PERMISSION_DENIED
