"""Does the log tell of every certificate and membership that identity keeps, and identity keep
those that the log tells of?

Identity's records come through its contract, never from its database. The registry's events are
read from a snapshot, the records after it, and last the events that are on their way into the log:
each record was made with its event, so that one in neither was made behind identity's back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.audit import store as audit_store
from services.registry.audit.differences import Difference, DifferenceKind
from services.registry.identity_events import store
from services.registry.identity_events.clients import PAGE_SIZE, IdentityEventClient
from services.registry.model.identity_events import (
    IdentityEvent,
    IdentityEventKind,
    IdentityRecord,
)
from services.runtime.clock import Clock
from services.runtime.storage.database import Database

# An event is in the log within seconds; one that waits longer is named.
WAITS_AT_MOST = timedelta(minutes=5)

# Kinds that say that something began; the others say that it ended.
_BEGINNINGS = (
    IdentityEventKind.CERTIFIED,
    IdentityEventKind.CERTIFICATE_REGISTERED,
    IdentityEventKind.MEMBERSHIP_ADDED,
)


@dataclass(frozen=True, slots=True)
class _Fact:
    """That a certificate or a membership began or ended."""

    subject: str
    organization: str
    fingerprint: bytes
    role: int
    is_end: bool

    @property
    def where(self) -> str:
        """The resource's name."""
        if self.fingerprint:
            return f"{self.subject}/certificates/{self.fingerprint.hex()}"
        return f"{self.organization}/memberships/{self.subject.removeprefix('subjects/')}"


async def compare_with_identity(
    database: Database, identity: IdentityEventClient, clock: Clock
) -> list[Difference]:
    """Return every difference between identity's records and the events in the log.

    Raises Unavailable and DeadlineExceeded.
    """
    async with database.snapshot() as connection:
        audit = _IdentityAudit(connection, await store.get_last_number(connection))
        async for records in identity.list_records():
            await audit.check_records(records)
        await audit.check_events()
        return await audit.finish(identity, clock)


class _IdentityAudit:
    def __init__(self, connection: AsyncConnection, last: int) -> None:
        self._connection = connection
        # Number of the newest event in the log.
        self._last = last
        # A bit for each event of a certificate that identity keeps.
        self._claimed = bytearray(last // 8 + 1)
        # Memberships are few: they are compared as a whole, once all are read.
        self._kept: Counter[_Fact] = Counter()
        self._missing: Counter[_Fact] = Counter()
        self._differences: list[Difference] = []

    async def check_records(self, records: Sequence[IdentityRecord]) -> None:
        """Find the events of certificates, and keep the memberships."""
        facts = [fact for record in records for fact in _facts_of(record)]
        self._kept.update(fact for fact in facts if not fact.fingerprint)
        certificates = {fact.fingerprint for fact in facts if fact.fingerprint}
        logged: dict[_Fact, list[int]] = {}
        for event in await store.find_by_fingerprints(self._connection, certificates):
            if event.is_of_phone:
                continue
            logged.setdefault(_fact_of(event), []).append(event.number)
        for fact in facts:
            if not fact.fingerprint:
                continue
            if logged.get(fact):
                number = logged[fact].pop(0)
                self._claimed[number >> 3] |= 1 << (number & 7)
            else:
                self._missing[fact] += 1

    async def check_events(self) -> None:
        """Report events of which identity has no record, and find memberships without one."""
        async for event in audit_store.stream_identity_events(self._connection):
            if event.is_of_phone:
                # Identity's records are of certificates: the phone's is among them.
                continue
            fact = _fact_of(event)
            if fact.fingerprint:
                is_claimed = bool(self._claimed[event.number >> 3] & 1 << (event.number & 7))
            else:
                is_claimed = self._kept[fact] > 0
                self._kept[fact] -= is_claimed
            if not is_claimed:
                what = f"identity has no record of it ({event.kind.name.lower()}, {fact.where})"
                self._differs(f"entry {event.log_index}", what)
        self._missing += self._kept

    async def finish(self, identity: IdentityEventClient, clock: Clock) -> list[Difference]:
        """Return all differences, without what only waits for the log."""
        waiting = await _read_waiting(identity, self._last)
        if waiting and clock() - waiting[0].time > WAITS_AT_MOST:
            what = f"{len(waiting)} events of identity wait for the log since {waiting[0].time}"
            self._differs(f"event {waiting[0].number} of identity", what)
        # Subtraction keeps what is more than nothing.
        told = Counter(_fact_of(event) for event in waiting if not event.is_of_phone)
        for fact in self._missing - told:
            what = "its end has no entry" if fact.is_end else "has no entry"
            self._differs(fact.where, what)
        return self._differences

    def _differs(self, where: str, what: str) -> None:
        self._differences.append(Difference(DifferenceKind.IDENTITY, where, what))


async def _read_waiting(identity: IdentityEventClient, after: int) -> list[IdentityEvent]:
    """Return the events that the log did not have yet."""
    waiting: list[IdentityEvent] = []
    while events := await identity.read_events(after, PAGE_SIZE):
        waiting += events
        after = events[-1].number
    return waiting


def _facts_of(record: IdentityRecord) -> list[_Fact]:
    members = (record.subject, record.organization, record.fingerprint, record.role)
    began = _Fact(*members, is_end=False)
    return [began, _Fact(*members, is_end=True)] if record.is_ended else [began]


def _fact_of(event: IdentityEvent) -> _Fact:
    return _Fact(
        event.subject,
        event.organization,
        event.fingerprint,
        event.role,
        is_end=event.kind not in _BEGINNINGS,
    )
