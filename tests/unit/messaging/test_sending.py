"""Messages go to the SMSC once, in order, and say what became of them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, cast

import pytest
from sqlalchemy import select

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.tables import early_receipts, messages
from services.runtime.errors import InvalidArgument, PermissionDenied, ResourceExhausted
from services.runtime.storage.database import Database
from tests.clock import Clock
from tests.smsc import (
    BAD_DESTINATION,
    OK,
    SYSTEM_ERROR,
    THROTTLED,
    Smsc,
    Submitted,
    running,
)
from tests.unit.messaging.builders import (
    OTHER_PHONE,
    PHONE,
    Service,
    linked,
    make_service,
    send_request,
)

QUEUED = messages_pb2.MESSAGE_STATE_QUEUED
SENT = messages_pb2.MESSAGE_STATE_SENT
DELIVERED = messages_pb2.MESSAGE_STATE_DELIVERED
UNDELIVERABLE = messages_pb2.MESSAGE_STATE_UNDELIVERABLE
EXPIRED = messages_pb2.MESSAGE_STATE_EXPIRED


def texts(smsc: Smsc) -> list[str]:
    return [each.user_data.decode("utf-16-be") for each in smsc.taken]


async def test_a_message_is_sent_as_it_was_asked_for(service: Service, smsc: Smsc) -> None:
    asked = await service.send(text="Құжат дайын")
    assert asked.state == QUEUED
    async with linked(service, smsc):
        sent = await service.until(asked.name, SENT)
    (taken,) = smsc.taken
    assert (taken.source, taken.destination) == ("1414", PHONE.lstrip("+"))
    assert (taken.data_coding, taken.esm_class, taken.protocol_id) == (8, 0, 0)
    assert texts(smsc) == ["Құжат дайын"]
    assert taken.validity_period.endswith("000+")
    assert sent.parts == 1
    assert sent.HasField("send_time")
    assert not sent.maybe_twice
    assert smsc.unbinds == 1


async def test_a_packet_for_the_sim_goes_in_parts_with_its_command_header(
    service: Service, smsc: Smsc
) -> None:
    packet = bytes(range(200))
    async with linked(service, smsc):
        asked = await service.send(binary=packet)
        await service.until(asked.name, SENT)
    first, second = smsc.taken
    for part in smsc.taken:
        assert (part.data_coding, part.esm_class, part.protocol_id) == (0xF6, 0x40, 0x7F)
        assert len(part.user_data) <= 140
    assert first.user_data[:8] == bytes.fromhex("0700030002017000")
    assert second.user_data[:6] == bytes.fromhex("050003000202")
    assert first.user_data[8:] + second.user_data[6:] == packet


async def test_messages_to_one_number_keep_their_order_and_those_of_security_go_first(
    service: Service, smsc: Smsc
) -> None:
    for n in range(5):
        await service.send(text=f"Ә{n}", priority=messages_pb2.MESSAGE_PRIORITY_ORGANIZATION)
    last = await service.send(text="Қ", priority=messages_pb2.MESSAGE_PRIORITY_SECURITY)
    async with linked(service, smsc):
        await service.until(last.name, SENT)
        await smsc.until(lambda: len(smsc.taken) == 6)
    assert texts(smsc) == ["Қ", "Ә0", "Ә1", "Ә2", "Ә3", "Ә4"]


async def test_throttling_holds_everything_back_and_keeps_order(database: Database) -> None:
    service = make_service(database)
    statuses = iter([OK, THROTTLED])

    async def answer(_: Submitted) -> int | None:
        return next(statuses, OK)

    async with running(Smsc(answering=answer)) as smsc:
        names = [(await service.send(text=f"Ә{n}")).name for n in range(4)]
        names += [(await service.send(text=f"Ғ{n}", phone=OTHER_PHONE)).name for n in range(4)]
        async with linked(service, smsc):
            for name in names:
                await service.until(name, SENT)
        assert [text for text in texts(smsc) if text[0] == "Ә"] == ["Ә0", "Ә1", "Ә2", "Ә3"]
        assert [text for text in texts(smsc) if text[0] == "Ғ"] == ["Ғ0", "Ғ1", "Ғ2", "Ғ3"]
        for name in names:
            assert not (await service.get(name)).maybe_twice


async def test_a_number_that_does_not_exist_is_undeliverable_and_holds_up_nobody(
    service: Service, smsc: Smsc
) -> None:
    async def answer(submitted: Submitted) -> int | None:
        return BAD_DESTINATION if submitted.destination == PHONE.lstrip("+") else OK

    smsc.answering = answer
    bad = await service.send()
    good = await service.send(phone=OTHER_PHONE)
    async with linked(service, smsc):
        await service.until(bad.name, UNDELIVERABLE)
        await service.until(good.name, SENT)
    assert len(smsc.taken) == 1


async def test_a_failure_that_may_pass_is_tried_again_later(database: Database, smsc: Smsc) -> None:
    clock = Clock()
    service = make_service(database, clock=clock)
    statuses = iter([SYSTEM_ERROR])

    async def answer(_: Submitted) -> int | None:
        return next(statuses, OK)

    smsc.answering = answer
    asked = await service.send()
    async with linked(service, smsc):
        async with asyncio.timeout(20):
            while (await next_try(database)) <= clock.now:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert smsc.taken == []
        clock.move(seconds=6)
        service.parts.sender.wake()
        await service.until(asked.name, SENT)
    assert len(smsc.taken) == 1


async def next_try(database: Database) -> datetime:
    async with database.reading() as connection:
        found = await connection.execute(select(messages.c.next_try_time))
        return cast("datetime", found.scalar_one())


async def test_a_message_whose_time_passed_is_not_sent(database: Database, smsc: Smsc) -> None:
    clock = Clock()
    service = make_service(database, clock=clock)
    asked = await service.send()
    clock.move(minutes=5)
    other = await service.send(text="Ә")
    async with linked(service, smsc):
        await service.until(other.name, SENT)
    assert (await service.get(asked.name)).state == EXPIRED
    assert texts(smsc) == ["Ә"]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("id:1 sub:001 dlvrd:001 stat:DELIVRD err:000 text:", DELIVERED),
        ("ID:0000000001 STAT:UNDELIV", UNDELIVERABLE),
        ("id:1 stat:EXPIRED", EXPIRED),
    ],
)
async def test_a_receipt_says_what_became_of_it(
    service: Service, smsc: Smsc, text: str, state: messages_pb2.MessageState
) -> None:
    asked = await service.send()
    async with linked(service, smsc):
        await service.until(asked.name, SENT)
        await smsc.deliver(*smsc.receipts((PHONE.lstrip("+"), text)))
        ended = await service.until(asked.name, state)
    assert ended.HasField("deliver_time") == (state == DELIVERED)
    assert len(smsc.acknowledged) == 1


async def test_a_receipt_names_the_part_in_decimal_that_the_answer_named_in_hexadecimal(
    service: Service, smsc: Smsc
) -> None:
    names = [(await service.send(text=f"Ә{n}")).name for n in range(11)]
    async with linked(service, smsc):
        for name in names:
            await service.until(name, SENT)
        await smsc.deliver(*smsc.receipts((PHONE.lstrip("+"), "id:0011 stat:DELIVRD")))
        await service.until(names[10], DELIVERED)
    # The SMSC called it "b"; another's is "11" in hexadecimal, and there is none.
    assert (await service.get(names[0])).state == SENT


async def test_a_receipt_may_come_before_the_answer(service: Service, smsc: Smsc) -> None:
    async def answer(submitted: Submitted) -> int | None:
        await smsc.deliver(*smsc.receipts((submitted.destination, "id:1 stat:DELIVRD")))
        return OK

    smsc.answering = answer
    asked = await service.send()
    async with linked(service, smsc):
        await service.until(asked.name, DELIVERED)


async def test_a_receipt_of_another_number_changes_nothing(
    service: Service, smsc: Smsc, database: Database
) -> None:
    asked = await service.send()
    async with linked(service, smsc):
        await service.until(asked.name, SENT)
        await smsc.deliver(*smsc.receipts((OTHER_PHONE.lstrip("+"), "id:1 stat:DELIVRD")))
        await smsc.until(lambda: len(smsc.acknowledged) == 1)
    assert (await service.get(asked.name)).state == SENT
    async with database.reading() as connection:
        assert (await connection.execute(select(early_receipts))).first() is not None


async def test_what_was_unanswered_when_the_connection_broke_goes_again_and_says_so(
    service: Service, smsc: Smsc
) -> None:
    async def answer(_: Submitted) -> int | None:
        if smsc.binds == 1:
            smsc.taken.append(_)
            asyncio.get_running_loop().call_soon(smsc.drop)
            return None
        return OK

    smsc.answering = answer
    asked = await service.send()
    async with linked(service, smsc):
        sent = await service.until(asked.name, SENT)
    assert sent.maybe_twice
    first, second = smsc.taken
    assert first == second
    assert smsc.binds == 2


async def test_a_repeated_request_is_the_same_message(service: Service, smsc: Smsc) -> None:
    request = send_request()
    first = await service.send(request_id=request.request_id)
    async with linked(service, smsc):
        await service.until(first.name, SENT)
        again = await service.send(request_id=request.request_id)
    assert again.name == first.name
    assert again.state == SENT
    assert len(smsc.taken) == 1


async def test_a_service_sees_its_own_messages_only(service: Service) -> None:
    asked = await service.send("signing")
    with pytest.raises(PermissionDenied):
        await service.get(asked.name, "requests")
    with pytest.raises(PermissionDenied):
        await service.get("messages/00000000-0000-7000-8000-000000000000")


async def test_each_priority_has_an_allowance_of_its_own(database: Database) -> None:
    clock = Clock()
    service = make_service(database, clock=clock, help_messages_a_day=2)
    for _ in range(2):
        await service.send(priority=messages_pb2.MESSAGE_PRIORITY_HELP)
        clock.move(hours=1)
    with pytest.raises(ResourceExhausted) as refused:
        await service.send(priority=messages_pb2.MESSAGE_PRIORITY_UNSPECIFIED)
    assert refused.value.retry_after_seconds == pytest.approx(22 * 3600)
    await service.send(priority=messages_pb2.MESSAGE_PRIORITY_SECURITY)
    await service.send(phone=OTHER_PHONE, priority=messages_pb2.MESSAGE_PRIORITY_HELP)
    clock.move(hours=22)
    await service.send(priority=messages_pb2.MESSAGE_PRIORITY_HELP)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"phone": "87010000000"}, "phone"),
        ({"phone": "+7701000000x"}, "phone"),
        ({"text": ""}, "text"),
        ({"text": "Ә" * 671}, "text"),
        ({"binary": b""}, "binary"),
        ({"binary": bytes(1400)}, "binary"),
        ({"source": "ТЕКСТ"}, "source"),
        ({"source": "1" * 16}, "source"),
        ({"priority": 9}, "priority"),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    service: Service, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await service.send(**fields)
    assert refused.value.field == field


@pytest.mark.parametrize("days", [-0.1, 3.1])
async def test_an_expiry_out_of_its_range_is_refused(service: Service, days: float) -> None:
    clock = Clock()
    clock.move(days=days)
    request = send_request()
    request.expire_time.FromDatetime(clock.now)
    with pytest.raises(InvalidArgument):
        await service.send(expire_time=request.expire_time)


async def test_no_number_and_no_text_stands_in_the_database(
    service: Service, database: Database
) -> None:
    await service.send(text="PLAINTEXT")
    async with database.reading() as connection:
        row = (await connection.execute(select(messages))).one()
    stored = repr(row).encode() + bytes(row.sealed) + bytes(row.phone_hash)
    assert b"PLAINTEXT" not in stored
    assert PHONE[1:].encode() not in stored


async def test_a_message_is_deleted_a_set_time_after_it_ended(
    database: Database, smsc: Smsc
) -> None:
    clock = Clock()
    service = make_service(database, clock=clock, messages_kept_days=2.0)
    asked = await service.send()
    async with linked(service, smsc):
        await service.until(asked.name, SENT)
        await smsc.deliver(*smsc.receipts((PHONE.lstrip("+"), "id:1 stat:DELIVRD")))
        await service.until(asked.name, DELIVERED)
    clock.move(days=2, seconds=-1)
    await service.parts.sender.erase()
    await service.get(asked.name)
    clock.move(seconds=2)
    await service.parts.sender.erase()
    with pytest.raises(PermissionDenied):
        await service.get(asked.name)
