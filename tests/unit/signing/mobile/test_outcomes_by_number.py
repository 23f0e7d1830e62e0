"""What becomes of a session by what the phone does: each outcome of the simulator, a row."""

from __future__ import annotations

import pytest

from phones.outcomes import Outcome
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.signing.exchange.clients import MessageState
from signatures.x509 import is_signed_by_certificate
from sms.alphabets import Alphabet
from tests.unit.signing.mobile.world import LIFETIME_SECONDS, MESSAGE, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGNED = pb.MOBILE_SIGNATURE_STATE_SIGNED
FAILED = pb.MOBILE_SIGNATURE_STATE_FAILED
EXPIRED = pb.MOBILE_SIGNATURE_STATE_EXPIRED
NONE = pb.MOBILE_SIGNATURE_OUTCOME_UNSPECIFIED
ABSENT = pb.MOBILE_SIGNATURE_OUTCOME_PHONE_ABSENT

# What the SIM answers at once.
ANSWERED = {
    Outcome.CANCELS: pb.MOBILE_SIGNATURE_OUTCOME_USER_CANCELLED,
    Outcome.BLOCKS_PIN: pb.MOBILE_SIGNATURE_OUTCOME_PIN_BLOCKED,
    Outcome.CARD_BLOCKED: pb.MOBILE_SIGNATURE_OUTCOME_CARD_BLOCKED,
    Outcome.NO_KEY: pb.MOBILE_SIGNATURE_OUTCOME_NO_KEY,
    Outcome.BUSY: pb.MOBILE_SIGNATURE_OUTCOME_BUSY,
    Outcome.POSTPONES: pb.MOBILE_SIGNATURE_OUTCOME_POSTPONED,
    Outcome.SIGNS_ANOTHER_DIGEST: pb.MOBILE_SIGNATURE_OUTCOME_WRONG_SIGNATURE,
    Outcome.SIGNS_WITH_ANOTHER_KEY: pb.MOBILE_SIGNATURE_OUTCOME_WRONG_SIGNATURE,
}


@pytest.mark.parametrize("outcome", [Outcome.SIGNS, Outcome.ANSWERS_TWICE, Outcome.SWAPS_PARTS])
async def test_a_good_answer_counts_once(world: World, outcome: Outcome) -> None:
    subject, _ = await world.person(outcome)
    taken = await world.taken()
    created = await world.create(subject)
    assert (created.state, created.requester) == (pb.MOBILE_SIGNATURE_STATE_WAITING, subject)
    assert created.display_text == "Qagazsyz: contract 17"
    signed = await world.until(created.name)
    assert (signed.state, signed.outcome) == (SIGNED, NONE)
    assert is_signed_by_certificate(signed.certificate, signed.algorithm, MESSAGE, signed.signature)
    # Messaging itself counts the same octets within ten minutes once.
    await world.until_taken(taken + 1)
    assert await world.get(created.name) == signed


@pytest.mark.parametrize("outcome", ANSWERED, ids=lambda each: each.name)
async def test_what_the_sim_says_is_the_outcome(world: World, outcome: Outcome) -> None:
    subject, _ = await world.person(outcome)
    created = await world.create(subject)
    ended = await world.until(created.name)
    assert (ended.state, ended.outcome) == (FAILED, ANSWERED[outcome])
    assert (ended.signature, ended.certificate, ended.algorithm) == (b"", b"", 0)


async def test_who_never_answers_lets_it_expire(world: World) -> None:
    subject, _ = await world.person(Outcome.SILENT)
    created = await world.create(subject)
    await world.delivered(created.name)
    ended = await world.expire(created.name)
    assert (ended.state, ended.outcome) == (EXPIRED, NONE)


async def test_a_request_that_the_network_loses_is_a_failed_delivery(world: World) -> None:
    subject, _ = await world.person(Outcome.LOST)
    created = await world.create(subject)
    await world.sent(created.name, MessageState.UNDELIVERABLE)
    await world.advance(2)
    ended = await world.until(created.name)
    assert (ended.state, ended.outcome) == (FAILED, pb.MOBILE_SIGNATURE_OUTCOME_DELIVERY_FAILED)


async def test_a_late_answer_changes_nothing(world: World) -> None:
    subject, _ = await world.person(Outcome.ANSWERS_LATE)
    created = await world.create(subject)
    await world.delivered(created.name)
    expired = await world.expire(created.name)
    assert (expired.state, expired.outcome) == (EXPIRED, NONE)
    taken = await world.taken()
    await world.advance(61)
    await world.until_taken(taken + 1)
    assert await world.get(created.name) == expired


async def test_an_answer_under_another_counter_changes_nothing(world: World) -> None:
    subject, _ = await world.person(Outcome.REPLAYS_COUNTER)
    taken = await world.taken()
    created = await world.create(subject)
    await world.until_taken(taken + 1)
    await world.delivered(created.name)
    ended = await world.expire(created.name)
    assert (ended.state, ended.outcome) == (EXPIRED, NONE)


async def test_a_phone_that_is_off_and_no_phone_look_alike(world: World) -> None:
    subject, subscriber = await world.person()
    nobody = await world.identity.person()
    world.network.switch(subscriber.number, "off")
    created = [await world.create(each) for each in (subject, nobody)]
    await world.sent(created[0].name, MessageState.SENT)
    ended = [await world.expire(created[0].name), await world.until(created[1].name)]
    for session in ended:
        assert (session.state, session.outcome) == (EXPIRED, ABSENT)
        waited = session.end_time.ToDatetime() - session.create_time.ToDatetime()
        assert waited.total_seconds() == LIFETIME_SECONDS
    own = ("name", "subject", "requester", "verification_code", "end_time")
    for session in ended:
        for field in own:
            session.ClearField(field)
    assert ended[0] == ended[1]


async def test_a_phone_without_the_alphabet_signs_nothing_unread(world: World) -> None:
    subject, subscriber = await world.person()
    subscriber.alphabet = Alphabet.GSM_7BIT
    created = await world.create(subject, text="шарт 17")
    ended = await world.until(created.name)
    assert (ended.state, ended.outcome) == (FAILED, pb.MOBILE_SIGNATURE_OUTCOME_NOT_SHOWN)
