"""Sessions in the database, on each kind: one open a person and card, limits, waits, erasure."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.runtime.clock import system_randomness
from services.runtime.errors import AlreadyExists, FailedPrecondition, ResourceExhausted
from services.runtime.sealing import Vault
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from services.signing.main import MIGRATIONS
from services.signing.mobile.rules import (
    CANCELLED_BY_SUBJECT,
    End,
    MobileSignatureOutcome,
    MobileSignaturePurpose,
    MobileSignatureState,
    Session,
    SignerPhone,
    Wanted,
)
from services.signing.mobile.sessions import Sessions, confirmation_of
from services.signing.sims.keys import SimKeys
from tests.clock import Clock
from tests.unit.signing.builders import NOW, SECOND_KEY, vault

PERSON, BANK, OTHER = "subjects/person", "subjects/bank", "subjects/other"
SIM = "018f0000-0000-7000-8000-000000000001"
LIFETIME = timedelta(minutes=3)
SIGNED = End(MobileSignatureState.SIGNED, signature=b"s" * 64, certificate=b"der")
NUMBER, TEXT = "+77010000001", "Bank: contract 17"


def phone(sim: str = SIM, subject: str = PERSON) -> SignerPhone:
    return SignerPhone(
        name=f"{subject}/phones/{sim}",
        number=NUMBER,
        sim=sim,
        public_key=b"spki",
        language="kk",
        challenge=b"qagazsyz phone v1\n",
    )


def wanted(**changes: object) -> Wanted:
    """A session that the person begins themselves."""
    fields: dict[str, object] = {
        "subject": PERSON,
        "requester": PERSON,
        "purpose": MobileSignaturePurpose.SIGN,
        "digest": hashlib.sha256(b"contract 17").digest(),
        "display_text": TEXT,
        "phone": phone(),
        "is_own": True,
    }
    return Wanted(**(fields | changes))  # type: ignore[arg-type]


def foreign(requester: str = BANK, **changes: object) -> Wanted:
    return wanted(requester=requester, is_own=False, **changes)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
async def sessions(database: Database, clock: Clock) -> Sessions:
    return await make(database, clock)


@pytest.fixture
async def on_sqlite(tmp_path: Path, clock: Clock) -> AsyncIterator[Sessions]:
    """For rules in which the kind of database has no part."""
    database = Database(sqlite_url(tmp_path / "signing.db"))
    await migrate(database, MIGRATIONS)
    yield await make(database, clock)
    await database.close()


async def make(database: Database, clock: Clock, keys: Vault | None = None) -> Sessions:
    """The sessions of a replica, with the card's key."""
    sim_keys = SimKeys(keys or vault(), clock)
    async with database.transaction() as connection:
        await sim_keys.put(connection, {SIM: bytes(16)})
    return Sessions(
        database=database,
        vault=keys or vault(),
        sim_keys=sim_keys,
        lifetime=LIFETIME,
        clock=clock,
        randomness=system_randomness,
    )


async def found(sessions: Sessions, session: Session) -> Session:
    again = await sessions.find(session.id)
    assert again is not None
    return again


async def test_a_person_has_one_session_at_a_time(sessions: Sessions) -> None:
    first = await sessions.start(wanted())
    for another in (wanted(), foreign(), wanted(phone=None)):
        with pytest.raises(FailedPrecondition) as refused:
            await sessions.start(another)
        assert refused.value.reason == "SESSION_OPEN"
    await sessions.end(first.id, SIGNED)
    assert (await sessions.start(wanted())).is_open


async def test_a_card_has_one_session_at_a_time_whosever_it_is(on_sqlite: Sessions) -> None:
    await on_sqlite.start(wanted())
    asked = confirmation_of(phone(subject=OTHER), OTHER, OTHER, TEXT)
    with pytest.raises(FailedPrecondition):
        await on_sqlite.start(asked)


async def test_of_two_at_the_same_moment_one_is_stored(sessions: Sessions) -> None:
    started = await asyncio.gather(
        *(sessions.start(foreign(f"subjects/{each}")) for each in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Session) for each in started) == 1
    refused = [each for each in started if not isinstance(each, Session)]
    assert {type(each) for each in refused} == {FailedPrecondition}


async def test_the_persons_own_session_ends_a_foreign_one(on_sqlite: Sessions) -> None:
    theirs = await on_sqlite.start(foreign())
    asked = asyncio.create_task(on_sqlite.wait_for_end(theirs))
    own = await on_sqlite.start(wanted())
    async with asyncio.timeout(20):
        ended = await asked
    assert (ended.state, ended.outcome) == (
        MobileSignatureState.CANCELLED,
        MobileSignatureOutcome.BUSY,
    )
    assert (await found(on_sqlite, own)).is_open
    # It was no refusal: the organization may ask again.
    await on_sqlite.end(own.id, SIGNED)
    assert (await on_sqlite.start(foreign())).is_open


async def test_a_confirmation_is_nobodys_own(on_sqlite: Sessions) -> None:
    """Who asks for a number's binding must not end the sessions of its holder; they end his."""
    await on_sqlite.start(foreign())
    asked = confirmation_of(phone(subject=OTHER), OTHER, OTHER, TEXT)
    with pytest.raises(FailedPrecondition):
        await on_sqlite.start(asked)
    own = await on_sqlite.start(wanted())
    await on_sqlite.end(own.id, SIGNED)
    confirming = await on_sqlite.start(asked)
    assert await on_sqlite.start(asked) == confirming
    await on_sqlite.start(wanted())
    assert not (await found(on_sqlite, confirming)).is_open


async def test_a_refused_confirmation_makes_everybody_wait(
    on_sqlite: Sessions, clock: Clock
) -> None:
    refused = End(MobileSignatureState.FAILED, MobileSignatureOutcome.USER_CANCELLED)
    for each in range(3):
        asker = f"subjects/{each}"
        asked = confirmation_of(phone(subject=asker), asker, asker, TEXT)
        if each:
            with pytest.raises(ResourceExhausted):
                await on_sqlite.start(asked)
            clock.move(minutes=(10, 60)[each - 1])
        session = await on_sqlite.start(asked)
        await on_sqlite.end(session.id, refused)


async def test_a_refusal_is_the_organizations_own(on_sqlite: Sessions, clock: Clock) -> None:
    session = await on_sqlite.start(foreign())
    await on_sqlite.end(session.id, CANCELLED_BY_SUBJECT)
    with pytest.raises(ResourceExhausted):
        await on_sqlite.start(foreign())
    other = await on_sqlite.start(foreign(OTHER))
    await on_sqlite.end(other.id, SIGNED)
    clock.move(minutes=10)
    assert (await on_sqlite.start(foreign())).is_open


async def test_ten_sessions_fit_a_persons_organizations_day(
    on_sqlite: Sessions, clock: Clock
) -> None:
    for _ in range(10):
        session = await on_sqlite.start(foreign(phone=None))
        await on_sqlite.end(session.id, SIGNED)
        clock.move(minutes=1)
    with pytest.raises(ResourceExhausted):
        await on_sqlite.start(foreign(phone=None))
    clock.move(hours=24)
    assert (await on_sqlite.start(foreign(phone=None))).is_open


async def test_a_request_that_is_repeated_is_one_session(sessions: Sessions) -> None:
    key = f"{PERSON} 018f0000-0000-7000-8000-00000000000d"
    first = await sessions.start(wanted(request_key=key))
    assert await sessions.start(wanted(request_key=key)) == first
    with pytest.raises(AlreadyExists):
        await sessions.start(wanted(request_key=key, digest=bytes(32)))
    await sessions.end(first.id, SIGNED)
    assert (await sessions.start(wanted(request_key=key))).state is MobileSignatureState.SIGNED


async def test_a_request_that_is_sent_twice_at_once_is_one_session(sessions: Sessions) -> None:
    request = wanted(request_key=f"{PERSON} 018f0000-0000-7000-8000-00000000000d")
    started = await asyncio.gather(*(sessions.start(request) for _ in range(4)))
    assert len({each.id for each in started}) == 1


async def test_counters_rise_and_codes_differ(sessions: Sessions, clock: Clock) -> None:
    started = []
    for _ in range(12):
        session = await sessions.start(wanted())
        await sessions.end(session.id, SIGNED)
        started.append(session)
        clock.move(seconds=0.001)
    counters = [each.counter for each in started]
    assert counters == sorted(set(counters))
    codes = [each.code for each in started]
    assert all(codes[each] not in codes[max(0, each - 10) : each] for each in range(len(codes)))


async def test_what_is_sealed_is_erased_five_minutes_after_the_end(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    session = await sessions.start(wanted())
    assert sessions.number_and_text(await found(sessions, session)) == (NUMBER, TEXT)
    clock.move(days=1)
    await sessions.erase()
    assert (await found(sessions, session)).digest
    await sessions.end(session.id, SIGNED)
    clock.move(minutes=4, seconds=59)
    await sessions.erase()
    assert (await found(sessions, session)).signature == SIGNED.signature
    clock.move(seconds=1)
    await sessions.erase()
    erased = await found(sessions, session)
    assert (erased.digest, erased.signature, erased.certificate) == (b"", b"", b"")
    assert sessions.number_and_text(erased) == ("", "")
    assert (erased.state, erased.code) == (MobileSignatureState.SIGNED, session.code)


async def test_numbers_and_texts_are_in_the_database_sealed_only(sessions: Sessions) -> None:
    session = await sessions.start(wanted())
    sealed = (await found(sessions, session)).sealed
    assert sealed is not None
    assert NUMBER.encode() not in sealed.data
    assert b"contract" not in sealed.data
    assert NUMBER not in repr(wanted())


async def test_a_session_expires_on_time(on_sqlite: Sessions, clock: Clock) -> None:
    absent = await on_sqlite.start(wanted())
    clock.move(seconds=LIFETIME.total_seconds() - 0.001)
    await on_sqlite.expire()
    assert (await found(on_sqlite, absent)).is_open
    clock.move(seconds=0.001)
    await on_sqlite.expire()
    ended = await found(on_sqlite, absent)
    assert (ended.state, ended.outcome) == (
        MobileSignatureState.EXPIRED,
        MobileSignatureOutcome.PHONE_ABSENT,
    )
    assert ended.end_time == absent.expire_time


async def test_an_expired_session_is_in_nobodys_way(on_sqlite: Sessions, clock: Clock) -> None:
    old = await on_sqlite.start(foreign())
    clock.move(seconds=LIFETIME.total_seconds())
    assert (await on_sqlite.start(foreign(OTHER))).is_open
    assert (await found(on_sqlite, old)).state is MobileSignatureState.EXPIRED


async def test_the_first_end_counts(on_sqlite: Sessions) -> None:
    session = await on_sqlite.start(wanted())
    assert await on_sqlite.end(session.id, CANCELLED_BY_SUBJECT)
    assert not await on_sqlite.end(session.id, SIGNED)
    assert (await found(on_sqlite, session)).state is MobileSignatureState.CANCELLED


async def test_a_change_wakes_who_waits_in_another_replica(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    other = await make(database, clock)
    session = await sessions.start(wanted())
    waiting = asyncio.create_task(sessions.wait_for_end(session))
    async with asyncio.timeout(20):
        while not sessions.changes.is_waited_for(session.id):  # noqa: ASYNC110 - the task's turn
            await asyncio.sleep(0)
        await other.end(session.id, SIGNED)
        await sessions.changes.look()
        assert (await waiting).state is MobileSignatureState.SIGNED


async def test_who_waits_in_vain_gets_the_session_as_it_is(on_sqlite: Sessions) -> None:
    session = await on_sqlite.start(wanted())
    assert await on_sqlite.wait(session, 0.001) == session
    # It changed before the wait began.
    await on_sqlite.end(session.id, SIGNED)
    async with asyncio.timeout(20):
        assert (await on_sqlite.wait(session, 60)).state is MobileSignatureState.SIGNED


async def test_texts_under_a_key_that_is_gone_count_as_erased(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    session = await sessions.start(wanted())
    later = await make(database, clock, Vault(SECOND_KEY))
    assert later.number_and_text(await found(later, session)) == ("", "")
    assert (await found(later, session)).is_open


async def test_a_card_without_a_key_is_an_absent_phone(on_sqlite: Sessions) -> None:
    session = await on_sqlite.start(wanted(phone=replace(phone(), sim="no key")))
    assert (session.phone, session.sim, session.counter) == ("", "", 0)
    assert session.is_open
