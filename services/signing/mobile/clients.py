"""Identity's phones, cards and notices, as mobile signatures ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from qagazsyz.identity.v1 import certificates_pb2, events_pb2, phones_pb2
from services.runtime.clients import ServiceClient, reason_of
from services.runtime.clock import from_timestamp
from services.runtime.errors import InvalidArgument, Unavailable
from services.runtime.server import Call
from services.signing.mobile.rules import SignerPhone

R = TypeVar("R", bound=Message)
PHONES = "qagazsyz.identity.v1.PhoneService"
EVENTS = "qagazsyz.identity.v1.IdentityEventService"
CERTIFICATES = "qagazsyz.identity.v1.CertificateService"
# events.proto: at once.
NOTICES_AT_ONCE = 100
_SIM_PREFIX = "sims/"


class PhoneState(IntEnum):
    """Whether a phone is bound; of the contract."""

    PENDING_APPROVAL = 1
    PENDING = 2
    ACTIVE = 3
    ENDED = 4
    UNSEEN = 5


class PhoneNoticeKind(IntEnum):
    """What happened to a phone; of the contract."""

    ASKED = 1
    PENDING = 2
    ACTIVE = 3
    UNBOUND = 4
    SWAPPED = 5
    REBOUND = 6
    REVOKED = 7


@dataclass(frozen=True, slots=True)
class Recipient:
    """A phone that is told, and in which language."""

    phone: str
    language: str


@dataclass(frozen=True, slots=True)
class PhoneNotice:
    """What happened to a phone, and who is told."""

    number: int
    # 0 for a kind that is newer than this service.
    kind: int
    phone: str
    recipients: tuple[Recipient, ...]


class NotCompleted(Exception):
    """Identity did not bind a phone by its SIM's signature; reason as identity has it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PhoneClient:
    """Calls identity. Every method raises Unavailable or DeadlineExceeded."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    async def find_active(
        self, subject: str, name: str, during: Call | None = None
    ) -> SignerPhone | None:
        """Return a person's active phone of that name, the newest for ""; None if there is none."""
        active = await self._list_active(subject, during)
        return next((phone for phone in reversed(active) if name in ("", phone.name)), None)

    async def find_by_certificate(
        self, subject: str, certificate: str, during: Call | None = None
    ) -> SignerPhone | None:
        """Return the active phone whose SIM has the certificate of that name; None if there is
        none."""
        active = await self._list_active(subject, during)
        return next((phone for phone in active if phone.certificate == certificate), None)

    async def match(
        self, number: str, iin: str, during: Call | None = None
    ) -> tuple[str, SignerPhone | None]:
        """Return a number's keyed hash, and its active phone if the holder has this IIN. Raises
        InvalidArgument."""
        request = phones_pb2.MatchPhoneRequest(number=number, iin=iin)
        try:
            matched = await self._identity.call(
                f"{PHONES}/MatchPhone", request, phones_pb2.MatchPhoneResponse, during
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                # Its text names the field, and neither number nor IIN.
                raise InvalidArgument("", str(error.details())) from None
            raise _unanswered(error) from error
        has_phone = matched.HasField("phone")
        return matched.number_key, _signer_phone(matched.phone) if has_phone else None

    async def get(
        self, name: str, during: Call | None = None
    ) -> tuple[PhoneState, SignerPhone] | None:
        """Return a phone with its state, an ended one too; None if it does not exist."""
        request = phones_pb2.GetPhoneRequest(name=name)
        try:
            phone = await self._identity.call(
                f"{PHONES}/GetPhone", request, phones_pb2.Phone, during
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise _unanswered(error) from error
        return PhoneState(phone.state), _signer_phone(phone)

    async def complete(self, name: str, signature: bytes) -> str:
        """Bind a phone by its SIM's signature over the challenge; return the certificate's name.
        Raises NotCompleted."""
        request = phones_pb2.CompletePhoneRequest(name=name, signature=signature)
        try:
            phone = await self._identity.call(f"{PHONES}/CompletePhone", request, phones_pb2.Phone)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
            # The log will have caught up.
            if not reason or reason == "LOG_BEHIND":
                raise _unanswered(error) from error
            raise NotCompleted(reason) from error
        return phone.certificate

    async def report_seen(self, name: str) -> None:
        """Tell identity that a phone's SIM signed now."""
        await self._ask(
            f"{PHONES}/ReportPhoneSeen",
            phones_pb2.ReportPhoneSeenRequest(name=name),
            phones_pb2.ReportPhoneSeenResponse,
        )

    async def get_certificate(self, name: str) -> bytes:
        """Return a certificate, DER."""
        certificate = await self._ask(
            f"{CERTIFICATES}/GetCertificate",
            certificates_pb2.GetCertificateRequest(name=name),
            certificates_pb2.Certificate,
        )
        return certificate.der

    async def resolve_sims(self, iccids: Sequence[str], during: Call | None = None) -> list[str]:
        """Return the ids of cards in order, "" for one that no list has."""
        response = await self._ask(
            f"{PHONES}/ResolveSims",
            phones_pb2.ResolveSimsRequest(iccids=iccids),
            phones_pb2.ResolveSimsResponse,
            during,
        )
        if len(response.sims) != len(iccids):
            raise Unavailable("identity did not answer for each card")
        return [sim.removeprefix(_SIM_PREFIX) for sim in response.sims]

    async def read_notices(self, after: int) -> list[PhoneNotice]:
        """Return the notices behind a number, in order."""
        response = await self._ask(
            f"{EVENTS}/ReadPhoneNotices",
            events_pb2.ReadPhoneNoticesRequest(after=after, limit=NOTICES_AT_ONCE),
            events_pb2.ReadPhoneNoticesResponse,
        )
        return [
            PhoneNotice(
                number=notice.number,
                kind=notice.kind,
                phone=notice.phone,
                recipients=tuple(Recipient(one.phone, one.language) for one in notice.recipients),
            )
            for notice in response.notices
        ]

    async def acknowledge_notices(self, through: int) -> None:
        """Tell identity that all notices up to a number are done."""
        await self._ask(
            f"{EVENTS}/AcknowledgePhoneNotices",
            events_pb2.AcknowledgePhoneNoticesRequest(through=through),
            events_pb2.AcknowledgePhoneNoticesResponse,
        )

    async def get_all(self, names: Sequence[str]) -> dict[str, tuple[PhoneState, SignerPhone]]:
        """Return phones with their states by name; those that do not exist are left out."""
        found = await asyncio.gather(*(self.get(name) for name in names))
        return {name: each for name, each in zip(names, found, strict=True) if each is not None}

    async def _list_active(self, subject: str, during: Call | None) -> list[SignerPhone]:
        """Return a person's active phones, oldest first."""
        response = await self._ask(
            f"{PHONES}/ListPhones",
            phones_pb2.ListPhonesRequest(subject=subject),
            phones_pb2.ListPhonesResponse,
            during,
        )
        return [
            _signer_phone(phone)
            for phone in response.phones
            if phone.state == phones_pb2.PHONE_STATE_ACTIVE
        ]

    async def _ask(
        self, method: str, request: Message, response_type: type[R], during: Call | None = None
    ) -> R:
        """Raises Unavailable for a refusal, which is a defect between our own services."""
        try:
            return await self._identity.call(method, request, response_type, during)
        except grpc.aio.AioRpcError as error:
            raise _unanswered(error) from error


def _unanswered(_error: grpc.aio.AioRpcError) -> Unavailable:
    return Unavailable("identity did not answer")


def _signer_phone(phone: phones_pb2.Phone) -> SignerPhone:
    return SignerPhone(
        name=phone.name,
        number=phone.number,
        sim=phone.sim.removeprefix(_SIM_PREFIX),
        public_key=phone.public_key,
        language=phone.language,
        certificate=phone.certificate,
        challenge=phone.challenge,
        seen_time=from_timestamp(phone.seen_time) if phone.HasField("seen_time") else None,
    )
