"""A managed key cannot get a certificate that signs in, even with a request made by hand."""

from __future__ import annotations

import hashlib

import grpc
import pytest
from asn1crypto import algos, csr, keys, x509

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc
from tests.integration.world import TIMEOUT_SECONDS, World

SIGN = certificates_pb2.CERTIFICATE_USAGE_SIGN
AUTHENTICATE = certificates_pb2.CERTIFICATE_USAGE_AUTHENTICATE


async def test_a_request_made_by_hand_over_a_managed_key_is_certified_as_a_seal_only(
    world: World,
) -> None:
    officer, citizen = await world.officer(), await world.citizen()
    stub = keys_pb2_grpc.KeyServiceStub(world.client(officer).channel)
    algorithm = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256
    key = await stub.CreateKey(
        keys_pb2.CreateKeyRequest(
            key=keys_pb2.Key(organization=officer.organization, algorithm=algorithm)
        ),
        timeout=TIMEOUT_SECONDS,
    )
    rotated = await stub.RotateKey(
        keys_pb2.RotateKeyRequest(name=key.name), timeout=TIMEOUT_SECONDS
    )
    asked = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": x509.Name.build({}),
            "subject_pk_info": keys.PublicKeyInfo.load(rotated.versions[-1].public_key),
            "attributes": [],
        }
    )
    # The proof of possession is a signature over a digest, which the service cannot inspect.
    signed = await stub.Sign(
        keys_pb2.SignRequest(key=key.name, digest=hashlib.sha256(asked.dump()).digest()),
        timeout=TIMEOUT_SECONDS,
    )
    request = csr.CertificationRequest(
        {
            "certification_request_info": asked,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
            "signature": signed.signature,
        }
    ).dump()

    second = world.client(await world.second_operator())
    authority = certificates_pb2_grpc.CertificateServiceStub(second.channel)

    async def ask(subject: str, usage: int) -> certificates_pb2.Certificate:
        return await authority.IssueCertificate(
            certificates_pb2.IssueCertificateRequest(
                subject=subject,
                certificate_request=request,
                usage=usage,  # type: ignore[arg-type]
            ),
            timeout=TIMEOUT_SECONDS,
        )

    for subject, usage in (
        (citizen.subject, SIGN),
        (citizen.subject, AUTHENTICATE),
        (officer.organization, AUTHENTICATE),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(subject, usage)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "signing service manages this key" in str(caught.value.details())
    # The request is valid in all other respects.
    waiting = await ask(officer.organization, SIGN)
    assert (await world.enrolment().approve(waiting.name)).info.usage == SIGN
