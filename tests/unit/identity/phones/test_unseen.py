"""A phone whose SIM signed nothing for long gets nothing until the same SIM has signed anew."""

from __future__ import annotations

import uuid
from datetime import timedelta

import grpc
import pytest
from sqlalchemy import func, select, update

from qagazsyz.identity.v1 import certificates_pb2, phones_pb2
from services.identity.phones import unseen
from services.identity.phones.unseen import UnseenPhones
from services.identity.tables import phones
from services.runtime.clock import system_randomness
from tests.unit.identity.phones import sims
from tests.unit.identity.phones.sims import (
    ACTIVE,
    COMPLETE,
    ENDED,
    MATCH,
    PENDING,
    RESOLVE,
    SEEN,
    UNSEEN,
    Card,
    ask,
    bind,
    complete,
    completion,
    get,
    new_card,
    notices,
    unbind,
)
from tests.unit.identity.phones.test_servicer import iin_of
from tests.unit.identity.phones.test_told import ending
from tests.unit.identity.service import Identity

DENIED = grpc.StatusCode.PERMISSION_DENIED
FAILED = grpc.StatusCode.FAILED_PRECONDITION
INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
# Less than a certificate's year, which ends phones too.
AFTER = timedelta(days=180)


async def find_unseen(identity: Identity) -> None:
    finding = UnseenPhones(
        database=identity.database,
        after=AFTER,
        platform="test",
        clock=identity.clock,
        randomness=system_randomness,
    )
    await finding.find()


async def pass_days(identity: Identity, days: int) -> None:
    identity.clock.move(days=days)
    await find_unseen(identity)


async def report(identity: Identity, name: str) -> None:
    request = phones_pb2.ReportPhoneSeenRequest(name=name)
    await identity.call(SEEN, request, identity.as_signing)


async def test_a_phone_is_unseen_a_set_time_after_its_sim_signed(identity: Identity) -> None:
    person = await identity.person()
    seen, other = await bind(identity, person), await bind(identity, person)
    await pass_days(identity, 179)
    assert {(await get(identity, each.name)).state for each in (seen, other)} == {ACTIVE}
    await report(identity, seen.name)
    await pass_days(identity, 1)
    assert (await get(identity, seen.name)).state == ACTIVE
    assert (await get(identity, other.name)).state == UNSEEN
    await pass_days(identity, 179)
    assert (await get(identity, seen.name)).state == UNSEEN


async def test_an_unseen_phone_is_nobodys_and_is_told_nothing(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await bind(identity, person, card)
    resolve = phones_pb2.ResolvePhoneRequest(number=card.number)
    match = phones_pb2.MatchPhoneRequest(number=card.number, iin=await iin_of(identity, person))
    assert (await identity.call(RESOLVE, resolve, identity.as_signing)).name == phone.name
    assert (await identity.call(MATCH, match, identity.as_signing)).HasField("phone")
    await pass_days(identity, 180)
    assert await identity.refused(RESOLVE, resolve, identity.as_signing) == MISSING
    assert not (await identity.call(MATCH, match, identity.as_signing)).HasField("phone")
    listing = phones_pb2.ListPhonesRequest(subject=person)
    for token in (identity.as_signing, identity.as_citizen(person)):
        (listed,) = (await identity.call(sims.LIST, listing, token)).phones
        assert listed.state == UNSEEN
    # Another phone of the same person, of which all others are told.
    await notices(identity)
    await bind(identity, person)
    assert [
        list(notice.recipients) for notice in await notices(identity) if notice.recipients
    ] == []


async def test_only_its_own_sim_confirms_it_and_by_a_new_signature(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, identity.as_operator)
    assert phone.state == PENDING
    old = await completion(identity, phone.name, card)
    bound = await identity.call(COMPLETE, old, identity.as_signing)
    await pass_days(identity, 180)
    assert await identity.refused(COMPLETE, old, identity.as_signing) == INVALID
    another = await completion(identity, phone.name, Card(card.number))
    assert await identity.refused(COMPLETE, another, identity.as_signing) == INVALID
    # That the SIM signs something else is not enough.
    await report(identity, phone.name)
    assert (await get(identity, phone.name)).state == UNSEEN
    signed = await completion(identity, phone.name, card)
    for _ in range(2):
        again = await identity.call(COMPLETE, signed, identity.as_signing)
        assert (again.state, again.certificate) == (ACTIVE, bound.certificate)
    assert len(await identity.certificates(person)) == 1
    await pass_days(identity, 179)
    assert (await get(identity, phone.name)).state == ACTIVE
    await pass_days(identity, 1)
    assert await identity.refused(COMPLETE, signed, identity.as_signing) == INVALID


async def test_an_unseen_phone_ends_as_any_other(identity: Identity) -> None:
    person = await identity.person()
    cards = [await new_card(identity) for _ in range(4)]
    unbound, swapped, rebound, revoked = [await bind(identity, person, card) for card in cards]
    await pass_days(identity, 180)
    late = await completion(identity, swapped.name, cards[1])
    await unbind(identity, unbound.name, identity.as_citizen(person))
    report_swap = phones_pb2.ReportSimSwapRequest(numbers=[cards[1].number])
    await identity.call(sims.REPORT, report_swap, identity.as_operator)
    await bind(identity, await identity.person(), cards[2])
    await identity.revoke(revoked.certificate, identity.as_operator)
    for phone in (unbound, swapped, rebound, revoked):
        assert (await get(identity, phone.name)).state == ENDED
    assert await identity.refused(COMPLETE, late, identity.as_signing) == FAILED
    states = {each.state for each in await identity.certificates(person)}
    assert states == {certificates_pb2.CERTIFICATE_STATE_REVOKED}
    # Of the one that ended with its certificate signing is told by the round that looks for it.
    await notices(identity)
    await ending(identity).tidy()
    assert [notice.phone for notice in await notices(identity)] == [revoked.name]


async def test_when_a_sim_signed_is_noted_once_a_day_and_shown_to_whom_it_concerns(
    identity: Identity,
) -> None:
    person = await identity.person()
    phone = await bind(identity, person)
    bound_at = identity.clock()
    identity.clock.move(hours=23)
    await report(identity, phone.name)
    assert (await get(identity, phone.name)).seen_time.ToDatetime(bound_at.tzinfo) == bound_at
    identity.clock.move(hours=2)
    await report(identity, phone.name)
    seen = (await get(identity, phone.name)).seen_time
    assert seen.ToDatetime(bound_at.tzinfo) == identity.clock()
    request = phones_pb2.GetPhoneRequest(name=phone.name)
    assert (await identity.call(sims.GET, request, identity.as_citizen(person))).seen_time == seen
    shown = await identity.call(sims.GET, request, identity.as_registrar)
    assert not shown.HasField("seen_time")


async def test_only_signing_reports_and_of_other_phones_nothing_changes(
    identity: Identity,
) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, identity.as_operator)
    request = phones_pb2.ReportPhoneSeenRequest(name=phone.name)
    for token in (identity.as_operator, identity.as_citizen(person), identity.as_service):
        assert await identity.refused(SEEN, request, token) == DENIED
    await report(identity, phone.name)
    assert not (await get(identity, phone.name)).HasField("seen_time")
    await report(identity, f"{person}/phones/{uuid.uuid4()}")
    wrong = phones_pb2.ReportPhoneSeenRequest(name=person)
    assert await identity.refused(SEEN, wrong, identity.as_signing) == INVALID
    await complete(identity, phone.name, card)
    await unbind(identity, phone.name, identity.as_citizen(person))
    await report(identity, phone.name)
    assert (await get(identity, phone.name)).state == ENDED


async def test_one_bound_by_an_earlier_version_counts_from_its_beginning(
    identity: Identity,
) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await bind(identity, person, card)
    async with identity.database.transaction() as connection:
        await connection.execute(update(phones).values(seen_time=None))
    await pass_days(identity, 181)
    assert (await get(identity, phone.name)).state == UNSEEN


async def test_all_that_are_due_are_found_in_one_round(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unseen, "UNSEEN_LIMIT", 1)
    person = await identity.person()
    for _ in range(3):
        await bind(identity, person)
    await pass_days(identity, 180)
    query = select(func.count()).where(phones.c.state == UNSEEN)
    async with identity.database.reading() as connection:
        assert (await connection.execute(query)).scalar_one() == 3
