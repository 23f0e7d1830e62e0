"""Binding a phone to a person: asked for, approved by a second person if it takes one, and decided
by the SIM, whose signature shows that it holds the key.

A binding ends in a certificate, so the rules of IssueCertificate say who may and how many people it
takes, at each step anew. While it waits it reserves nothing: any number of people may ask for one
number, and none of them learns of the others. The SIM's holder, who alone can sign, decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.certification import (
    Making,
    Party,
    add_made,
    check_may_approve,
    find_facts,
    find_party,
    making_alone,
    making_approved,
    may_still_ask,
)
from services.identity.certificates.dual_control import (
    PENDING_LIMIT,
    basis_alone,
    check_may_ask,
    missing,
)
from services.identity.certificates.issuance import Issuance, check_key
from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.certificates.rules import StoredCertificate, check_key_is_free
from services.identity.certificates.store import get_certificate, list_pending_subjects
from services.identity.events.event import Happening, IdentityEventKind
from services.identity.events.notice import PhoneNoticeKind
from services.identity.events.recorder import EventRecorder
from services.identity.phones import store
from services.identity.phones.ending import PhoneEnding
from services.identity.phones.rules import (
    LAPSES_AFTER,
    PHONES_LIMIT,
    Phone,
    PhoneState,
    new_challenge,
    not_pending,
)
from services.identity.subjects.dual_control import LAPSES_AFTER as REQUESTS_LAPSE_AFTER
from services.identity.subjects.store import lock_subject
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Caller, Role
from services.runtime.clock import Clock, Randomness, uuid7
from services.runtime.concurrency.worker_pool import SIGNATURES
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    QuotaExceeded,
)
from services.runtime.storage.database import Database
from signatures.algorithms import Algorithm
from signatures.keys import EllipticKey, load_public_key
from signatures.x509 import is_signed_by_key


@dataclass(frozen=True, slots=True)
class WantedPhone:
    """A binding that is asked for."""

    subject: str
    number_hash: str
    # Sealed.
    number: bytes
    language: str


class PhoneBinding:
    """Binds phones, on one person's word or two people's, and the SIM's."""

    def __init__(
        self,
        *,
        database: Database,
        issuance: Issuance,
        events: EventRecorder,
        ending: PhoneEnding,
        platform: str,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        """platform: the platform's name, which challenges state."""
        self._database = database
        self._issuance = issuance
        self._events = events
        self._ending = ending
        self._platform = platform
        self._clock = clock
        self._randomness = randomness

    async def ask(self, connection: AsyncConnection, wanted: WantedPhone, caller: Caller) -> Phone:
        """Store a binding that waits: for a second person, or for its SIM. Raises PermissionDenied,
        NotFound, InvalidArgument, FailedPrecondition or QuotaExceeded."""
        await lock_subject(connection, wanted.subject)
        now = self._clock()
        party = await find_party(connection, wanted.subject, caller, now)
        role = _role_of(caller, party)
        if not party.subject.is_person:
            raise InvalidArgument("subject", "an organization has no phones")
        await self._events.check_is_logged(connection)
        await self._check_limits(connection, wanted.subject, caller, role, now)
        sim = await store.get_sim(connection, wanted.number_hash)
        if sim is None:
            raise FailedPrecondition("NO_SIM", "no list of SIMs has the number")
        phone = Phone(
            id=str(uuid7(now, self._randomness)),
            subject=wanted.subject,
            number_hash=wanted.number_hash,
            number=wanted.number,
            sim=sim.id,
            public_key=sim.public_key,
            language=wanted.language,
            state=PhoneState.PENDING_APPROVAL,
            proposer=caller.subject,
            proposer_role=role,
            proposer_certificate=caller.certificate,
            create_time=now,
        )
        if await _making_alone(connection, party, caller, role, now) is not None:
            phone = replace(phone, state=PhoneState.PENDING, challenge=self._challenge(phone))
        await store.add_phone(connection, phone)
        is_pending = phone.state is PhoneState.PENDING
        what = PhoneNoticeKind.PENDING if is_pending else PhoneNoticeKind.ASKED
        await self._ending.tell(connection, phone, what)
        return phone

    async def approve(
        self, connection: AsyncConnection, subject: str, phone_id: str, caller: Caller
    ) -> Phone:
        """Approve a binding that waits for a second person. Raises PermissionDenied, NotFound or
        FailedPrecondition."""
        await lock_subject(connection, subject)
        now = self._clock()
        phone = await store.get_phone(connection, subject, phone_id)
        if phone is None:
            raise missing(caller)
        party = await find_party(connection, subject, caller, now)
        await check_may_approve(connection, party, caller, proposer=phone.proposer, now=now)
        if phone.state_at(now) is not PhoneState.PENDING_APPROVAL:
            raise not_pending("the phone waits for no second person any more")
        await _check_may_go_on(connection, phone, party, now)
        await self._events.check_is_logged(connection)
        challenge = self._challenge(phone)
        if not await store.approve_phone(
            connection,
            phone,
            approver=caller.subject,
            certificate=caller.certificate,
            challenge=challenge,
        ):
            raise not_pending("another approved or ended it in this moment")
        await self._ending.tell(connection, phone, PhoneNoticeKind.PENDING)
        return replace(phone, state=PhoneState.PENDING, challenge=challenge)

    async def prepare_completion(
        self, subject: str, phone_id: str, signature: bytes
    ) -> tuple[Phone, StoredCertificate | None]:
        """Check the SIM's signature (r and s side by side), and make its certificate; None where
        the phone has one already. Raises NotFound, InvalidArgument or FailedPrecondition."""
        async with self._database.reading() as connection:
            phone = await store.get_phone(connection, subject, phone_id)
        if phone is None:
            raise NotFound("the phone does not exist")
        if not phone.challenge:
            raise not_pending("the phone waits for a second person, or has ended")
        algorithm = int(Algorithm.ECDSA_P256_SHA256_P1363)
        if not await SIGNATURES.run(
            is_signed_by_key, phone.public_key, algorithm, phone.challenge, signature
        ):
            raise InvalidArgument("signature", "not the SIM's over the challenge")
        now = self._clock()
        if phone.state_at(now) in (PhoneState.ACTIVE, PhoneState.UNSEEN):
            return phone, None
        async with self._database.reading() as connection:
            party, _ = await _decide(connection, phone, now)
        key = load_public_key(phone.public_key)
        assert isinstance(key, EllipticKey)  # noqa: S101 - a list with another key is refused
        return phone, await self._issuance.issue_for_sim(party.subject, key)

    async def commit_completion(
        self, connection: AsyncConnection, prepared: Phone, certificate: StoredCertificate
    ) -> Phone:
        """Bind the phone, end a former holder's binding of its number, and store the certificate.
        Raises FailedPrecondition."""
        # The number's lock goes before its people's, here and where a list swaps its card.
        await store.lock_sims(connection, [prepared.number_hash])
        await lock_subject(connection, prepared.subject)
        now = self._clock()
        phone = await store.get_phone(connection, prepared.subject, prepared.id)
        assert phone is not None  # noqa: S101 - no phone is ever deleted
        if phone.state_at(now) is PhoneState.ACTIVE:
            # Another replica completed it in this moment.
            return phone
        party, making = await _decide(connection, phone, now)
        if not await store.activate_phone(connection, phone, certificate.fingerprint, now):
            raise not_pending("the phone has ended")
        same_number = await store.list_by_numbers(connection, [phone.number_hash], is_bound=True)
        former = [each for each in same_number if each.id != phone.id]
        await self._ending.end(connection, former, PhoneNoticeKind.REBOUND)
        await _take_key(connection, phone, party, now)
        added = await add_made(connection, certificate, party, making, events=self._events, now=now)
        happening = Happening(
            kind=IdentityEventKind.PHONE_ACTIVATED,
            basis=making.basis,
            subject=phone.subject,
            fingerprint=bytes.fromhex(added.fingerprint),
            officers=making.officers,
        )
        await self._events.record(connection, happening)
        await self._ending.tell(connection, phone, PhoneNoticeKind.ACTIVE)
        return replace(
            phone,
            state=PhoneState.ACTIVE,
            certificate=added.fingerprint,
            not_after=added.not_after,
            seen_time=now,
        )

    async def confirm_unseen(self, connection: AsyncConnection, prepared: Phone) -> Phone:
        """Have an unseen phone be active again, whose SIM signed the challenge that it was prepared
        with; an active one stays as it is. Raises FailedPrecondition."""
        await store.lock_sims(connection, [prepared.number_hash])
        await lock_subject(connection, prepared.subject)
        now = self._clock()
        phone = await store.get_phone(connection, prepared.subject, prepared.id)
        assert phone is not None  # noqa: S101 - no phone is ever deleted
        is_signed = phone.challenge == prepared.challenge
        if is_signed and phone.state_at(now) is PhoneState.ACTIVE:
            return phone
        await _check_has_its_sim(connection, phone)
        is_unseen = phone.state_at(now) is PhoneState.UNSEEN
        if not (is_signed and is_unseen and await store.confirm_unseen(connection, phone, now)):
            raise not_pending("the phone has ended, or is to sign another challenge")
        return replace(phone, state=PhoneState.ACTIVE, seen_time=now)

    def _challenge(self, phone: Phone) -> bytes:
        return new_challenge(phone, platform=self._platform, randomness=self._randomness)

    async def _check_limits(
        self, connection: AsyncConnection, subject: str, caller: Caller, role: int, now: datetime
    ) -> None:
        """Raises QuotaExceeded. Each binding may have a stranger's phone ask for a PIN: those that
        were ended count for their day, so that nobody asks on and on."""
        limit = PHONES_LIMIT if role == Role.ROLE_CITIZEN else PENDING_LIMIT
        since = now - LAPSES_AFTER
        if await store.count_unbound(connection, caller.subject, since=since) >= limit:
            raise QuotaExceeded(
                caller.subject, f"{limit} phones that you asked for within a day were not completed"
            )
        present = [
            phone
            for phone in await store.list_phones(connection, subject)
            if phone.state_at(now) is not PhoneState.ENDED
        ]
        if len(present) >= PHONES_LIMIT:
            raise QuotaExceeded(subject, f"the person has {PHONES_LIMIT} phones already")


def _role_of(caller: Caller, party: Party) -> int:
    """Return the role in which the caller may ask. Raises PermissionDenied."""
    return check_may_ask(caller, party.wants(CertificateUsage.SIGN), is_official=party.is_official)


async def _making_alone(
    connection: AsyncConnection, party: Party, caller: Caller, role: int, now: datetime
) -> Making | None:
    """Return how the caller alone has the SIM certified; None if it takes two people."""
    facts = await find_facts(connection, party, caller, role)
    basis = basis_alone(role, caller, party.wants(CertificateUsage.SIGN), facts, now)
    return None if basis is None else await making_alone(connection, caller, basis)


async def _decide(connection: AsyncConnection, phone: Phone, now: datetime) -> tuple[Party, Making]:
    """Return whose phone it is and how it is made, as things stand now. Raises
    FailedPrecondition."""
    if phone.state_at(now) is not PhoneState.PENDING:
        raise not_pending("the phone has ended")
    party = await find_party(connection, phone.subject, phone.asker, now)
    await _check_may_go_on(connection, phone, party, now)
    if phone.approver:
        confirmed = await get_certificate(connection, phone.approver, phone.approver_certificate)
        if confirmed is None or confirmed.is_revoked_at(now):
            raise not_pending("who approved it may not any more")
        return party, making_approved(phone.proposer, phone.approver)
    making = await _making_alone(connection, party, phone.asker, phone.proposer_role, now)
    if making is None:
        raise not_pending("it takes a second person now: ask for it anew")
    return party, making


async def _check_may_go_on(
    connection: AsyncConnection, phone: Phone, party: Party, now: datetime
) -> None:
    """Raise FailedPrecondition if who asked may not any more, or the number has another SIM."""
    if not await may_still_ask(connection, phone.asker, party, now):
        raise not_pending("who asked for it may not ask for it any more")
    await _check_has_its_sim(connection, phone)


async def _check_has_its_sim(connection: AsyncConnection, phone: Phone) -> None:
    """Raise FailedPrecondition if the number has another SIM."""
    sim = await store.get_sim(connection, phone.number_hash)
    if sim is None or sim.id != phone.sim:
        raise not_pending("the number has another SIM")


async def _take_key(connection: AsyncConnection, phone: Phone, party: Party, now: datetime) -> None:
    """Have the SIM's key move with its card: from a former holder, whose certificates over it are
    revoked by now. Raises FailedPrecondition for a key that is certified otherwise, or managed."""
    key = key_fingerprint(phone.public_key)
    if await store.may_key_move(connection, key, phone.subject):
        await store.move_key(connection, key, phone.subject)
    await check_key(connection, key, party.subject, CertificateUsage.SIGN, issues=True)
    since = now - REQUESTS_LAPSE_AFTER
    for subject in await list_pending_subjects(connection, key, since=since):
        check_key_is_free(subject, phone.subject)
