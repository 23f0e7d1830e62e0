"""Numbers with cards, and how tests have phones bound to people."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qagazsyz.identity.v1 import events_pb2, phones_pb2
from tests.unit.identity.service import Identity

IMPORT = "PhoneService/ImportSims"
BIND = "PhoneService/BindPhone"
APPROVE = "PhoneService/ApprovePhone"
COMPLETE = "PhoneService/CompletePhone"
GET = "PhoneService/GetPhone"
LIST = "PhoneService/ListPhones"
UNBIND = "PhoneService/UnbindPhone"
REPORT = "PhoneService/ReportSimSwap"
RESOLVE = "PhoneService/ResolvePhone"
MATCH = "PhoneService/MatchPhone"
SEEN = "PhoneService/ReportPhoneSeen"
RESOLVE_SIMS = "PhoneService/ResolveSims"
READ_NOTICES = "IdentityEventService/ReadPhoneNotices"
ACKNOWLEDGE_NOTICES = "IdentityEventService/AcknowledgePhoneNotices"

PENDING_APPROVAL = phones_pb2.PHONE_STATE_PENDING_APPROVAL
PENDING = phones_pb2.PHONE_STATE_PENDING
ACTIVE = phones_pb2.PHONE_STATE_ACTIVE
ENDED = phones_pb2.PHONE_STATE_ENDED
UNSEEN = phones_pb2.PHONE_STATE_UNSEEN

_serials = itertools.count(1)


@dataclass(frozen=True)
class Card:
    """A SIM card behind a number."""

    number: str = field(default_factory=lambda: f"+7701{next(_serials):07d}")
    iccid: str = field(default_factory=lambda: f"89770{next(_serials):014d}")
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def listed(self) -> phones_pb2.Sim:
        return phones_pb2.Sim(number=self.number, iccid=self.iccid, public_key=self.public_key)

    def sign(self, challenge: bytes) -> bytes:
        """The signature over a message as an applet makes it: r and s side by side."""
        r, s = decode_dss_signature(self.key.sign(challenge, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


async def import_sims(identity: Identity, *cards: Card) -> None:
    request = phones_pb2.ImportSimsRequest(sims=[card.listed for card in cards])
    answer = await identity.call(IMPORT, request, identity.as_operator)
    assert answer.imported_count == len(cards)


async def new_card(identity: Identity) -> Card:
    """A card that the network's list has."""
    card = Card()
    await import_sims(identity, card)
    return card


async def ask(
    identity: Identity, subject: str, card: Card, token: str, language: str = ""
) -> phones_pb2.Phone:
    # Phones are in the order of their ids, which are made of the time.
    identity.clock.move(seconds=1)
    request = phones_pb2.BindPhoneRequest(subject=subject, number=card.number, language=language)
    phone: phones_pb2.Phone = await identity.call(BIND, request, token)
    return phone


async def get(identity: Identity, name: str) -> phones_pb2.Phone:
    """The phone as signing reads it."""
    request = phones_pb2.GetPhoneRequest(name=name)
    phone: phones_pb2.Phone = await identity.call(GET, request, identity.as_signing)
    return phone


async def completion(identity: Identity, name: str, card: Card) -> phones_pb2.CompletePhoneRequest:
    """The request with the card's signature over the phone's challenge."""
    challenge = (await get(identity, name)).challenge
    return phones_pb2.CompletePhoneRequest(name=name, signature=card.sign(challenge))


async def complete(identity: Identity, name: str, card: Card) -> phones_pb2.Phone:
    request = await completion(identity, name, card)
    phone: phones_pb2.Phone = await identity.call(COMPLETE, request, identity.as_signing)
    return phone


async def approve(identity: Identity, name: str, token: str) -> phones_pb2.Phone:
    request = phones_pb2.ApprovePhoneRequest(name=name)
    phone: phones_pb2.Phone = await identity.call(APPROVE, request, token)
    return phone


async def bind(
    identity: Identity, subject: str, card: Card | None = None, language: str = ""
) -> phones_pb2.Phone:
    """A bound phone of a person, by one official or two, as many as it takes."""
    card = card or await new_card(identity)
    first, second = await identity.official(), await identity.official()
    phone = await ask(identity, subject, card, first.token, language)
    if phone.state == PENDING_APPROVAL:
        await approve(identity, phone.name, second.token)
    return await complete(identity, phone.name, card)


async def unbind(identity: Identity, name: str, token: str) -> phones_pb2.Phone:
    request = phones_pb2.UnbindPhoneRequest(name=name)
    phone: phones_pb2.Phone = await identity.call(UNBIND, request, token)
    return phone


async def notices(identity: Identity) -> Sequence[events_pb2.PhoneNotice]:
    """The notices that wait; they are acknowledged."""
    request = events_pb2.ReadPhoneNoticesRequest()
    answer = await identity.call(READ_NOTICES, request, identity.as_signing)
    if answer.notices:
        through = answer.notices[-1].number
        done = events_pb2.AcknowledgePhoneNoticesRequest(through=through)
        await identity.call(ACKNOWLEDGE_NOTICES, done, identity.as_signing)
    found: Sequence[events_pb2.PhoneNotice] = answer.notices
    return found
