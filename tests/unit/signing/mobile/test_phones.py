"""Phones that are confirmed, swapped and told of, between identity, messaging and SIMs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from phones.outcomes import Outcome
from phones.subscribers import Subscriber, new_sim
from qagazsyz.identity.v1 import phones_pb2
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.identity.phones.unseen import UnseenPhones
from services.runtime.clock import system_randomness
from services.runtime.errors import FailedPrecondition, PermissionDenied
from tests.unit.identity.phones import sims
from tests.unit.signing.mobile.world import World, citizen, officer, operator, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGNED = pb.MOBILE_SIGNATURE_STATE_SIGNED
FAILED = pb.MOBILE_SIGNATURE_STATE_FAILED
CONFIRM_PHONE = pb.MOBILE_SIGNATURE_PURPOSE_CONFIRM_PHONE


async def sessions_of(world: World, subject: str) -> list[pb.MobileSignature]:
    request = pb.ListMobileSignaturesRequest(subject=subject)
    listed = await world.servicer.ListMobileSignatures(request, citizen(subject))
    return list(listed.mobile_signatures)


async def first_session(world: World, subject: str) -> pb.MobileSignature:
    """The session that the platform began by itself."""

    async def is_there() -> bool:
        return bool(await sessions_of(world, subject))

    await until(is_there)
    return (await sessions_of(world, subject))[0]


async def state(world: World, name: str) -> int:
    return (await sims.get(world.identity, name)).state


async def confirm(world: World, name: str) -> pb.MobileSignature:
    confirming: pb.MobileSignature = await world.servicer.ConfirmPhone(
        pb.ConfirmPhoneRequest(phone=name), operator()
    )
    return confirming


async def tells(world: World, subscriber: Subscriber, text: str) -> None:
    async def has_it() -> bool:
        return any(text in each for each in world.texts(subscriber))

    await until(has_it)


async def test_a_pending_phone_is_asked_by_itself_and_becomes_active(world: World) -> None:
    subject = await world.identity.person()
    phone, subscriber = await world.pending(subject)
    session = await first_session(world, subject)
    assert (session.purpose, session.requester) == (CONFIRM_PHONE, "")
    ended = await world.until(session.name)
    assert ended.state == SIGNED
    active = await sims.get(world.identity, phone.name)
    assert active.state == sims.ACTIVE
    # It signs for its holder from now on.
    created = await world.create(subject)
    assert (await world.until(created.name)).certificate == ended.certificate
    assert world.asked(subscriber) == 2


async def test_a_phone_that_refused_is_asked_again_and_by_whom_it_may_be(world: World) -> None:
    subject = await world.identity.person()
    phone, _ = await world.pending(subject, Outcome.CANCELS)
    session = await first_session(world, subject)
    ended = await world.until(session.name)
    assert ended.outcome == pb.MOBILE_SIGNATURE_OUTCOME_USER_CANCELLED
    assert await state(world, phone.name) == sims.PENDING
    # Not at once, whoever asks.
    with pytest.raises(Exception, match="refused"):
        await confirm(world, phone.name)
    await world.advance(600)
    with pytest.raises(PermissionDenied):
        await world.servicer.ConfirmPhone(
            pb.ConfirmPhoneRequest(phone=phone.name), citizen("subjects/other")
        )
    confirming = await confirm(world, phone.name)
    assert confirming.requester == "subjects/operator"
    assert confirming.display_text == "Qagazsyz: bind this number to you"


async def test_a_wrong_signature_binds_no_phone(world: World) -> None:
    subject = await world.identity.person()
    phone, _ = await world.pending(subject, Outcome.SIGNS_WITH_ANOTHER_KEY)
    session = await first_session(world, subject)
    ended = await world.until(session.name)
    assert ended.outcome == pb.MOBILE_SIGNATURE_OUTCOME_WRONG_SIGNATURE
    assert await state(world, phone.name) == sims.PENDING


async def test_only_a_pending_phone_is_confirmed(world: World) -> None:
    subject, _ = await world.person()
    (active,) = (await listed(world, subject)).phones
    with pytest.raises(FailedPrecondition) as refused:
        await confirm(world, active.name)
    assert refused.value.reason == "NOT_PENDING"
    with pytest.raises(PermissionDenied):
        await confirm(world, f"{subject}/phones/018f0000-0000-7000-8000-000000000001")


async def test_a_phone_whose_card_has_no_key_says_so(world: World) -> None:
    subject = await world.identity.person()
    subscriber = world.subscriber()
    card = world.card(subscriber)
    await sims.import_sims(world.identity, card)
    official = await world.identity.official()
    phone = await sims.ask(world.identity, subject, card, official.token)
    with pytest.raises(FailedPrecondition) as refused:
        await confirm(world, phone.name)
    assert refused.value.reason == "NO_SIM_KEY"
    await world.import_keys(subscriber)
    confirming = await confirm(world, phone.name)
    assert (await world.until(confirming.name)).state == SIGNED


async def listed(world: World, subject: str) -> phones_pb2.ListPhonesResponse:
    found: phones_pb2.ListPhonesResponse = await world.identity.call(
        sims.LIST, phones_pb2.ListPhonesRequest(subject=subject), world.identity.as_signing
    )
    return found


async def test_a_swapped_sim_ends_its_session_and_signs_no_more(world: World) -> None:
    subject, subscriber = await world.person(Outcome.SILENT)
    created = await world.create(subject, officer(world.organization()))
    await world.delivered(created.name)
    old = subscriber.sim
    swapped = phones_pb2.ReportSimSwapRequest(numbers=[subscriber.number])
    await world.identity.call(sims.REPORT, swapped, world.identity.as_operator)
    ended = await world.until(created.name)
    assert (ended.state, ended.outcome) == (FAILED, pb.MOBILE_SIGNATURE_OUTCOME_PHONE_ENDED)
    # Somebody has the number with a card of their own; nobody is asked any more.
    world.network.swap_sim(subscriber.number, new_sim(system_randomness))
    again = await world.create(subject, officer(world.organization("Other bank")))
    expired = await world.expire(again.name)
    assert expired.outcome == pb.MOBILE_SIGNATURE_OUTCOME_PHONE_ABSENT
    assert (old.counter, subscriber.sim.counter) == (old.counter, 0)


async def test_the_holders_other_phones_are_told_once_in_their_language(world: World) -> None:
    subject, first = await world.person()
    phone, second = await world.pending(subject)
    session = await first_session(world, subject)
    await world.until(session.name)
    end = second.number[-4:]
    await tells(world, first, f"Binding the number ...{end} to you was asked for")
    await tells(world, first, f"The number ...{end} is being bound to you")
    await tells(world, first, f"The number ...{end} is bound to you")
    await sims.unbind(world.identity, phone.name, world.identity.as_registrar)
    await tells(world, first, f"The number ...{end} is no longer bound to you")
    assert len(world.texts(first)) == 4
    assert not any(second.number in each for each in world.texts(first))


async def test_an_unseen_phone_hears_nothing_until_its_sim_confirms_it(world: World) -> None:
    subject, subscriber = await world.person()
    (phone,) = (await listed(world, subject)).phones
    asked, told = world.asked(subscriber), world.texts(subscriber)
    await world.advance(timedelta(days=180).total_seconds())
    await set_unseen(world)
    # Of another phone of the holder's nobody is told here, and nobody's session reaches it.
    other, _ = await world.pending(subject)
    await world.until((await first_session(world, subject)).name)
    await sims.unbind(world.identity, other.name, world.identity.as_registrar)
    created = await world.create(subject, officer(world.organization()))
    expired = await world.expire(created.name)
    assert expired.outcome == pb.MOBILE_SIGNATURE_OUTCOME_PHONE_ABSENT
    assert (world.asked(subscriber), world.texts(subscriber)) == (asked, told)
    # Its own SIM, asked in words of its own.
    confirming = await confirm(world, phone.name)
    assert confirming.display_text == "Qagazsyz: this number is still yours"
    assert (await world.until(confirming.name)).state == SIGNED
    assert await state(world, phone.name) == sims.ACTIVE
    created = await world.create(subject)
    assert (await world.until(created.name)).state == SIGNED


async def test_an_unseen_phone_with_another_sim_is_not_confirmed(world: World) -> None:
    """The network gave the number to another and told nobody."""
    subject, subscriber = await world.person()
    (phone,) = (await listed(world, subject)).phones
    await world.advance(timedelta(days=180).total_seconds())
    await set_unseen(world)
    world.network.swap_sim(subscriber.number, new_sim(system_randomness))
    confirming = await confirm(world, phone.name)
    expired = await world.expire(confirming.name)
    assert expired.state == pb.MOBILE_SIGNATURE_STATE_EXPIRED
    assert await state(world, phone.name) == sims.UNSEEN


async def test_that_a_sim_signed_is_reported_once_a_day(world: World) -> None:
    subject, _ = await world.person()
    (phone,) = (await listed(world, subject)).phones
    seen = []
    for hours in (1, 24, 1):
        await world.advance(timedelta(hours=hours).total_seconds())
        created = await world.create(subject)
        assert (await world.until(created.name)).state == SIGNED
        seen.append((await sims.get(world.identity, phone.name)).seen_time.seconds)
    assert seen[0] == phone.seen_time.seconds
    assert seen[0] + 86_400 < seen[1] == seen[2]


async def test_who_refuses_or_signs_wrongly_was_not_seen(world: World) -> None:
    for outcome in (Outcome.CANCELS, Outcome.SIGNS_WITH_ANOTHER_KEY):
        subject, _ = await world.person(outcome)
        (phone,) = (await listed(world, subject)).phones
        await world.advance(timedelta(days=2).total_seconds())
        created = await world.create(subject)
        assert (await world.until(created.name)).state == FAILED
        assert (await sims.get(world.identity, phone.name)).seen_time == phone.seen_time


async def set_unseen(world: World) -> None:
    finding = UnseenPhones(
        database=world.identity.database,
        after=timedelta(days=180),
        platform="test",
        clock=world.identity.clock,
        randomness=system_randomness,
    )
    await finding.find()
