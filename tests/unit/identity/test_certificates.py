"""Certificates of the own authority: what they say, who gets them, what they are worth."""

from __future__ import annotations

import uuid
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.rules import FRESH_FOR
from tests.openssl import openssl
from tests.unit.identity.conftest import Identity, certificate_request

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
SIGN, AUTHENTICATE = 1, 2


def asking(subject: str, *, usage: int = SIGN, **fields: object) -> pb.IssueCertificateRequest:
    key = ec.generate_private_key(ec.SECP256R1())
    return pb.IssueCertificateRequest(
        subject=subject, certificate_request=certificate_request(key), usage=usage, **fields
    )


async def status(identity: Identity, *ders: bytes, at: Timestamp | None = None) -> list[int]:
    answer = await identity.call(
        "CertificateService/BatchCheckCertificates",
        pb.BatchCheckCertificatesRequest(certificates=ders, at=at),
        identity.as_citizen("subjects/x"),
    )
    return [check.status for check in answer.checks]


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA-2048"],
)
async def test_a_certificate_verifies_with_openssl(
    identity: Identity, tmp_path: Path, key: object
) -> None:
    made, _ = await identity.issue(await identity.person(), key=key)
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(made.der).public_bytes(Encoding.PEM))
    chain = await identity.call("AuthorityService/GetAuthorityChain", pb.GetAuthorityChainRequest())
    (tmp_path / "chain.pem").write_bytes(chain.data)
    root = identity.data / "identity" / "root.pem"
    strictly = ("-x509_strict", "-purpose", "smimesign")
    untrusted = tmp_path / "chain.pem"
    result = await openssl("verify", *strictly, "-CAfile", root, "-untrusted", untrusted, leaf)
    assert result.returncode == 0, result.stderr


async def test_a_person_is_named_as_the_national_authority_names_them(identity: Identity) -> None:
    iin, organization = identity.iin(), await identity.organization("Ұзақ атаулы ұйым " * 8)
    person = await identity.person(iin=iin, patronymic="Серікқызы")
    await identity.member(organization, person)
    made, _ = await identity.issue(person, organization=organization)
    certificate = x509.load_der_x509_certificate(made.der)
    subject = {part.oid: str(part.value) for part in certificate.subject}
    names = x509.NameOID
    assert subject[names.SERIAL_NUMBER] == f"IIN{iin}"
    assert subject[names.SURNAME] == "Құрманова"
    assert subject[names.GIVEN_NAME] == "Серікқызы", "the national authority puts it there"
    assert subject[names.ORGANIZATIONAL_UNIT_NAME].startswith("BIN2001")
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    dotted = {purpose.dotted_string for purpose in purposes}
    assert dotted == {
        "1.3.6.1.5.5.7.3.4",
        "1.2.398.3.3.4.1.2",
        "1.2.398.3.3.4.1.2.2",
        "1.2.398.3.3.4.1.2.5",
    }
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment and not usage.key_cert_sign


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"x",
        b"0\x80",
        certificate_request(ec.generate_private_key(ec.SECP256R1()))[:-1] + b"\x00",
        certificate_request(ec.generate_private_key(ec.SECP256K1())),
    ],
)
async def test_a_request_without_proof_of_possession_is_refused(
    identity: Identity, request_bytes: bytes
) -> None:
    request = pb.IssueCertificateRequest(
        subject=await identity.person(), certificate_request=request_bytes
    )
    code = await identity.refused(
        "CertificateService/IssueCertificate", request, identity.as_operator
    )
    assert code == INVALID


async def test_a_citizen_renews_only_what_they_hold(identity: Identity) -> None:
    person, other = await identity.person(), await identity.person()
    mine = identity.as_citizen(person)
    method = "CertificateService/IssueCertificate"
    assert await identity.refused(method, asking(person), mine) == DENIED, "holds none yet"
    held, _ = await identity.issue(person)
    await identity.call(method, asking(person), mine)
    for request in (
        asking(person, usage=AUTHENTICATE),
        asking(other),
        asking(person, organization=await identity.organization()),
        asking(f"subjects/{uuid.uuid4()}"),
    ):
        assert await identity.refused(method, request, mine) == DENIED
    for certificate in (await listed(identity, person)).certificates:
        await identity.call(
            "CertificateService/RevokeCertificate",
            pb.RevokeCertificateRequest(name=certificate.name),
            mine,
        )
    assert await identity.refused(method, asking(person), mine) == DENIED, "holds none any more"
    assert held.name


async def listed(identity: Identity, subject: str) -> pb.ListCertificatesResponse:
    answer: pb.ListCertificatesResponse = await identity.call(
        "CertificateService/ListCertificates",
        pb.ListCertificatesRequest(subject=subject),
        identity.as_operator,
    )
    return answer


async def test_a_registrar_has_certificates_issued_to_people_only(identity: Identity) -> None:
    organization = await identity.organization()
    method = "CertificateService/IssueCertificate"
    code = await identity.refused(method, asking(organization), identity.as_registrar)
    assert code == DENIED
    await identity.call(method, asking(await identity.person()), identity.as_registrar)


async def test_an_employee_must_be_a_member(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    request = asking(person, organization=organization)
    code = await identity.refused(
        "CertificateService/IssueCertificate", request, identity.as_operator
    )
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_seals_request_gets_no_certificate_that_signs_in(identity: Identity) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = pb.IssueCertificateRequest(
        subject=await identity.organization(),
        certificate_request=certificate_request(key, signs=True),
        usage=AUTHENTICATE,
    )
    code = await identity.refused(
        "CertificateService/IssueCertificate", request, identity.as_operator
    )
    assert code == INVALID


async def test_a_repeated_request_issues_one_certificate(identity: Identity) -> None:
    request = asking(await identity.person(), request_id=str(uuid.uuid4()))
    first, second = [
        await identity.call("CertificateService/IssueCertificate", request, identity.as_operator)
        for _ in range(2)
    ]
    assert first == second


async def test_what_a_certificate_is_worth_follows_the_time(identity: Identity) -> None:
    person = await identity.person()
    made, _ = await identity.issue(person)
    signs_in, _ = await identity.issue(person, usage=AUTHENTICATE)
    assert await status(identity, made.der, signs_in.der, b"nonsense") == [
        Status.CERTIFICATE_STATUS_GOOD,
        Status.CERTIFICATE_STATUS_WRONG_USAGE,
        Status.CERTIFICATE_STATUS_MALFORMED,
    ]
    before, after = Timestamp(), Timestamp()
    before.FromDatetime(identity.clock().replace(year=2020))
    after.FromDatetime(identity.clock().replace(year=2040))
    assert await status(identity, made.der, at=before) == [Status.CERTIFICATE_STATUS_NOT_YET_VALID]
    assert await status(identity, made.der, at=after) == [Status.CERTIFICATE_STATUS_EXPIRED]


async def test_a_revoked_certificate_is_revoked_from_then_on(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    earlier = Timestamp()
    earlier.FromDatetime(identity.clock())
    identity.clock.move(seconds=60)
    revoked = await identity.call(
        "CertificateService/RevokeCertificate",
        pb.RevokeCertificateRequest(name=made.name, reason=pb.REVOCATION_REASON_KEY_COMPROMISE),
        identity.as_registrar,
    )
    assert revoked.revocation_reason == pb.REVOCATION_REASON_KEY_COMPROMISE
    assert await status(identity, made.der) == [Status.CERTIFICATE_STATUS_REVOKED]
    assert await status(identity, made.der, at=earlier) == [Status.CERTIFICATE_STATUS_GOOD]


async def test_an_answer_is_reused_for_five_seconds_at_most(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    answer = await identity.call(
        "CertificateService/BatchCheckCertificates",
        pb.BatchCheckCertificatesRequest(certificates=[made.der, b"x"]),
        identity.as_service,
    )
    for check in answer.checks:
        assert check.fresh_until.ToDatetime() <= (identity.clock() + FRESH_FOR).replace(tzinfo=None)


async def test_a_stranger_certificate_is_untrusted(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    forged = bytearray(made.der)
    forged[-1] ^= 1
    assert await status(identity, bytes(forged)) == [Status.CERTIFICATE_STATUS_UNTRUSTED]


async def test_a_persons_certificates_are_their_own(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    theirs, _ = await identity.issue(person)
    seal, _ = await identity.issue(organization)
    stranger = identity.as_citizen(await identity.person())
    officer = identity.as_officer(organization)
    nobodys = f"subjects/{uuid.uuid4()}/certificates/{'0' * 64}"
    for token in (stranger, officer):
        for name in (theirs.name, nobodys):
            request = pb.GetCertificateRequest(name=name)
            assert await identity.refused("CertificateService/GetCertificate", request, token) == (
                DENIED
            )
        request = pb.GetCertificateRequest(name=seal.name)
        assert await identity.call("CertificateService/GetCertificate", request, token) == seal
        listing = pb.ListCertificatesRequest(subject=person)
        assert await identity.refused("CertificateService/ListCertificates", listing, token) == (
            DENIED
        )
    mine = pb.GetCertificateRequest(name=theirs.name)
    own = identity.as_citizen(person)
    assert await identity.call("CertificateService/GetCertificate", mine, own) == theirs


async def test_nobody_revokes_what_is_not_theirs(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    other = await identity.organization()
    await identity.member(organization, person)
    personal, _ = await identity.issue(person)
    employees, _ = await identity.issue(person, organization=organization)
    seal, _ = await identity.issue(organization)
    method = "CertificateService/RevokeCertificate"
    nobodys = f"{person}/certificates/{'0' * 64}"
    for name, token in (
        (personal.name, identity.as_citizen(await identity.person())),
        (personal.name, identity.as_officer(organization)),
        (seal.name, identity.as_officer(other)),
        (employees.name, identity.as_officer(other)),
        (seal.name, identity.as_registrar),
        (nobodys, identity.as_officer(organization)),
        (nobodys, identity.as_citizen(await identity.person())),
    ):
        request = pb.RevokeCertificateRequest(name=name)
        assert await identity.refused(method, request, token) == DENIED
    for name, token in (
        (seal.name, identity.as_officer(organization)),
        (employees.name, identity.as_officer(organization)),
        (personal.name, identity.as_citizen(person)),
    ):
        await identity.call(method, pb.RevokeCertificateRequest(name=name), token)


async def test_nobody_registers_a_certificate_for_another(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    theirs, _ = await identity.issue(person)
    nobodys = f"subjects/{uuid.uuid4()}"
    method = "CertificateService/RegisterCertificate"
    for subject, token in (
        (person, identity.as_citizen(await identity.person())),
        (organization, identity.as_citizen(person)),
        (organization, identity.as_registrar),
        (nobodys, identity.as_registrar),
        (nobodys, identity.as_citizen(person)),
        (person, identity.as_officer(organization, person)),
        (organization, identity.as_officer(organization)),
    ):
        request = pb.RegisterCertificateRequest(subject=subject, der=theirs.der)
        assert await identity.refused(method, request, token) == DENIED


async def test_a_certificate_of_another_number_or_of_no_trusted_authority_is_not_registered(
    identity: Identity,
) -> None:
    person, other = await identity.person(), await identity.person()
    theirs, _ = await identity.issue(person)
    method = "CertificateService/RegisterCertificate"
    for token in (identity.as_citizen(other), identity.as_registrar, identity.as_operator):
        request = pb.RegisterCertificateRequest(subject=other, der=theirs.der)
        assert await identity.refused(method, request, token) == INVALID
    # Nobody outside is trusted here, and the own authority issues and registers in one.
    request = pb.RegisterCertificateRequest(subject=person, der=theirs.der)
    code = await identity.refused(method, request, identity.as_citizen(person))
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def ocsp_text(identity: Identity, tmp_path: Path, certificate: pb.Certificate) -> str:
    """What openssl reads from the responder's answer about a certificate, verified."""
    leaf, chain = tmp_path / "leaf.pem", tmp_path / "chain.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM))
    answer = await identity.call(
        "AuthorityService/GetAuthorityChain", pb.GetAuthorityChainRequest()
    )
    chain.write_bytes(answer.data)
    issuer = identity.data / "identity" / "authority.pem"
    asked, answered = tmp_path / "request.der", tmp_path / "response.der"
    about = ("ocsp", "-issuer", issuer, "-cert", leaf)
    await openssl(*about, "-reqout", asked)
    response = await identity.call(
        "AuthorityService/AnswerOcsp",
        pb.AnswerOcspRequest(body=HttpBody(data=asked.read_bytes())),
    )
    answered.write_bytes(response.data)
    root = identity.data / "identity" / "root.pem"
    # The request that is read has its nonce already.
    trust = ("-CAfile", root, "-verify_other", chain, "-no_nonce")
    result = await openssl(*about, "-reqin", asked, "-respin", answered, *trust)
    assert "Response verify OK" in result.stderr, result.stderr
    return result.stdout


async def test_openssl_is_satisfied_with_the_ocsp_responder(
    identity: Identity, tmp_path: Path
) -> None:
    made, _ = await identity.issue(await identity.person())
    assert "leaf.pem: good" in await ocsp_text(identity, tmp_path, made)
    await identity.call(
        "CertificateService/RevokeCertificate",
        pb.RevokeCertificateRequest(name=made.name, reason=pb.REVOCATION_REASON_SUPERSEDED),
        identity.as_operator,
    )
    text = await ocsp_text(identity, tmp_path, made)
    assert "leaf.pem: revoked" in text and "superseded" in text


@pytest.mark.parametrize("data", [b"", b"x", b"0" * 100_000, b"\x30\x03\x02\x01\x00"])
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


async def test_the_revocation_list_names_what_was_revoked(
    identity: Identity, tmp_path: Path
) -> None:
    made, _ = await identity.issue(await identity.person())
    path = tmp_path / "list.der"

    async def revoked() -> str:
        answer = await identity.call(
            "AuthorityService/GetRevocationList", pb.GetRevocationListRequest()
        )
        path.write_bytes(answer.data)
        issuer = identity.data / "identity" / "authority.pem"
        reading = ("crl", "-inform", "DER", "-in", path, "-noout", "-text")
        result = await openssl(*reading, "-CAfile", issuer, "-verify")
        assert "verify OK" in result.stderr, result.stderr
        return result.stdout.replace(":", "").lower()

    first = await revoked()
    assert made.serial_number not in first
    await identity.call(
        "CertificateService/RevokeCertificate",
        pb.RevokeCertificateRequest(name=made.name),
        identity.as_operator,
    )
    assert made.serial_number in await revoked()


async def test_a_certificate_that_signs_nothing_tells_of_no_time_at_which_it_did(
    identity: Identity,
) -> None:
    made, _ = await identity.issue(await identity.person(), usage=AUTHENTICATE)
    before = Timestamp()
    before.FromDatetime(identity.clock())
    identity.clock.move(minutes=1)
    await identity.call(
        "CertificateService/RevokeCertificate",
        pb.RevokeCertificateRequest(name=made.name),
        identity.as_operator,
    )
    answer = await identity.call(
        "CertificateService/BatchCheckCertificates",
        pb.BatchCheckCertificatesRequest(certificates=[made.der]),
        identity.as_service,
    )
    (check,) = answer.checks
    assert check.status == Status.CERTIFICATE_STATUS_REVOKED
    assert not check.HasField("valid_from") and not check.HasField("valid_until")
    assert await status(identity, made.der, at=before) == [Status.CERTIFICATE_STATUS_WRONG_USAGE]
