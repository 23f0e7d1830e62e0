"""`qagazsyz certificate`: has certificates issued, listed, judged and revoked."""

from __future__ import annotations

import enum
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization

if TYPE_CHECKING:
    from qagazsyz.credentials import PrivateKey
    from qagazsyz.identity.v1 import certificates_pb2

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
    """Why a certificate is revoked (RFC 5280, section 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    CA_COMPROMISE = "ca-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"


def make_key(key_type: KeyType) -> PrivateKey:
    """A new private key."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if key_type is KeyType.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if key_type is KeyType.RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP384R1() if key_type is KeyType.P384 else ec.SECP256R1())


def make_request(key: PrivateKey) -> bytes:
    """A PKCS#10 request (DER) over the key; the platform sets the subject itself."""
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


def write_secret(path: Path, content: bytes) -> None:
    """Writes a new file that only its owner reads. Raises Failure where it exists."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Failure(f"{path} exists already") from None
    with os.fdopen(file, "wb") as stream:
        stream.write(content)


@certificate.command()
def issue(
    subject: Annotated[str, typer.Argument(help="subjects/… of the holder.")],
    request: Annotated[
        Path | None, typer.Option(help="A PKCS#10 request, PEM or DER; a key is made if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the certificate goes, or the new credential.")
    ] = None,
    key_type: Annotated[KeyType, typer.Option(help="The kind of the new key.")] = KeyType.P256,
    usage: Annotated[Usage, typer.Option(help="What it is for.")] = Usage.SIGN,
    signs_for: Annotated[
        str, typer.Option(help="The organization that an employee may sign for: subjects/…")
    ] = "",
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Have a certificate issued; without a request, make the key too and write a credential."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    from cli.connection import TIMEOUT_SECONDS, print_message, signed_in
    from qagazsyz.credentials import Credential
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    key = None if request else make_key(key_type)
    if key is not None and out is None:
        raise Failure("say where the new credential goes: --out FILE")
    wanted = certificates_pb2.IssueCertificateRequest(
        subject=subject,
        certificate_request=make_request(key) if key else _read_request(request),
        organization=signs_for,
        usage=f"CERTIFICATE_USAGE_{usage.value.upper()}",
        request_id=str(uuid.uuid4()),
    )
    with signed_in(gateway, credential) as channel:
        issued = certificates_pb2_grpc.CertificateServiceStub(channel).IssueCertificate(
            wanted, timeout=TIMEOUT_SECONDS
        )
    if key is not None and out is not None:
        write_secret(out, Credential(issued.der, key).to_pem())
    elif out is not None:
        pem = x509.load_der_x509_certificate(issued.der).public_bytes(serialization.Encoding.PEM)
        out.write_bytes(pem)
    print_message(issued, as_machine_json=json)


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
        raise Failure(f"{path} holds no certificate request") from None


@certificate.command("list")
def list_(
    subject: Annotated[str, typer.Argument(help="subjects/…")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List a subject's certificates."""
    from cli.connection import TIMEOUT_SECONDS, moment, print_rows, signed_in
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    rows: list[tuple[str, ...]] = []
    with signed_in(gateway, credential, organization) as channel:
        stub = certificates_pb2_grpc.CertificateServiceStub(channel)
        page_token = ""
        while True:
            page = stub.ListCertificates(
                certificates_pb2.ListCertificatesRequest(
                    subject=subject, page_size=1000, page_token=page_token
                ),
                timeout=TIMEOUT_SECONDS,
            )
            rows.extend(
                (c.name, moment(c.not_before), moment(c.not_after), moment(c.revoke_time))
                for c in page.certificates
            )
            page_token = page.next_page_token
            if not page_token:
                break
    columns = ("name", "from", "to", "revoked")
    print_rows("Certificates", columns, rows, as_machine_json=json)


@certificate.command()
def get(
    name: Annotated[str, typer.Argument(help="subjects/…/certificates/…")],
    out: Annotated[Path | None, typer.Option(help="Write it here, PEM.")] = None,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Show a certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    from cli.connection import TIMEOUT_SECONDS, print_message, signed_in
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    with signed_in(gateway, credential, organization) as channel:
        found = certificates_pb2_grpc.CertificateServiceStub(channel).GetCertificate(
            certificates_pb2.GetCertificateRequest(name=name), timeout=TIMEOUT_SECONDS
        )
    if out is not None:
        pem = x509.load_der_x509_certificate(found.der).public_bytes(serialization.Encoding.PEM)
        out.write_bytes(pem)
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
    """Revoke a certificate: within five seconds nothing signed with it is taken."""
    from cli.connection import TIMEOUT_SECONDS, print_message, signed_in
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    value = f"REVOCATION_REASON_{reason.value.upper().replace('-', '_')}"
    with signed_in(gateway, credential, organization) as channel:
        revoked = certificates_pb2_grpc.CertificateServiceStub(channel).RevokeCertificate(
            certificates_pb2.RevokeCertificateRequest(name=name, reason=value),
            timeout=TIMEOUT_SECONDS,
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
    """Ask whether certificates are good now; exit code 1 where any is not."""
    from cli.connection import TIMEOUT_SECONDS, print_rows, signed_in
    from qagazsyz.common.v1 import certificates_pb2 as common_pb2
    from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc

    ders = [_read_certificate(path) for path in files]
    with signed_in(gateway, credential, organization) as channel:
        answer = certificates_pb2_grpc.CertificateServiceStub(channel).BatchCheckCertificates(
            certificates_pb2.BatchCheckCertificatesRequest(certificates=ders),
            timeout=TIMEOUT_SECONDS,
        )
    rows = [
        (str(path), _status(found), found.subject)
        for path, found in zip(files, answer.checks, strict=True)
    ]
    print_rows("Certificates", ("file", "status", "subject"), rows, as_machine_json=json)
    good = common_pb2.CERTIFICATE_STATUS_GOOD
    if any(found.status != good for found in answer.checks):
        raise typer.Exit(CHECK_FAILED)


def _status(found: certificates_pb2.CertificateCheck) -> str:
    from qagazsyz.common.v1 import certificates_pb2 as common_pb2

    name = common_pb2.CertificateStatus.Name(found.status)
    return name.removeprefix("CERTIFICATE_STATUS_").lower().replace("_", "-")


def _read_certificate(path: Path) -> bytes:
    """The first certificate's DER; what is none goes as it is, and is judged malformed."""
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
