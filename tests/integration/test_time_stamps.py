"""Time-stamps through the gateway, requested and verified by OpenSSL."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from qagazsyz.common.v1 import certificates_pb2 as statuses
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc
from qagazsyz.signing.v1 import verification_pb2, verification_pb2_grpc
from testing.enrolment import Actor
from tests.integration.world import TIMEOUT_SECONDS, World
from tests.openssl import openssl as judged

VALID = signatures_pb2.VERDICT_VALID
UNTRUSTED = signatures_pb2.VERDICT_UNTRUSTED_SIGNER
DOCUMENT = "Қағаз жоқ".encode()


async def openssl(*arguments: str | Path) -> str:
    """Run OpenSSL, which must succeed; return its output."""
    done = await judged(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def stamped(world: World, folder: Path, data: bytes) -> Path:
    """Get a time-stamp for OpenSSL's request; return the response once OpenSSL has verified it."""
    paper, query, reply = (folder / name for name in ("paper", "query.tsq", "reply.tsr"))
    paper.write_bytes(data)
    await openssl("ts", "-query", "-data", paper, "-sha256", "-cert", "-out", query)
    async with world.http() as http:
        answer = await http.post(
            "/pki/tsa",
            content=query.read_bytes(),
            headers={"content-type": "application/timestamp-query"},
        )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/timestamp-reply"
    reply.write_bytes(answer.content)
    root = world.suite.data / "identity" / "root.pem"
    asked = ("ts", "-verify", "-queryfile", query, "-in", reply, "-CAfile", root)
    assert "Verification: OK" in await openssl(*asked)
    return reply


async def verified(
    world: World, signer: Actor, signed: tuple[Any, bytes], time_stamp: bytes
) -> verification_pb2.VerifyResponse:
    """Verify the signer's signature over the document; return the verdict."""
    algorithm, signature = signed
    stub: Any = verification_pb2_grpc.VerificationServiceStub(world.client(world.operator).channel)
    request = verification_pb2.VerifyRequest(
        signer=verification_pb2.Signer(certificate=signer.credential.certificate),
        item=verification_pb2.SignedItem(
            algorithm=algorithm, message=DOCUMENT, signature=signature
        ),
        trust_policy=verification_pb2.TRUST_POLICY_CERTIFICATE,
        time_stamp=time_stamp,
    )
    answer: verification_pb2.VerifyResponse = await stub.Verify(request, timeout=TIMEOUT_SECONDS)
    return answer


async def test_a_stamped_signature_outlives_its_certificate(world: World, tmp_path: Path) -> None:
    signer = await world.citizen()
    signed = signer.credential.sign(DOCUMENT)
    _, signature = signed
    before = (await stamped(world, tmp_path, signature)).read_bytes()
    fingerprint = hashlib.sha256(signer.credential.certificate).hexdigest()
    certificates: Any = certificates_pb2_grpc.CertificateServiceStub(
        world.client(world.operator).channel
    )
    await certificates.RevokeCertificate(
        certificates_pb2.RevokeCertificateRequest(
            name=f"{signer.subject}/certificates/{fingerprint}",
            reason=certificates_pb2.REVOCATION_REASON_SUPERSEDED,
        ),
        timeout=TIMEOUT_SECONDS,
    )
    after = (await stamped(world, tmp_path, signature)).read_bytes()
    over_another = (await stamped(world, tmp_path, DOCUMENT)).read_bytes()

    async def verdict(time_stamp: bytes) -> tuple[int, int]:
        answer = await verified(world, signer, signed, time_stamp)
        return answer.verdict, answer.signer.certificate_status

    assert await verdict(before) == (VALID, statuses.CERTIFICATE_STATUS_GOOD)
    revoked = (UNTRUSTED, statuses.CERTIFICATE_STATUS_REVOKED)
    assert await verdict(after) == revoked
    assert await verdict(b"") == revoked
    invalid = (
        signatures_pb2.VERDICT_INVALID_TIME_STAMP,
        statuses.CERTIFICATE_STATUS_UNSPECIFIED,
    )
    assert await verdict(over_another) == invalid
    assert await verdict(before[:-1]) == invalid


async def test_a_bare_token_is_accepted_like_a_whole_response(world: World, tmp_path: Path) -> None:
    reply = await stamped(world, tmp_path, DOCUMENT)
    token = tmp_path / "token.der"
    await openssl("ts", "-reply", "-in", reply, "-token_out", "-out", token)
    stub: Any = certificates_pb2_grpc.CertificateServiceStub(world.client(world.operator).channel)
    answer = await stub.VerifyTimeStamps(
        certificates_pb2.VerifyTimeStampsRequest(
            time_stamps=[
                certificates_pb2.StampedData(token=token.read_bytes(), data=DOCUMENT),
                certificates_pb2.StampedData(
                    token=reply.read_bytes(), digest=hashlib.sha256(DOCUMENT).digest()
                ),
                certificates_pb2.StampedData(token=reply.read_bytes(), data=b"another"),
            ]
        ),
        timeout=TIMEOUT_SECONDS,
    )
    bare, whole, another = answer.checks
    assert bare == whole and bare.status == certificates_pb2.TIME_STAMP_STATUS_VALID
    assert another.status == certificates_pb2.TIME_STAMP_STATUS_WRONG_IMPRINT
    assert bare.authority.common_name.endswith("Time Stamping")
