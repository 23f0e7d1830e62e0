"""Almost certificates and almost requests: refused in clear words, never an internal error."""

from __future__ import annotations

import hashlib
from typing import cast

import grpc
import pytest
from asn1crypto import core, csr
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import Message

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2 as pb
from qagazsyz.identity.v1 import tokens_pb2
from tests.unit.identity.service import Identity, certificate_request

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


def altered(der: bytes, change: str) -> bytes:
    """The certificate with one malformed part."""
    certificate = asn1_x509.Certificate.load(der)
    inner = certificate["tbs_certificate"]
    if change == "version":
        inner["version"] = 2
        data: bytes = certificate.dump(force=True)
        return data.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    if change == "extension twice":
        inner["extensions"].append(inner["extensions"][0])
    if change == "serial":
        inner["serial_number"] = -1
    if change == "validity":
        inner["validity"]["not_after"] = asn1_x509.Time(
            "utc_time", core.UTCTime(inner["validity"]["not_before"].native.replace(year=1999))
        )
    if change == "key":
        inner["subject_public_key_info"]["public_key"] = b"\x04" + bytes(64)
    data = certificate.dump(force=True)
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("change", ["version", "extension twice", "serial", "validity", "key"])
async def test_a_malformed_certificate_is_checked_and_neither_registers_nor_signs_in(
    identity: Identity, change: str
) -> None:
    person = await identity.person()
    made, key = await identity.issue(person)
    odd = altered(made.der, change)
    answer = await identity.call(
        "CertificateService/BatchCheckCertificates",
        pb.BatchCheckCertificatesRequest(certificates=[made.der, odd, made.der]),
        identity.as_service,
    )
    first, altered_check, last = answer.checks
    assert first.status == last.status == Status.CERTIFICATE_STATUS_GOOD
    assert altered_check.status in (
        Status.CERTIFICATE_STATUS_MALFORMED,
        Status.CERTIFICATE_STATUS_UNTRUSTED,
    )
    register = pb.RegisterCertificateRequest(subject=person, der=odd)
    code = await identity.refused(
        "CertificateService/RegisterCertificate", register, identity.as_operator
    )
    assert code in (INVALID, grpc.StatusCode.FAILED_PRECONDITION)
    exchange = await identity.exchange(made.der, key)
    exchange.certificate = odd
    assert await identity.refused("TokenService/ExchangeToken", exchange) == UNAUTHENTICATED


async def test_no_truncation_of_a_certificate_breaks_a_batch(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    pieces = [made.der[:length] for length in range(0, len(made.der), 3)]
    answer = await identity.call(
        "CertificateService/BatchCheckCertificates",
        pb.BatchCheckCertificatesRequest(certificates=pieces),
        identity.as_service,
    )
    assert {check.status for check in answer.checks} == {Status.CERTIFICATE_STATUS_MALFORMED}


def request_with_key(key: ec.EllipticCurvePrivateKey, spki: bytes, *, twice: bool = False) -> bytes:
    """A PKCS#10 request over another key than the one that signs it."""
    info = csr.CertificationRequestInfo.load(
        csr.CertificationRequest.load(certificate_request(key, signs=True))[
            "certification_request_info"
        ].dump()
    )
    info["subject_pk_info"] = asn1_x509.PublicKeyInfo.load(spki)
    if twice:
        extensions = info["attributes"][0]["values"][0]
        extensions.append(extensions[0])
    signed = csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": key.sign(info.dump(force=True), ec.ECDSA(hashes.SHA256())),
        }
    )
    data: bytes = signed.dump()
    return data


def spki(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


async def issuing_refused(identity: Identity, request: bytes) -> grpc.StatusCode:
    asked = pb.IssueCertificateRequest(subject=await identity.person(), certificate_request=request)
    return await identity.refused(
        "CertificateService/IssueCertificate", asked, identity.as_operator
    )


async def test_anothers_key_is_not_certified(identity: Identity) -> None:
    mine, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    assert await issuing_refused(identity, request_with_key(mine, spki(theirs))) == INVALID


async def test_a_request_whose_extensions_repeat_is_refused(identity: Identity) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = request_with_key(key, spki(key), twice=True)
    assert await issuing_refused(identity, request) == INVALID


async def test_a_weak_key_is_not_certified(identity: Identity) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    assert await issuing_refused(identity, certificate_request(key)) == INVALID


async def test_a_point_of_small_order_is_not_certified(identity: Identity) -> None:
    # Under the neutral point as a key, R = S·B is a signature over everything.
    neutral = b"\x01" + bytes(31)
    info = csr.CertificationRequestInfo(
        {
            "version": 0,
            "subject": asn1_x509.Name.build({}),
            "subject_pk_info": {"algorithm": {"algorithm": "ed25519"}, "public_key": neutral},
            "attributes": [],
        }
    )
    signed = csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": {"algorithm": "ed25519"},
            "signature": neutral + bytes(32),
        }
    )
    assert await issuing_refused(identity, signed.dump()) == INVALID


async def test_a_huge_request_is_refused_before_it_is_parsed(identity: Identity) -> None:
    assert await issuing_refused(identity, b"\x30\x84\x00\x0f\xff\xff" + bytes(1 << 20)) == INVALID


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"\n\n\n\n\n",
        b"qagazsyz sign-in v1",
        "qagazsyz sign-in v1\nә".encode(),
        b"\xff" * 1000,
        b"a\n" * 500,
        b"a\n" * 100_000,
    ],
)
async def test_bytes_that_are_not_a_challenge_do_not_sign_in(
    identity: Identity, challenge: bytes
) -> None:
    made, key = await identity.issue(await identity.person())
    algorithm, signature = Credential(made.der, key).sign(challenge)
    request = tokens_pb2.ExchangeTokenRequest(
        challenge=challenge, certificate=made.der, algorithm=algorithm, signature=signature
    )
    code = await identity.refused("TokenService/ExchangeToken", request)
    # None at all, or more than the contract takes, is told before anything is asked.
    assert code == (UNAUTHENTICATED if 0 < len(challenge) <= 1_024 else INVALID)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("CertificateService/GetCertificate", pb.GetCertificateRequest(name="subjects/x")),
        ("CertificateService/GetCertificate", pb.GetCertificateRequest(name="/" * 5000)),
        ("CertificateService/ListCertificates", pb.ListCertificatesRequest(subject="subjects/*")),
        ("CertificateService/RevokeCertificate", pb.RevokeCertificateRequest(name="x")),
        (
            "CertificateService/RevokeCertificate",
            pb.RevokeCertificateRequest(
                name=f"subjects/{'0' * 36}/certificates/{hashlib.sha256().hexdigest()}",
                reason=cast("pb.RevocationReason", 1),
            ),
        ),
        (
            "CertificateService/BatchCheckCertificates",
            pb.BatchCheckCertificatesRequest(certificates=[b"x"] * 1001),
        ),
        ("TokenService/CreateChallenge", tokens_pb2.CreateChallengeRequest(organization="a\nb")),
        ("TokenService/ExchangeToken", tokens_pb2.ExchangeTokenRequest()),
    ],
)
async def test_a_malformed_request_is_invalid(
    identity: Identity, method: str, request_: Message
) -> None:
    assert await identity.refused(method, request_, identity.as_operator) == INVALID
