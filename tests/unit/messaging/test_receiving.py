"""What phones send is stored once, acknowledged then, and leased to one reader at a time."""

from __future__ import annotations

import pytest

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.inbox.rules import LEASE
from services.messaging.inbox.store import release
from services.runtime.errors import InvalidArgument, PermissionDenied
from services.runtime.storage.database import Database
from tests.clock import Clock
from tests.smsc import Delivery, Smsc
from tests.unit.messaging.builders import PHONE, Service, Stream, linked, make_service

TEXT, SIM = messages_pb2.INBOX_TEXT, messages_pb2.INBOX_SIM
SENDER = PHONE.lstrip("+")


def typed(text: str, **fields: object) -> Delivery:
    return Delivery(SENDER, "1414", text.encode("utf-16-be"), data_coding=8, **fields)  # type: ignore[arg-type]


def part(reference: int, total: int, number: int, octets: bytes, data_coding: int = 8) -> Delivery:
    header = bytes([5, 0, 3, reference, total, number])
    return Delivery(SENDER, "1414", header + octets, data_coding=data_coding, esm_class=0x40)


async def acknowledged(smsc: Smsc, count: int) -> None:
    await smsc.until(lambda: len(smsc.acknowledged) == count)


async def test_a_text_is_read_as_it_was_typed(service: Service, smsc: Smsc) -> None:
    async with linked(service, smsc):
        await smsc.deliver(typed("Р 1 1 2.\nҚұжат"))
        stream = Stream(service, TEXT, "requests")
        message = await stream.next()
        await stream.close()
    assert (message.text, message.phone, message.destination) == ("Р 1 1 2.\nҚұжат", PHONE, "1414")
    assert message.HasField("receive_time")


async def test_gsm_7_bit_is_read_by_its_alphabet(service: Service, smsc: Smsc) -> None:
    async with linked(service, smsc):
        await smsc.deliver(Delivery(SENDER, "1414", b"R 1 \x1b\x65 \x00"))
        stream = Stream(service, TEXT, "requests")
        assert (await stream.next()).text == "R 1 € @"
        await stream.close()


async def test_parts_in_any_order_are_one_message(service: Service, smsc: Smsc) -> None:
    octets = "Мен келісемін".encode("utf-16-be")
    parts = [octets[:8], octets[8:16], octets[16:]]
    async with linked(service, smsc):
        for number in (3, 1, 2):
            await smsc.deliver(part(7, 3, number, parts[number - 1]))
        # Delivered again when it is whole already.
        await smsc.deliver(part(7, 3, 2, parts[1]))
        await acknowledged(smsc, 4)
        await smsc.deliver(typed("соңы"))
        stream = Stream(service, TEXT, "requests")
        assert [(await stream.next()).text for _ in range(2)] == ["Мен келісемін", "соңы"]
        await stream.close()


async def test_an_answer_of_a_sim_is_for_signing(service: Service, smsc: Smsc) -> None:
    async with linked(service, smsc):
        packet = Delivery(
            SENDER, "1414", b"\x02\x71\x00\x00\xff\x80", data_coding=0xF6, esm_class=0x40
        )
        await smsc.deliver(packet, typed("мәтін"))
        stream = Stream(service, SIM, "signing")
        assert (await stream.next()).binary == b"\x00\xff\x80"
        await stream.close()


async def test_the_same_message_within_ten_minutes_counts_once(
    database: Database, smsc: Smsc
) -> None:
    clock = Clock()
    service = make_service(database, clock=clock)
    async with linked(service, smsc):
        await smsc.deliver(typed("бір"))
        await acknowledged(smsc, 1)
        clock.move(minutes=9)
        await smsc.deliver(typed("бір"))
        await acknowledged(smsc, 2)
        clock.move(minutes=2)
        await smsc.deliver(typed("бір"), typed("екі"))
        await acknowledged(smsc, 4)
        stream = Stream(service, TEXT, "requests")
        assert [(await stream.next()).text for _ in range(3)] == ["бір", "бір", "екі"]
        await stream.close()


async def test_a_message_that_could_not_be_stored_is_not_acknowledged_as_received(
    service: Service, smsc: Smsc, database: Database
) -> None:
    await database.run(break_table)
    async with linked(service, smsc):
        await smsc.deliver(typed("бір"))
        await smsc.until(lambda: len(smsc.refused) > 0)
        assert smsc.acknowledged == []
        assert smsc.refused[0][1] == 0x64
        await database.run(mend_table)
        await acknowledged(smsc, 1)


async def break_table(connection: object) -> None:
    await rename(connection, "received_messages", "away")


async def mend_table(connection: object) -> None:
    await rename(connection, "away", "received_messages")


async def rename(connection: object, old: str, new: str) -> None:
    from sqlalchemy import text

    await connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))  # type: ignore[attr-defined]


async def test_a_malformed_pdu_is_refused_for_good_and_the_link_goes_on(
    service: Service, smsc: Smsc
) -> None:
    bad = Delivery(SENDER, "1414", b"text", parameters=b"\x04\x24\xff\xff")
    async with linked(service, smsc):
        await smsc.deliver(bad)
        await smsc.until(lambda: len(smsc.refused) == 1)
        await smsc.deliver(typed("бір"))
        await acknowledged(smsc, 1)
    assert smsc.refused[0][1] == 0x01
    assert smsc.binds == 1


async def test_readers_of_one_inbox_compete(database: Database, smsc: Smsc) -> None:
    clock = Clock()
    service = make_service(database, clock=clock)
    async with linked(service, smsc):
        await smsc.deliver(typed("бір"))
        one, other = Stream(service, TEXT, "requests"), Stream(service, TEXT, "requests")
        first = await one.next()
        await smsc.deliver(typed("екі"))
        second = await other.next()
        assert (first.text, second.text) == ("бір", "екі")
        clock.move(seconds=LEASE.total_seconds() + 1)
        # Neither was acknowledged: whoever asks first has them now, oldest first.
        assert [(await one.next()).id for _ in range(2)] == [first.id, second.id]
        one.acknowledge(first.id)
        await one.close()
        # What the stream that ended had not acknowledged is free at once.
        assert (await other.next()).id == second.id
        other.acknowledge(second.id)
        await other.close()
        clock.move(minutes=1)
        await smsc.deliver(typed("үш"))
        third = Stream(service, TEXT, "requests")
        assert (await third.next()).text == "үш"
        await third.close()
    await database.run(lambda connection: release(connection, "nobody"))


@pytest.mark.parametrize(("inbox", "name"), [(TEXT, "signing"), (SIM, "requests")])
async def test_another_services_inbox_is_refused(
    service: Service, inbox: messages_pb2.Inbox, name: str
) -> None:
    with pytest.raises(PermissionDenied):
        await Stream(service, inbox, name).next()


async def test_no_inbox_and_no_id_is_refused(service: Service) -> None:
    with pytest.raises(InvalidArgument):
        await Stream(service, messages_pb2.INBOX_UNSPECIFIED, "requests").next()
    stream = Stream(service, TEXT, "requests")
    stream.acknowledge("1")
    with pytest.raises(InvalidArgument):
        await stream.next()
