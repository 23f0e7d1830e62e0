"""The OCSP responder, as OpenSSL and hostile clients see it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import quote

import pytest
from asn1crypto import core
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from google.api.httpbody_pb2 import HttpBody
from hypothesis import given
from hypothesis import strategies as st

from qagazsyz.identity.v1 import certificates_pb2
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.authority.ocsp_responder import MalformedRequest, read_request
from tests.openssl import openssl
from tests.unit.identity.service import Identity

Status = ocsp.OCSPResponseStatus


async def ask(identity: Identity, request: bytes) -> bytes:
    answer = await identity.call(
        "AuthorityService/AnswerOcsp", pb.AnswerOcspRequest(body=HttpBody(data=request))
    )
    assert answer.content_type == "application/ocsp-response"
    data: bytes = answer.data
    return data


def issuer(identity: Identity) -> x509.Certificate:
    path = identity.folder / "authority.pem"
    return x509.load_pem_x509_certificate(path.read_bytes())


def issuer_hashes(identity: Identity) -> tuple[bytes, bytes]:
    """SHA-1 of the own authority's name and of its key's bits."""
    authority = issuer(identity)
    key = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    return hashlib.sha1(
        authority.subject.public_bytes(), usedforsecurity=False
    ).digest(), key.digest


def make_request(
    identity: Identity, *serials: int, extensions: list[dict[str, object]] | None = None
) -> bytes:
    """A request about certificates of the own authority."""
    name_hash, key_hash = issuer_hashes(identity)
    items = [
        {
            "req_cert": {
                "hash_algorithm": {"algorithm": "sha1", "parameters": core.Null()},
                "issuer_name_hash": name_hash,
                "issuer_key_hash": key_hash,
                "serial_number": serial,
            }
        }
        for serial in serials
    ]
    asked: dict[str, object] = {"request_list": items}
    if extensions is not None:
        asked["request_extensions"] = extensions
    data: bytes = asn1_ocsp.OCSPRequest({"tbs_request": asked}).dump()
    return data


async def test_openssl_asks_about_several_certificates_at_once(
    identity: Identity, tmp_path: Path
) -> None:
    person = await identity.person()
    made = [(await identity.issue(person))[0] for _ in range(2)]
    await identity.revoke(made[1].name, identity.as_operator, pb.REVOCATION_REASON_KEY_COMPROMISE)
    authority = identity.folder / "authority.pem"
    root = identity.folder / "root.pem"
    leaves: list[str | Path] = []
    for number, certificate in enumerate(made):
        leaf = tmp_path / f"leaf{number}.pem"
        parsed = x509.load_der_x509_certificate(certificate.der)
        leaf.write_bytes(parsed.public_bytes(Encoding.PEM))
        leaves += ["-cert", leaf]
    about = ("ocsp", "-sha256", "-issuer", authority, *leaves, "-serial", "0xabcdef")
    request, response = tmp_path / "request.der", tmp_path / "response.der"
    await openssl(*about, "-reqout", request)
    response.write_bytes(await ask(identity, request.read_bytes()))
    judged = await openssl(
        *about, "-reqin", request, "-respin", response, "-no_nonce", "-CAfile", root
    )
    assert "Response verify OK" in judged.stderr, judged.stderr
    assert "leaf0.pem: good" in judged.stdout
    assert "leaf1.pem: revoked" in judged.stdout and "keyCompromise" in judged.stdout
    assert "0xabcdef: unknown" in judged.stdout


async def test_the_nonce_is_returned(identity: Identity) -> None:
    nonce = x509.OCSPNonce(b"n" * 32)
    builder = ocsp.OCSPRequestBuilder().add_extension(nonce, critical=False)
    builder = builder.add_certificate_by_hash(*issuer_hashes(identity), 5, hashes.SHA1())  # noqa: S303
    request = builder.build().public_bytes(Encoding.DER)
    answer = ocsp.load_der_ocsp_response(await ask(identity, request))
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value == nonce
    assert answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (0, ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
        (1, ocsp.OCSPResponseStatus.SUCCESSFUL),
        (128, ocsp.OCSPResponseStatus.SUCCESSFUL),
        (129, ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
        (1_000, ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
    ],
)
async def test_a_nonce_has_1_to_128_octets(
    identity: Identity, length: int, status: ocsp.OCSPResponseStatus
) -> None:
    builder = ocsp.OCSPRequestBuilder().add_extension(x509.OCSPNonce(b"n" * length), critical=False)
    builder = builder.add_certificate_by_hash(*issuer_hashes(identity), 5, hashes.SHA1())  # noqa: S303
    request = builder.build().public_bytes(Encoding.DER)
    assert ocsp.load_der_ocsp_response(await ask(identity, request)).response_status is status


async def test_a_get_carries_the_request_in_base64_percent_encoded_or_not(
    identity: Identity,
) -> None:
    data = make_request(identity, 5)
    for text in (base64.b64encode(data).decode(), quote(base64.b64encode(data), safe="")):
        answer = await identity.call(
            "AuthorityService/AnswerOcsp", certificates_pb2.AnswerOcspRequest(request=text)
        )
        read = ocsp.load_der_ocsp_response(answer.data)
        assert read.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    answer = await identity.call(
        "AuthorityService/AnswerOcsp", certificates_pb2.AnswerOcspRequest(request="%%%")
    )
    read = ocsp.load_der_ocsp_response(answer.data)
    assert read.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_an_answer_lives_for_minutes(identity: Identity) -> None:
    answer = ocsp.load_der_ocsp_response(await ask(identity, make_request(identity, 5)))
    now = identity.clock().replace(microsecond=0)
    assert answer.this_update_utc == now
    assert answer.next_update_utc is not None
    assert 0 < (answer.next_update_utc - now).total_seconds() <= 600


@pytest.mark.parametrize("serial", [0, -5, 1 << 300])
async def test_a_serial_number_that_was_not_issued_is_unknown(
    identity: Identity, serial: int
) -> None:
    answer = asn1_ocsp.OCSPResponse.load(await ask(identity, make_request(identity, serial)))
    (single,) = answer.response_data["responses"]
    assert single["cert_status"].name == "unknown"
    assert single["cert_id"]["serial_number"].native == serial


async def test_another_authoritys_certificate_is_not_answered_about(identity: Identity) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another")])
    stranger = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(identity.clock())
        .not_valid_after(identity.clock().replace(year=2050))
        .sign(key, hashes.SHA256())
    )
    request = ocsp.OCSPRequestBuilder().add_certificate(stranger, stranger, hashes.SHA256())
    data = await ask(identity, request.build().public_bytes(Encoding.DER))
    assert ocsp.load_der_ocsp_response(data).response_status is Status.UNAUTHORIZED


async def test_an_unknown_critical_extension_is_refused(identity: Identity) -> None:
    for critical, expected in ((True, Status.MALFORMED_REQUEST), (False, Status.SUCCESSFUL)):
        unknown: dict[str, object] = {
            "extn_id": "1.2.3.4",
            "critical": critical,
            "extn_value": core.ParsableOctetString(b"\x05\x00"),
        }
        data = await ask(identity, make_request(identity, 5, extensions=[unknown]))
        assert ocsp.load_der_ocsp_response(data).response_status is expected


async def test_no_truncation_of_a_request_breaks_the_responder(identity: Identity) -> None:
    whole = make_request(identity, 5, 6)
    for length in range(0, len(whole), 7):
        answer = ocsp.load_der_ocsp_response(await ask(identity, whole[:length]))
        assert answer.response_status is Status.MALFORMED_REQUEST


@given(st.binary(max_size=200))
def test_bytes_that_are_not_a_request_raise_malformed_request_only(data: bytes) -> None:
    try:
        read_request(data)
    except MalformedRequest:
        return
