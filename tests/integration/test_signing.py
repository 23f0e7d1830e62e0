"""Keys and verification through the real gateway: a seal made, certified, used and revoked."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from qagazsyz.common.v1 import certificates_pb2 as statuses
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc, verification_pb2, verification_pb2_grpc
from testing.enrolment import Actor
from tests.integration.world import TIMEOUT_SECONDS, World

P256 = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256
VALID = signatures_pb2.VERDICT_VALID
UNTRUSTED = signatures_pb2.VERDICT_UNTRUSTED_SIGNER
# The bound that certificates.proto states.
REVOKED_WITHIN_SECONDS = 5.0


def keys(world: World, actor: Actor) -> Any:
    return keys_pb2_grpc.KeyServiceStub(world.client(actor).channel)


def verification(world: World, actor: Actor) -> Any:
    return verification_pb2_grpc.VerificationServiceStub(world.client(actor).channel)


def certificates(world: World, actor: Actor) -> Any:
    return certificates_pb2_grpc.CertificateServiceStub(world.client(actor).channel)


async def create_key(world: World, officer: Actor) -> keys_pb2.Key:
    request = keys_pb2.CreateKeyRequest(
        key=keys_pb2.Key(organization=officer.organization, algorithm=P256),
        request_id=str(uuid.uuid4()),
    )
    key: keys_pb2.Key = await keys(world, officer).CreateKey(request, timeout=TIMEOUT_SECONDS)
    return key


async def certify(
    world: World, officer: Actor, key: keys_pb2.Key, usage: Any = None
) -> certificates_pb2.Certificate:
    """The key's certificate as the organization's seal, which an operator approves."""
    answer = await keys(world, officer).CreateCertificateRequest(
        keys_pb2.CreateCertificateRequestRequest(name=key.primary_version), timeout=TIMEOUT_SECONDS
    )
    waiting = await certificates(world, officer).IssueCertificate(
        certificates_pb2.IssueCertificateRequest(
            subject=officer.organization,
            certificate_request=answer.certificate_request,
            usage=usage or certificates_pb2.CERTIFICATE_USAGE_SIGN,
            request_id=str(uuid.uuid4()),
        ),
        timeout=TIMEOUT_SECONDS,
    )
    return await world.enrolment().approve(waiting.name)


async def seal(world: World, officer: Actor, key: keys_pb2.Key, message: bytes) -> bytes:
    signed = await keys(world, officer).Sign(
        keys_pb2.SignRequest(key=key.name, message=message), timeout=TIMEOUT_SECONDS
    )
    signature: bytes = signed.signature
    return signature


def question(
    certificate: bytes, message: bytes, signature: bytes
) -> verification_pb2.VerifyRequest:
    return verification_pb2.VerifyRequest(
        signer=verification_pb2.Signer(certificate=certificate),
        item=verification_pb2.SignedItem(algorithm=P256, message=message, signature=signature),
        trust_policy=verification_pb2.TRUST_POLICY_CERTIFICATE,
    )


async def refused(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    code: grpc.StatusCode = caught.value.code()
    return code


async def test_a_seal_is_made_certified_used_and_revoked(world: World) -> None:
    officer = await world.officer()
    citizen = await world.citizen()
    key = await create_key(world, officer)
    certificate = await certify(world, officer, key)
    signature = await seal(world, officer, key, b"document")
    stub = verification(world, citizen)
    good = await stub.Verify(question(certificate.der, b"document", signature))
    assert good.verdict == VALID
    assert good.signer.certificate_status == statuses.CERTIFICATE_STATUS_GOOD
    assert good.signer.subject == officer.organization
    bad = await stub.Verify(question(certificate.der, b"another", signature))
    assert bad.verdict == signatures_pb2.VERDICT_INVALID_SIGNATURE
    await certificates(world, officer).RevokeCertificate(
        certificates_pb2.RevokeCertificateRequest(
            name=certificate.name,
            reason=certificates_pb2.REVOCATION_REASON_KEY_COMPROMISE,
        ),
        timeout=TIMEOUT_SECONDS,
    )
    revoked_at = time.monotonic()
    while True:
        asked_at = time.monotonic()
        answer = await stub.Verify(question(certificate.der, b"document", signature))
        if answer.verdict != VALID:
            break
        assert asked_at - revoked_at < REVOKED_WITHIN_SECONDS
    assert answer.verdict == UNTRUSTED
    assert answer.signer.certificate_status == statuses.CERTIFICATE_STATUS_REVOKED


async def test_a_managed_key_is_certified_for_seals_only(world: World) -> None:
    officer = await world.officer()
    key = await create_key(world, officer)
    usage = certificates_pb2.CERTIFICATE_USAGE_AUTHENTICATE
    code = await refused(certify(world, officer, key, usage))
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


async def test_a_sign_in_certificate_signs_no_document(world: World) -> None:
    officer = await world.officer()
    credential = await world.enrolment().further_credential(
        officer.subject, usage=certificates_pb2.CERTIFICATE_USAGE_AUTHENTICATE
    )
    _, signature = credential.sign(b"document")
    answer = await verification(world, officer).Verify(
        question(credential.certificate, b"document", signature)
    )
    assert answer.verdict == UNTRUSTED
    assert answer.signer.certificate_status == statuses.CERTIFICATE_STATUS_WRONG_USAGE


async def test_a_key_is_used_by_its_organizations_officers_only(world: World) -> None:
    officer, other, citizen = await world.officer(), await world.officer(), await world.citizen()
    key = await create_key(world, officer)
    for stranger in (other, citizen, world.operator):
        code = await refused(seal(world, stranger, key, b"document"))
        assert code == grpc.StatusCode.PERMISSION_DENIED
    for name in (key.name, "keys/no-such-key"):
        request = keys_pb2.RotateKeyRequest(name=name)
        code = await refused(keys(world, other).RotateKey(request))
        assert code == grpc.StatusCode.PERMISSION_DENIED
    listed = await keys(world, officer).ListKeys(keys_pb2.ListKeysRequest())
    assert [k.name for k in listed.keys] == [key.name]


async def test_a_key_for_an_organization_that_does_not_exist_is_refused(world: World) -> None:
    request = keys_pb2.CreateKeyRequest(
        key=keys_pb2.Key(organization="subjects/nobody", algorithm=P256)
    )
    code = await refused(keys(world, world.operator).CreateKey(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


async def test_keys_and_verdicts_over_json(world: World) -> None:
    officer = await world.officer()
    headers = await world.headers(officer)
    key_id = f"seal-{uuid.uuid4()}"
    create = keys_pb2.CreateKeyRequest(
        key=keys_pb2.Key(
            organization=officer.organization,
            algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
        ),
        key_id=key_id,
    )
    async with world.http() as http:
        created = await http.post(
            f"/v1/keys?keyId={key_id}",
            json={
                "organization": officer.organization,
                "algorithm": "SIGNATURE_ALGORITHM_ED25519",
            },
            headers=await world.confirmed(
                officer, "qagazsyz.signing.v1.KeyService/CreateKey", create
            ),
        )
        assert created.status_code == 200, created.text
        name = created.json()["name"]
        assert name.startswith(f"keys/{key_id}-")
        signed = await http.post(f"/v1/{name}:sign", json={"message": "bQ=="}, headers=headers)
        assert signed.status_code == 200
        verdict = await http.post(
            "/v1/signatures:verify",
            json={
                "signer": {"keyVersion": signed.json()["keyVersion"]},
                "item": {
                    "algorithm": "SIGNATURE_ALGORITHM_ED25519",
                    "message": "bQ==",
                    "signature": signed.json()["signature"],
                },
            },
            headers=headers,
        )
        assert verdict.json()["verdict"] == "VERDICT_VALID"
        refusal = await http.post(
            f"/v1/{name}:sign",
            # "qagazsyz sign-in v1"
            json={"message": "cWFnYXpzeXogc2lnbi1pbiB2MQ=="},
            headers=headers,
        )
        assert refusal.status_code == 400


async def test_ten_thousand_items_and_a_stream_through_the_gateway(world: World) -> None:
    citizen = await world.citizen()
    credential = citizen.credential
    spki = credential.private_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    algorithm, signature = credential.sign(b"document")
    good = verification_pb2.SignedItem(
        algorithm=algorithm, message=b"document", signature=signature
    )
    spoiled = verification_pb2.SignedItem(
        algorithm=algorithm, message=b"another", signature=signature
    )
    bad = {0, 17, 4_999, 9_999}
    request = verification_pb2.BatchVerifyRequest(
        signers=[verification_pb2.Signer(public_key=spki)],
        items=[spoiled if number in bad else good for number in range(10_000)],
    )
    stub = verification(world, citizen)
    answer = await stub.BatchVerify(request, timeout=60)
    assert {n for n, verdict in enumerate(answer.verdicts) if verdict != VALID} == bad

    async def requests() -> AsyncIterator[verification_pb2.StreamVerifyRequest]:
        for _ in range(3):
            yield verification_pb2.StreamVerifyRequest(
                batch=verification_pb2.BatchVerifyRequest(
                    signers=request.signers, items=request.items[:100]
                )
            )
            await asyncio.sleep(0)

    answers = [item async for item in stub.StreamVerify(requests(), timeout=60)]
    assert [(item.sequence, item.batch.valid_count) for item in answers] == [
        (0, 98),
        (1, 98),
        (2, 98),
    ]
