"""Each outcome by the last three digits, over real sockets and with a foreign SMPP client."""

from __future__ import annotations

import pytest

from phones.outcomes import Outcome, outcome_of
from sms.applet import Status
from sms.secured_packets import ResponseStatus
from tests.unit.phones.conftest import World
from tests.unit.phones.esme import DIGEST, NONCE, Platform, verifies


async def test_any_other_number_signs(world: World, platform: Platform) -> None:
    one = world.subscriber()
    counter = platform.ask(one)
    await platform.esme.settle()
    (response,) = platform.responses(one)
    (answer,) = platform.answers(one)
    assert (response.counter, response.status) == (counter, ResponseStatus.OK)
    assert (answer.status, answer.nonce) == (Status.SIGNED, NONCE)
    assert verifies(answer, one)
    assert platform.esme.sources == [(one.number.removeprefix("+"), "1414")]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.CANCELS, Status.CANCELLED),
        (Outcome.BLOCKS_PIN, Status.PIN_BLOCKED),
        (Outcome.CARD_BLOCKED, Status.CARD_BLOCKED),
        (Outcome.NO_KEY, Status.NO_KEY),
        (Outcome.BUSY, Status.BUSY),
        (Outcome.POSTPONES, Status.POSTPONED),
    ],
)
async def test_an_outcome_with_a_status_answers_it_without_a_signature(
    world: World, platform: Platform, outcome: Outcome, status: Status
) -> None:
    one = world.subscriber(outcome)
    counter = platform.ask(one)
    await platform.esme.settle()
    (response,) = platform.responses(one)
    (answer,) = platform.answers(one)
    assert response.counter == counter
    assert (answer.status, answer.nonce, answer.signature) == (status, NONCE, b"")


async def test_402_blocks_the_pin_for_the_next_request_too(
    world: World, platform: Platform
) -> None:
    one = world.subscriber(Outcome.BLOCKS_PIN)
    for _ in range(2):
        platform.ask(one)
        await platform.esme.settle()
    assert [each.status for each in platform.answers(one)] == [Status.PIN_BLOCKED] * 2
    assert one.sim.pin_tries == 0


async def test_208_takes_the_request_and_never_answers(world: World, platform: Platform) -> None:
    one = world.subscriber(Outcome.SILENT)
    platform.ask(one)
    await platform.esme.settle()
    assert "stat:DELIVRD" in platform.esme.receipts[0]
    assert world.phone(Outcome.SILENT).dialogue is not None
    # The screen is free again after a while, and still nothing is answered.
    world.clock.advance(24 * 3600)
    await platform.esme.settle()
    assert world.phone(Outcome.SILENT).dialogue is None
    assert platform.esme.messages == []


async def test_209_loses_the_request_and_the_receipt_says_so(
    world: World, platform: Platform
) -> None:
    one = world.subscriber(Outcome.LOST)
    platform.ask(one)
    await platform.esme.settle()
    assert "stat:UNDELIV" in platform.esme.receipts[0]
    assert platform.esme.messages == []
    assert one.sim.counter == 0


async def test_601_answers_twice_with_the_same_octets(world: World, platform: Platform) -> None:
    one = world.subscriber(Outcome.ANSWERS_TWICE)
    platform.ask(one)
    await platform.esme.settle()
    first, second = platform.esme.messages
    assert first == second
    assert verifies(platform.answers(one)[0], one)


async def test_602_answers_in_two_parts_the_second_first(world: World, platform: Platform) -> None:
    one = world.subscriber(Outcome.SWAPS_PARTS)
    platform.ask(one)
    await platform.esme.settle()
    second, first = platform.esme.messages
    assert first.user_data[5:8] == b"\x01\x71\x00"
    assert second.user_data[4:6] == b"\x02\x02"
    (answer,) = platform.answers(one)
    assert verifies(answer, one)


async def test_603_answers_a_minute_after_the_request_expired(
    world: World, platform: Platform
) -> None:
    one = world.subscriber(Outcome.ANSWERS_LATE)
    platform.ask(one, validity_period="000000000500000R")
    await platform.esme.settle()
    world.clock.advance(300 + 59)
    await platform.esme.settle()
    assert platform.esme.messages == []
    world.clock.advance(1)
    await platform.esme.settle()
    assert verifies(platform.answers(one)[0], one)


async def test_604_signs_another_digest(world: World, platform: Platform) -> None:
    one = world.subscriber(Outcome.SIGNS_ANOTHER_DIGEST)
    platform.ask(one)
    await platform.esme.settle()
    (answer,) = platform.answers(one)
    assert not verifies(answer, one)
    assert verifies(answer, one, bytes(each ^ 0xFF for each in DIGEST))


async def test_605_signs_with_another_key(world: World, platform: Platform) -> None:
    one = world.subscriber(Outcome.SIGNS_WITH_ANOTHER_KEY)
    platform.ask(one)
    await platform.esme.settle()
    (answer,) = platform.answers(one)
    assert answer.status is Status.SIGNED
    assert not verifies(answer, one)


async def test_606_answers_under_the_counter_of_the_request_before(
    world: World, platform: Platform
) -> None:
    one = world.subscriber(Outcome.REPLAYS_COUNTER)
    counters = []
    for _ in range(2):
        counters.append(platform.ask(one))
        await platform.esme.settle()
    assert [each.counter for each in platform.responses(one)] == [each - 1 for each in counters]
    assert all(verifies(each, one) for each in platform.answers(one))


def test_each_number_has_one_outcome() -> None:
    assert {outcome_of(f"+7701000{each.value:04d}") for each in Outcome} == set(Outcome)
    assert outcome_of("+77010000402") is Outcome.BLOCKS_PIN
    assert outcome_of("+77010000123") is Outcome.SIGNS
    assert outcome_of("+77010000000") is Outcome.SIGNS
