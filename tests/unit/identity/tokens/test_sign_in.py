"""Exchanging a signed challenge for a token: the signature, the certificate, one exchange only."""

from __future__ import annotations

from typing import cast

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from qagazsyz.common.v1 import signatures_pb2
from services.identity.tokens import sign_in
from signatures.x509 import is_signed_by_certificate
from tests.unit.identity.chains import GostKey, Profile, make
from tests.unit.identity.service import CONCURRENT, Identity, outcomes

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
EXCHANGE = "TokenService/ExchangeToken"
# Self-made, over the kind of key that is verified most slowly.
UNKNOWN = make(Profile(), key=GostKey()).der


async def test_one_of_many_concurrent_exchanges_of_a_challenge_succeeds(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    found = await outcomes(
        *(identity.call("TokenService/ExchangeToken", request) for _ in range(CONCURRENT))
    )
    assert found == {"OK": 1, "UNAUTHENTICATED": CONCURRENT - 1}


async def test_a_refused_sign_in_leaves_the_challenge_unused(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    certificate, key = await identity.issue(person)
    request = await identity.exchange(certificate.der, key, organization)
    code = await identity.refused("TokenService/ExchangeToken", request)
    assert code == grpc.StatusCode.PERMISSION_DENIED
    await identity.member(organization, person)
    await identity.call("TokenService/ExchangeToken", request)


async def test_a_signature_by_another_key_is_refused(identity: Identity) -> None:
    certificate, _ = await identity.issue(await identity.person())
    for key in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        request = await identity.exchange(certificate.der, key)
        assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


@pytest.mark.parametrize("algorithm", [0, 8, 14, 99, -1])
async def test_an_algorithm_that_is_not_the_keys_is_refused(
    identity: Identity, algorithm: int
) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    request.algorithm = cast("signatures_pb2.SignatureAlgorithm", algorithm)
    code = await identity.refused(EXCHANGE, request)
    assert code == (UNAUTHENTICATED if algorithm else grpc.StatusCode.INVALID_ARGUMENT)


async def test_a_revoked_certificate_does_not_sign_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    await identity.revoke(certificate.name, identity.as_operator)
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_an_expired_certificate_does_not_sign_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    identity.clock.move(days=366)
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The certificates whose key a signature was verified with."""
    verified: list[bytes] = []

    def counted(certificate: bytes, algorithm: int, message: bytes, signature: bytes) -> bool:
        verified.append(certificate)
        return is_signed_by_certificate(certificate, algorithm, message, signature)

    monkeypatch.setattr(sign_in, "is_signed_by_certificate", counted)
    return verified


async def test_an_unknown_certificate_costs_no_verification(
    identity: Identity, verifications: list[bytes]
) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    request.certificate = UNKNOWN
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED
    assert verifications == []
    await identity.sign_in(certificate.der, key)
    assert verifications == [certificate.der]


async def test_a_refusal_does_not_tell_whether_the_certificate_is_registered(
    identity: Identity,
) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    texts = set()
    for der, signature in ((UNKNOWN, request.signature), (certificate.der, b"\0" * 64)):
        request.certificate, request.signature = der, signature
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await identity.call(EXCHANGE, request)
        texts.add(caught.value.details())
    assert texts == {"the certificate or the signature is not valid"}
