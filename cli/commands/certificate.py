"""`qagazsyz certificate`: issue, approve, list, show, revoke and check certificates."""

from __future__ import annotations

import enum
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization

if TYPE_CHECKING:
    from qagazsyz.credentials import PrivateKey

certificate = typer.Typer(help="Certificates.", no_args_is_help=True)


class KeyType(enum.StrEnum):
    """Kinds of key that this tool makes."""

    P256 = "p256"
    P384 = "p384"
    ED25519 = "ed25519"
    RSA = "rsa2048"


class Usage(enum.StrEnum):
    """What a certificate may be used for."""

    SIGN = "sign"
    AUTHENTICATE = "authenticate"


class Reason(enum.StrEnum):
    """Reasons of a revocation (RFC 5280, section 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    CA_COMPROMISE = "ca-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"


def make_key(key_type: KeyType) -> PrivateKey:
    """Generate a private key."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if key_type is KeyType.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if key_type is KeyType.RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP384R1() if key_type is KeyType.P384 else ec.SECP256R1())


def make_request(key: PrivateKey) -> bytes:
    """Make a PKCS#10 request (DER) for a key, without a subject: the platform sets it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    digest: hashes.SHA256 | hashes.SHA384 | None = hashes.SHA256()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        digest = None
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        digest = hashes.SHA384()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, digest).public_bytes(serialization.Encoding.DER)


@certificate.command()
def issue(
    subject: Annotated[str, typer.Argument(help="subjects/… of the holder.")],
    request: Annotated[
        Path | None, typer.Option(help="A PKCS#10 request, PEM or DER; a key is made if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File for the certificate, or for the new credential.")
    ] = None,
    key_type: Annotated[KeyType, typer.Option(help="The kind of the new key.")] = KeyType.P256,
    usage: Annotated[Usage, typer.Option(help="What it may be used for.")] = Usage.SIGN,
    signs_for: Annotated[
        str, typer.Option(help="The organization that an employee may sign for: subjects/…")
    ] = "",
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Issue a certificate; without --request, make a key too, and write a credential.

    A certificate that takes a second person is pending: then the new key alone is written, and
    `certificate get --key` makes a credential of it once the certificate is approved.
    """
    from cli.connection import call
    from cli.output import print_message, write_certificate, write_secret
    from cli.terminal import say
    from qagazsyz.credentials import Credential, private_key_pem
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    key = None if request else make_key(key_type)
    if key is not None and out is None:
        raise Failure("--out FILE is needed for the new credential")
    wanted = certificates_pb2.IssueCertificateRequest(
        subject=subject,
        certificate_request=make_request(key) if key else _read_request(request),
        organization=signs_for,
        usage=f"CERTIFICATE_USAGE_{usage.value.upper()}",
        request_id=str(uuid.uuid4()),
    )
    issued = call(
        lambda channel: certificates_pb2_grpc.CertificateServiceStub(channel).IssueCertificate,
        wanted,
        gateway,
        credential,
        organization,
    )
    if key is not None and out is not None:
        is_issued = bool(issued.der)
        write_secret(
            out, Credential(issued.der, key).to_pem() if is_issued else private_key_pem(key)
        )
    elif out is not None and issued.der:
        write_certificate(out, issued.der)
    print_message(issued, as_machine_json=json)
    if not issued.der:
        say(f"It waits for: qagazsyz certificate approve {issued.name}", to=sys.stderr)


def _read_request(path: Path | None) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    assert path is not None  # noqa: S101 - the caller has either a key or a path
    data = path.read_bytes()
    try:
        is_pem = data.lstrip().startswith(b"-----BEGIN")
        load = x509.load_pem_x509_csr if is_pem else x509.load_der_x509_csr
        return load(data).public_bytes(serialization.Encoding.DER)
    except ValueError:
        raise Failure(f"{path}: not a certificate request") from None


@certificate.command()
def requests(
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List the certificates that wait for a second person."""
    from cli.connection import call_pages
    from cli.output import print_rows, word_of
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    pages = call_pages(
        lambda channel: (
            certificates_pb2_grpc.CertificateServiceStub(channel).ListCertificateRequests
        ),
        certificates_pb2.ListCertificateRequestsRequest(),
        gateway,
        credential,
        organization,
    )
    rows = [
        (
            one.name,
            word_of(one.application, "usage"),
            one.application.organization,
            one.application.key_fingerprint,
            one.application.proposer,
        )
        for page in pages
        for one in page.certificates
    ]
    header = ("name", "usage", "organization", "key", "asked by")
    print_rows("Certificates that wait", header, rows, as_machine_json=json)


@certificate.command()
def approve(
    name: Annotated[str, typer.Argument(help="subjects/…/certificateRequests/…")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Approve a certificate that another person asked for, and issue it."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    approved = call(
        lambda channel: certificates_pb2_grpc.CertificateServiceStub(channel).ApproveCertificate,
        certificates_pb2.ApproveCertificateRequest(name=name, request_id=str(uuid.uuid4())),
        gateway,
        credential,
    )
    print_message(approved, as_machine_json=json)


@certificate.command()
def reject(
    name: Annotated[str, typer.Argument(help="subjects/…/certificateRequests/…")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Reject a certificate that waits, also as its holder."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    rejected = call(
        lambda channel: certificates_pb2_grpc.CertificateServiceStub(channel).RejectCertificate,
        certificates_pb2.RejectCertificateRequest(name=name),
        gateway,
        credential,
        organization,
    )
    print_message(rejected, as_machine_json=json)


@certificate.command("list")
def list_(
    subject: Annotated[str, typer.Argument(help="subjects/…")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List a subject's certificates."""
    from cli.connection import call_pages
    from cli.output import moment, print_rows
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    pages = call_pages(
        lambda channel: certificates_pb2_grpc.CertificateServiceStub(channel).ListCertificates,
        certificates_pb2.ListCertificatesRequest(subject=subject),
        gateway,
        credential,
        organization,
    )
    rows = [
        (one.name, moment(one.not_before), moment(one.not_after), moment(one.revoke_time))
        for page in pages
        for one in page.certificates
    ]
    columns = ("name", "from", "to", "revoked")
    print_rows("Certificates", columns, rows, as_machine_json=json)


@certificate.command()
def get(
    name: Annotated[str, typer.Argument(help="subjects/…/certificates/…")],
    out: Annotated[Path | None, typer.Option(help="Write it here, PEM.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="Its private key, PEM: --out is a credential then.")
    ] = None,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Show a certificate."""
    import ssl

    from cli.connection import call
    from cli.output import print_message, write_certificate, write_secret
    from qagazsyz.credentials import Credential
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    found = call(
        lambda channel: certificates_pb2_grpc.CertificateServiceStub(channel).GetCertificate,
        certificates_pb2.GetCertificateRequest(name=name),
        gateway,
        credential,
        organization,
    )
    if out is not None and key is not None:
        pem = ssl.DER_cert_to_PEM_cert(found.der).encode() + key.read_bytes()
        write_secret(out, Credential.from_pem(pem).to_pem())
    elif out is not None:
        write_certificate(out, found.der)
    print_message(found, as_machine_json=json)


@certificate.command()
def revoke(
    name: Annotated[str, typer.Argument(help="subjects/…/certificates/…")],
    reason: Annotated[Reason, typer.Option(help="Why.")] = Reason.UNSPECIFIED,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Revoke a certificate; within five seconds, signatures made with it are refused."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    value = f"REVOCATION_REASON_{reason.value.upper().replace('-', '_')}"
    revoked = call(
        lambda channel: certificates_pb2_grpc.CertificateServiceStub(channel).RevokeCertificate,
        certificates_pb2.RevokeCertificateRequest(name=name, reason=value),
        gateway,
        credential,
        organization,
    )
    print_message(revoked, as_machine_json=json)


@certificate.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Certificates, PEM or DER.")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Ask whether certificates are good now; exit code 1 if any is not."""
    from cli.connection import call
    from cli.output import print_rows, word_of
    from qagazsyz.common.v1 import certificates_pb2 as common_pb2
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    answer = call(
        lambda channel: (
            certificates_pb2_grpc.CertificateServiceStub(channel).BatchCheckCertificates
        ),
        certificates_pb2.BatchCheckCertificatesRequest(
            certificates=[_read_certificate(path) for path in files]
        ),
        gateway,
        credential,
        organization,
    )
    rows = [
        (str(path), word_of(found, "status").replace("_", "-"), found.subject)
        for path, found in zip(files, answer.checks, strict=True)
    ]
    print_rows("Certificates", ("file", "status", "subject"), rows, as_machine_json=json)
    good = common_pb2.CERTIFICATE_STATUS_GOOD
    if any(found.status != good for found in answer.checks):
        raise typer.Exit(CHECK_FAILED)


def _read_certificate(path: Path) -> bytes:
    """Read the DER of the file's first certificate; return other bytes as they are, which the
    platform reports as malformed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    data = path.read_bytes()
    if b"-----BEGIN CERTIFICATE-----" not in data:
        return data
    try:
        first = x509.load_pem_x509_certificates(data)[0]
    except ValueError:
        return data
    return first.public_bytes(serialization.Encoding.DER)
