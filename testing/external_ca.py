"""Run external certificate authorities on this machine, with revocation lists and OCSP responders.

They run in a thread of the process that uses them, so that a benchmark does not count their CPU as
the suite's.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from services.identity.x509.issuing import (
    LEAF_LIFETIME,
    CertificateAuthority,
    CrlEntry,
    Holder,
    create_authority,
    key_usage,
    serial_number,
)
from services.identity.x509.revocation_reasons import RevocationReason
from services.runtime.clock import system_clock, system_randomness
from signatures import oids

# Revoked certificates on a list, as an authority of some years has them.
LISTED = 1_000
DOCUMENTS = key_usage(digital_signature=True, content_commitment=True)


@dataclass(frozen=True, slots=True)
class Authority:
    """A root, the issuing authority under it, and the address of its list and its responder."""

    root: CertificateAuthority
    issuing: CertificateAuthority
    address: str
    revocation_list: bytes

    def trust(self, folder: Path) -> None:
        """Add the authority to a trust folder, whose reader trusts it from then on."""
        folder.mkdir(exist_ok=True)
        pem = [self.root.certificate, self.issuing.certificate]
        # Renamed into place, because the folder is read whenever it changes.
        path = folder / f"{uuid.uuid4()}.tmp"
        path.write_bytes(b"".join(part.public_bytes(Encoding.PEM) for part in pem))
        path.rename(path.with_suffix(".pem"))

    def certificates(self, count: int, *, by_ocsp: bool) -> list[bytes]:
        """Issue document signing certificates (DER) that name the OCSP responder or the list."""
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return [self._certify(key, by_ocsp=by_ocsp) for _ in range(count)]

    def _certify(self, key: ec.EllipticCurvePublicKey, *, by_ocsp: bool) -> bytes:
        now = system_clock().replace(microsecond=0)
        issuer = self.issuing
        identifier = issuer.certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        )
        purposes = [
            ExtendedKeyUsageOID.EMAIL_PROTECTION,
            x509.ObjectIdentifier(oids.NCA_INDIVIDUAL),
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(Holder("ТЕСТОВ ТЕСТ", "ТЕСТОВ", iin="123456789011").name())
            .issuer_name(issuer.certificate.subject)
            .public_key(key)
            .serial_number(serial_number(system_randomness))
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + LEAF_LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value),
                critical=False,
            )
            .add_extension(DOCUMENTS, critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        )
        if by_ocsp:
            location = x509.UniformResourceIdentifier(self.address)
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)
            builder = builder.add_extension(
                x509.AuthorityInformationAccess([access]), critical=False
            )
        else:
            location = x509.UniformResourceIdentifier(self.address)
            point = x509.DistributionPoint([location], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


class PublicationServer:
    """Publishes for authorities, each at a path of its own: the list by GET, OCSP by POST."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._authorities: dict[str, Authority] = {}

    def new_authority(self) -> Authority:
        """Create an authority with a root of its own, and publish for it."""
        now, name = system_clock(), str(uuid.uuid4())
        root, issuing = create_authority(f"Bench {name}", now, system_randomness)
        revoked = [
            CrlEntry(serial_number(system_randomness), now, RevocationReason.SUPERSEDED)
            for _ in range(LISTED)
        ]
        published = issuing.revocation_list(revoked, number=1, now=now)
        authority = Authority(root, issuing, f"{self._address}/{name}", published)
        self._authorities[f"/{name}"] = authority
        return authority

    def answer(self, path: str, question: bytes | None) -> bytes:
        """Return the authority's list, or its answer to an OCSP request."""
        authority = self._authorities[path]
        if question is None:
            return authority.revocation_list
        return _good(question, authority.issuing)


@contextmanager
def running() -> Iterator[PublicationServer]:
    """Run a publication server on a free port during the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(publications.answer(self.path, None))

        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(publications.answer(self.path, question))

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        publications = PublicationServer(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield publications
        finally:
            server.shutdown()


def _good(question: bytes, issuer: CertificateAuthority) -> bytes:
    """Answer that the certificate in question is good, with the request's nonce (RFC 6960)."""
    asked, now = ocsp.load_der_ocsp_request(question), system_clock().replace(microsecond=0)
    nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value
    answer = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            asked.issuer_name_hash,
            asked.issuer_key_hash,
            asked.serial_number,
            asked.hash_algorithm,
            ocsp.OCSPCertStatus.GOOD,
            now,
            now + timedelta(hours=1),
            None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
        .add_extension(nonce, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return answer.public_bytes(Encoding.DER)
