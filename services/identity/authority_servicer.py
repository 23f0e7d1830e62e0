"""AuthorityService: the chain, the revocation list and OCSP, in the formats of ordinary clients."""

from __future__ import annotations

import asyncio
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from google.api import httpbody_pb2

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity import store
from services.identity.authority import CRL_LIFETIME, OCSP_LIFETIME, Issuer, Revoked
from services.identity.certificates import StoredCertificate
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.server import Call

# RFC 6960, appendix C.1; a client asks about one certificate, a proxy about a few.
OCSP_REQUEST_LIMIT_BYTES = 16 * 1024
# RFC 5280, section 5.3.1; the contract's numbers are these plus one.
REASONS = {
    0: x509.ReasonFlags.unspecified,
    2: x509.ReasonFlags.key_compromise,
    3: x509.ReasonFlags.ca_compromise,
    4: x509.ReasonFlags.affiliation_changed,
    5: x509.ReasonFlags.superseded,
    6: x509.ReasonFlags.cessation_of_operation,
}


class AuthorityService:
    """What the own authority publishes."""

    def __init__(
        self, *, database: Database, issuer: Issuer, root: x509.Certificate, clock: Clock
    ) -> None:
        self._database = database
        self._issuer = issuer
        self._root = root
        self._clock = clock
        self._list: tuple[int, datetime, bytes] | None = None

    async def GetAuthorityChain(
        self,
        request: pb.GetAuthorityChainRequest,  # noqa: ARG002
        call: Call,  # noqa: ARG002
    ) -> httpbody_pb2.HttpBody:
        chain = (self._issuer.certificate, self._root)
        return httpbody_pb2.HttpBody(
            content_type="application/x-pem-file",
            data=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain),
        )

    async def GetRevocationList(
        self,
        request: pb.GetRevocationListRequest,  # noqa: ARG002
        call: Call,  # noqa: ARG002
    ) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(
            content_type="application/pkix-crl", data=await self._revocation_list()
        )

    async def _revocation_list(self) -> bytes:
        """The list, made anew when something was revoked or half of its life is over."""
        now = self._clock()
        async with self._database.reading() as connection:
            number = int(await store.get_fact(connection, store.REVOCATION_NUMBER) or "0")
            kept = self._list
            if kept is not None and kept[0] == number and now < kept[1] + CRL_LIFETIME / 2:
                return kept[2]
            revoked = await store.revoked_certificates(connection, now=now)
        entries = [
            Revoked(
                int(entry.serial_number, 16), entry.revoke_time, REASONS[entry.revocation_reason]
            )
            for entry in revoked
            if entry.revoke_time is not None
        ]
        # CRL numbers only rise (section 5.2.3): the time makes a list that is renewed a later one.
        rising = (number << 40) + int(now.timestamp())
        made = await asyncio.to_thread(
            self._issuer.revocation_list, entries, number=rising, now=now
        )
        self._list = (number, now, made)
        return made

    async def AnswerOcsp(
        self,
        request: pb.AnswerOcspRequest,
        call: Call,  # noqa: ARG002
    ) -> httpbody_pb2.HttpBody:
        answer = await self._answer(request.body.data)
        return httpbody_pb2.HttpBody(
            content_type="application/ocsp-response", data=answer.public_bytes(Encoding.DER)
        )

    async def _answer(self, data: bytes) -> ocsp.OCSPResponse:
        malformed = ocsp.OCSPResponseBuilder.build_unsuccessful(
            ocsp.OCSPResponseStatus.MALFORMED_REQUEST
        )
        if not data or len(data) > OCSP_REQUEST_LIMIT_BYTES:
            return malformed
        try:
            request = ocsp.load_der_ocsp_request(data)
            serial, algorithm = request.serial_number, request.hash_algorithm
            hashed = (request.issuer_name_hash, request.issuer_key_hash)
            nonce = _nonce(request)
        except (ValueError, TypeError, NotImplementedError, x509.UnsupportedGeneralNameType):
            return malformed
        if not isinstance(algorithm, hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
            return malformed
        if hashed != _issuer_hashes(self._issuer.certificate, algorithm):
            return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        async with self._database.reading() as connection:
            text = f"{serial:x}"
            found = (await store.get_certificates_by_serial(connection, [text])).get(text)
        return await asyncio.to_thread(
            self._signed, serial, hashed, algorithm, found, nonce, self._clock()
        )

    def _signed(
        self,
        serial: int,
        hashed: tuple[bytes, bytes],
        algorithm: hashes.HashAlgorithm,
        found: StoredCertificate | None,
        nonce: x509.OCSPNonce | None,
        now: datetime,
    ) -> ocsp.OCSPResponse:
        now = now.replace(microsecond=0)
        status, revoke_time, reason = ocsp.OCSPCertStatus.UNKNOWN, None, None
        if found is not None:
            status = ocsp.OCSPCertStatus.GOOD
            if found.revoke_time is not None:
                status, revoke_time = ocsp.OCSPCertStatus.REVOKED, found.revoke_time
                known = REASONS[found.revocation_reason]
                reason = None if known is x509.ReasonFlags.unspecified else known
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=hashed[0],
                issuer_key_hash=hashed[1],
                serial_number=serial,
                algorithm=algorithm,
                cert_status=status,
                this_update=now,
                next_update=now + OCSP_LIFETIME,
                revocation_time=revoke_time.replace(microsecond=0) if revoke_time else None,
                revocation_reason=reason,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self._issuer.certificate)
        )
        if nonce is not None:
            builder = builder.add_extension(nonce, critical=False)
        return builder.sign(self._issuer.key, hashes.SHA256())


def _nonce(request: ocsp.OCSPRequest) -> x509.OCSPNonce | None:
    try:
        return request.extensions.get_extension_for_class(x509.OCSPNonce).value
    except x509.ExtensionNotFound:
        return None


def _issuer_hashes(
    issuer: x509.Certificate, algorithm: hashes.HashAlgorithm
) -> tuple[bytes, bytes]:
    """What a CertID names the issuer by: the hashes of its name and of its key's bits, without the
    BIT STRING's tag, length and unused bits (RFC 6960, section 4.1.1)."""
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - load_issuer takes no other
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    hashed = []
    for part in (issuer.subject.public_bytes(), point):
        digest = hashes.Hash(algorithm)
        digest.update(part)
        hashed.append(digest.finalize())
    return hashed[0], hashed[1]
