"""What the own authority publishes, as OpenSSL reads it: its OCSP answers and its CRL."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from google.api.httpbody_pb2 import HttpBody

from qagazsyz.identity.v1 import certificates_pb2 as pb
from tests.openssl import openssl
from tests.unit.identity.service import Identity


async def ocsp_text(identity: Identity, tmp_path: Path, certificate: pb.Certificate) -> str:
    """What openssl reads from the responder's answer about a certificate, verified."""
    leaf, chain = tmp_path / "leaf.pem", tmp_path / "chain.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM))
    answer = await identity.call(
        "AuthorityService/GetAuthorityChain", pb.GetAuthorityChainRequest()
    )
    chain.write_bytes(answer.data)
    issuer = identity.folder / "authority.pem"
    asked, answered = tmp_path / "request.der", tmp_path / "response.der"
    about = ("ocsp", "-issuer", issuer, "-cert", leaf)
    await openssl(*about, "-reqout", asked)
    response = await identity.call(
        "AuthorityService/AnswerOcsp",
        pb.AnswerOcspRequest(body=HttpBody(data=asked.read_bytes())),
    )
    answered.write_bytes(response.data)
    root = identity.folder / "root.pem"
    # The request that is read has its nonce already.
    trust = ("-CAfile", root, "-verify_other", chain, "-no_nonce")
    result = await openssl(*about, "-reqin", asked, "-respin", answered, *trust)
    assert "Response verify OK" in result.stderr, result.stderr
    return result.stdout


async def test_openssl_accepts_the_ocsp_responders_answers(
    identity: Identity, tmp_path: Path
) -> None:
    made, _ = await identity.issue(await identity.person())
    assert "leaf.pem: good" in await ocsp_text(identity, tmp_path, made)
    await identity.revoke(made.name, identity.as_operator, pb.REVOCATION_REASON_SUPERSEDED)
    text = await ocsp_text(identity, tmp_path, made)
    assert "leaf.pem: revoked" in text and "superseded" in text


@pytest.mark.parametrize("data", [b"", b"x", b"0" * 60_000, b"\x30\x03\x02\x01\x00"])
async def test_a_malformed_ocsp_request_is_answered_as_such(
    identity: Identity, data: bytes
) -> None:
    answer = await identity.call(
        "AuthorityService/AnswerOcsp", pb.AnswerOcspRequest(body=HttpBody(data=data))
    )
    assert (
        ocsp.load_der_ocsp_response(answer.data).response_status
        == ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    )


async def test_the_crl_lists_a_revoked_certificate(identity: Identity, tmp_path: Path) -> None:
    made, _ = await identity.issue(await identity.person())
    path = tmp_path / "list.der"

    async def revoked() -> str:
        answer = await identity.call(
            "AuthorityService/GetRevocationList", pb.GetRevocationListRequest()
        )
        path.write_bytes(answer.data)
        issuer = identity.folder / "authority.pem"
        reading = ("crl", "-inform", "DER", "-in", path, "-noout", "-text")
        result = await openssl(*reading, "-CAfile", issuer, "-verify")
        assert "verify OK" in result.stderr, result.stderr
        return result.stdout.replace(":", "").lower()

    first = await revoked()
    assert made.serial_number not in first
    await identity.revoke(made.name, identity.as_operator)
    assert made.serial_number in await revoked()
    # One list after its end names it still (RFC 5280, section 3.3).
    identity.clock.now = made.not_after.ToDatetime(UTC)
    identity.clock.move(hours=13)
    assert made.serial_number in await revoked()
    identity.clock.move(days=3)
    assert made.serial_number not in await revoked()
