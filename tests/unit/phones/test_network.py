"""Phones that are off, abroad, busy, or have another SIM."""

from __future__ import annotations

from phones.dialogues import Dialogue, Step
from phones.outcomes import Outcome
from sms.applet import Status
from sms.parts import ShortMessage, split_text
from sms.secured_packets import ResponseStatus
from tests.unit.phones.conftest import World, subscriber
from tests.unit.phones.esme import Platform, verifies

FIVE_MINUTES = "000000000500000R"


async def test_a_phone_that_is_off_gets_its_messages_when_it_is_on(
    world: World, platform: Platform
) -> None:
    one = world.subscriber()
    world.network.switch(one.number, "off")
    platform.ask(one, validity_period=FIVE_MINUTES)
    platform.esme.submit(one.number, split_text("Дайын", 1)[0])
    await platform.esme.settle()
    assert (platform.esme.messages, platform.esme.receipts) == ([], [])
    world.clock.advance(299)
    world.network.switch(one.number, "on")
    await platform.esme.settle()
    assert verifies(platform.answers(one)[0], one)
    assert len(platform.esme.receipts) == 2
    assert world.phone().texts[-1] == ("1414", "Дайын")


async def test_a_phone_that_is_off_too_long_never_gets_them(
    world: World, platform: Platform
) -> None:
    one = world.subscriber()
    world.network.switch(one.number, "off")
    platform.ask(one, validity_period=FIVE_MINUTES)
    await platform.esme.settle()
    world.clock.advance(300)
    await platform.esme.settle()
    world.network.switch(one.number, "on")
    await platform.esme.settle()
    assert ["stat:EXPIRED" in each for each in platform.esme.receipts] == [True]
    assert platform.esme.messages == []
    assert one.sim.counter == 0


async def test_a_phone_that_is_switched_off_on_the_way_gets_it_later(
    world: World, platform: Platform
) -> None:
    one = world.subscriber()
    world.network.switch(one.number, "roaming")
    platform.ask(one)
    await platform.esme.settle()
    world.network.switch(one.number, "off")
    world.clock.advance(60)
    assert one.sim.counter == 0
    world.network.switch(one.number, "on")
    await platform.esme.settle()
    assert verifies(platform.answers(one)[0], one)


async def test_a_message_that_arrives_after_its_expiry_is_not_shown(
    world: World, platform: Platform
) -> None:
    one = world.subscriber()
    world.network.switch(one.number, "roaming")
    platform.ask(one, validity_period="000000000005000R")
    await platform.esme.settle()
    world.clock.advance(10)
    await platform.esme.settle()
    assert "stat:EXPIRED" in platform.esme.receipts[0]
    assert one.sim.counter == 0


async def test_a_phone_abroad_is_slow_each_way(world: World, platform: Platform) -> None:
    one = world.subscriber()
    world.network.switch(one.number, "roaming")
    platform.ask(one)
    await platform.esme.settle()
    world.clock.advance(15.9)
    await platform.esme.settle()
    assert platform.esme.messages == []
    world.clock.advance(0.1)
    await platform.esme.settle()
    assert verifies(platform.answers(one)[0], one)


async def test_one_request_at_a_time_is_on_a_screen(world: World, platform: Platform) -> None:
    phone = world.phone()
    one = phone.subscriber
    one.answers = "by hand"
    first = platform.ask(one, "Bank: first")
    second = platform.ask(one, "Bank: second")
    await platform.esme.settle()
    (busy,) = platform.responses(one)
    assert (busy.counter, platform.answers(one)[0].status) == (second, Status.BUSY)
    assert phone.dialogue is not None
    assert "first" in phone.dialogue.text
    world.network.press(phone, Dialogue.cancel)
    await platform.esme.settle()
    assert platform.responses(one)[1].counter == first


async def test_a_screen_is_free_again_when_nobody_answers(world: World, platform: Platform) -> None:
    phone = world.phone()
    phone.subscriber.answers = "by hand"
    platform.ask(phone.subscriber)
    await platform.esme.settle()
    world.clock.advance(180)
    assert phone.dialogue is None
    phone.subscriber.answers = "by themselves"
    platform.ask(phone.subscriber)
    await platform.esme.settle()
    (answer,) = platform.answers(phone.subscriber)
    assert answer.status is Status.SIGNED


async def test_an_old_dialogues_end_leaves_the_next_one_alone(
    world: World, platform: Platform
) -> None:
    phone = world.phone()
    phone.subscriber.answers = "by hand"
    platform.ask(phone.subscriber, "Bank: first")
    await platform.esme.settle()
    world.clock.advance(100)
    world.network.press(phone, Dialogue.cancel)
    platform.ask(phone.subscriber, "Bank: second")
    await platform.esme.settle()
    world.clock.advance(100)
    assert phone.dialogue is not None
    assert phone.dialogue.step is Step.READING


async def test_people_take_their_time(world: World, platform: Platform) -> None:
    world.network._think_seconds = 20
    platform.ask(world.subscriber())
    await platform.esme.settle()
    world.clock.advance(19)
    assert world.phone().dialogue is not None
    world.clock.advance(1)
    assert world.phone().dialogue is None


async def test_a_new_sim_has_another_key_and_knows_nothing_of_the_old(
    world: World, platform: Platform
) -> None:
    phone = world.phone()
    phone.subscriber.answers = "by hand"
    old = phone.subscriber.sim
    platform.ask(phone.subscriber)
    await platform.esme.settle()
    world.network.swap_sim(phone.subscriber.number, subscriber().sim)
    assert phone.dialogue is None
    world.clock.advance(600)
    phone.subscriber.answers = "by themselves"
    new = phone.subscriber.sim
    assert new.key.public_key() != old.key.public_key()
    new.mac_key = bytes(16)
    platform.ask(phone.subscriber, mac_key=old.mac_key)
    platform.ask(phone.subscriber, mac_key=new.mac_key, counter=1)
    await platform.esme.settle()
    refused, signed = platform.responses(phone.subscriber)
    assert refused.status is ResponseStatus.CHECKSUM_FAILED
    assert (signed.status, signed.counter) == (ResponseStatus.OK, 1)


async def test_parts_of_a_request_join_in_any_order(world: World, platform: Platform) -> None:
    one = world.subscriber()
    submit = platform.esme.submit
    kept: list[tuple[str, ShortMessage]] = []
    platform.esme.submit = lambda number, message, **_: kept.append((number, message))  # type: ignore[method-assign]
    platform.ask(one, "қ" * 50)
    (_, first), (_, second) = kept
    submit(one.number, second)
    submit(one.number, second)
    await platform.esme.settle()
    assert platform.esme.messages == []
    submit(one.number, first)
    await platform.esme.settle()
    assert verifies(platform.answers(one)[0], one)
    # A part that comes once more is no second request.
    submit(one.number, second)
    await platform.esme.settle()
    assert len(platform.esme.messages) == 1


async def test_what_no_handset_reads_is_dropped(world: World, platform: Platform) -> None:
    one = world.subscriber()
    for user_data, has_header, coding in [
        (b"\x05\x00\x03", True, 0xF6),
        (b"\xff\xff", False, 0x00),
        (b"text", False, 0x20),
        (b"\x01\x02", False, 0x04),
        (bytes.fromhex("050003070201") + b"a", True, 0x04),
        (bytes.fromhex("050003070201") + b"b", True, 0x04),
    ]:
        platform.esme.submit(one.number, ShortMessage(user_data, has_header, 0, coding))
    await platform.esme.settle()
    assert not world.phone().texts
    assert not world.phone().parts
    platform.ask(one)
    await platform.esme.settle()
    assert verifies(platform.answers(one)[0], one)


async def test_data_that_is_no_request_is_answered_malformed(
    world: World, platform: Platform
) -> None:
    from sms.parts import COMMAND_PACKET, split_packet
    from sms.secured_packets import write_command

    one = world.subscriber()
    (message,) = split_packet(write_command(1, b"\x80\x01\x00", one.sim.mac_key), COMMAND_PACKET, 0)
    platform.esme.submit(one.number, message)
    await platform.esme.settle()
    (answer,) = platform.answers(one)
    assert (answer.status, answer.nonce) == (Status.MALFORMED, bytes(8))


async def test_a_lost_number_still_gets_texts(world: World, platform: Platform) -> None:
    """209 is about requests to its SIM."""
    one = world.subscriber(Outcome.LOST)
    platform.esme.submit(one.number, split_text("Ready", 1)[0])
    await platform.esme.settle()
    assert "stat:DELIVRD" in platform.esme.receipts[0]
