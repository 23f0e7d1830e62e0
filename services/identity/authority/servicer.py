"""AuthorityService: chain, revocation list, OCSP, time-stamps, as ordinary clients speak them."""

from __future__ import annotations

import asyncio
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.api import httpbody_pb2

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity import store
from services.identity.authority import ocsp_responder as ocsp
from services.identity.authority.tsa import Stamper
from services.identity.x509.issuing import CRL_LIFETIME, Issuer, Revoked
from services.runtime import telemetry
from services.runtime.clock import Clock, Randomness
from services.runtime.server import Call
from services.runtime.storage.database import Database

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
        self,
        *,
        database: Database,
        issuer: Issuer,
        root: x509.Certificate,
        stamper: Stamper,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._issuer = issuer
        self._root = root
        self._stamper = stamper
        self._clock = clock
        self._randomness = randomness
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
        return httpbody_pb2.HttpBody(
            content_type="application/ocsp-response", data=await self._answer(request.body.data)
        )

    async def _answer(self, data: bytes) -> bytes:
        try:
            question = ocsp.parse(data)
        except ocsp.MalformedQuestion:
            return ocsp.refusal("malformed_request")
        ours = [asked for asked in question.certificates if ocsp.is_about(self._issuer, asked)]
        if not ours:
            return ocsp.refusal("unauthorized")
        telemetry.annotate(certificates=len(question.certificates))
        async with self._database.reading() as connection:
            found = await store.get_certificates_by_serial(
                connection, {f"{asked.serial_number:x}" for asked in ours}
            )
        known = {
            int(text, 16): ocsp.Known(certificate.revoke_time, certificate.revocation_reason)
            for text, certificate in found.items()
        }
        return await asyncio.to_thread(ocsp.answer, self._issuer, question, known, self._clock())

    async def AnswerTimeStamp(
        self,
        request: pb.AnswerTimeStampRequest,
        call: Call,  # noqa: ARG002
    ) -> httpbody_pb2.HttpBody:
        answer = await asyncio.to_thread(
            self._stamper.answer, request.body.data, self._clock(), self._randomness
        )
        return httpbody_pb2.HttpBody(content_type="application/timestamp-reply", data=answer)
