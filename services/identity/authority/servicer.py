"""AuthorityService: what the own authority publishes, in the formats of ordinary clients."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.api import httpbody_pb2

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.authority import ocsp_responder
from services.identity.authority.ocsp_responder import IssuedCertificate, MalformedRequest
from services.identity.authority.tsa import TimeStampAuthority
from services.identity.certificates import store
from services.identity.worker_pools import AUTHORITY
from services.identity.x509.issuing import CRL_LIFETIME, CertificateAuthority, CrlEntry
from services.runtime import telemetry
from services.runtime.clock import Clock, Randomness
from services.runtime.server import Call
from services.runtime.storage.database import Database


class AuthorityServicer:
    """Publishes the authority's chain and CRL, and answers OCSP and time-stamp requests."""

    def __init__(
        self,
        *,
        database: Database,
        authority: CertificateAuthority,
        root: x509.Certificate,
        time_stamps: TimeStampAuthority,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._authority = authority
        self._root = root
        self._time_stamps = time_stamps
        self._clock = clock
        self._randomness = randomness
        # The last CRL (DER), the revocation number that it covers, and when it was signed.
        self._crl: tuple[int, datetime, bytes] | None = None

    async def GetAuthorityChain(
        self, _request: pb.GetAuthorityChainRequest, _call: Call
    ) -> httpbody_pb2.HttpBody:
        chain = (self._authority.certificate, self._root)
        return httpbody_pb2.HttpBody(
            content_type="application/x-pem-file",
            data=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain),
        )

    async def GetRevocationList(
        self, _request: pb.GetRevocationListRequest, _call: Call
    ) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(
            content_type="application/pkix-crl", data=await self._current_crl()
        )

    async def _current_crl(self) -> bytes:
        """Return the CRL, signed again after a revocation and when half of its life is over."""
        now = self._clock()
        async with self._database.reading() as connection:
            number = await store.get_revocation_number(connection)
            kept = self._crl
            if kept is not None and kept[0] == number and now < kept[1] + CRL_LIFETIME / 2:
                return kept[2]
            revoked = await store.list_revoked(connection, now=now)
        entries = [
            CrlEntry(int(entry.serial_number, 16), entry.revoke_time, entry.revocation_reason)
            for entry in revoked
            if entry.revoke_time is not None
        ]
        # CRL numbers only rise (RFC 5280, section 5.2.3): the time makes a renewed list a later
        # one.
        crl_number = (number << 40) + int(now.timestamp())
        crl = await AUTHORITY.run(
            self._authority.revocation_list, entries, number=crl_number, now=now
        )
        self._crl = (number, now, crl)
        return crl

    async def AnswerOcsp(self, request: pb.AnswerOcspRequest, call: Call) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(
            content_type="application/ocsp-response", data=await self._answer_ocsp(request, call)
        )

    async def _answer_ocsp(self, asked: pb.AnswerOcspRequest, call: Call) -> bytes:
        try:
            data = asked.body.data or ocsp_responder.decode_address(asked.request)
            request = ocsp_responder.read_request(data)
        except MalformedRequest:
            return ocsp_responder.error_response("malformed_request")
        if asked.request and request.nonce is None:
            seconds = int(ocsp_responder.LIFETIME.total_seconds())
            call.set_header("cache-control", f"max-age={seconds}, public, no-transform")
        own = [
            cert_id
            for cert_id in request.certificates
            if ocsp_responder.names_issuer(cert_id, self._authority)
        ]
        if not own:
            return ocsp_responder.error_response("unauthorized")
        telemetry.annotate(certificates=len(request.certificates))
        async with self._database.reading() as connection:
            found = await store.get_certificates_by_serial(
                connection, {f"{cert_id.serial_number:x}" for cert_id in own}
            )
        issued = {
            int(serial_number, 16): IssuedCertificate(
                certificate.revoke_time, certificate.revocation_reason
            )
            for serial_number, certificate in found.items()
        }
        return await AUTHORITY.run(
            ocsp_responder.sign_response, self._authority, request, issued, self._clock()
        )

    async def AnswerTimeStamp(
        self, request: pb.AnswerTimeStampRequest, _call: Call
    ) -> httpbody_pb2.HttpBody:
        answer = await AUTHORITY.run(
            self._time_stamps.answer, request.body.data, self._clock(), self._randomness
        )
        return httpbody_pb2.HttpBody(content_type="application/timestamp-reply", data=answer)
