"""The SMSC as the platform meets it: binds, receipts, faults, and nothing of a phone lost."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from smpplib import consts
from smpplib.exceptions import ConnectionError as SmppConnectionError
from smpplib.exceptions import PDUError
from smpplib.smpp import make_pdu

from phones.outcomes import Outcome
from phones.smsc.pdus import CommandStatus
from phones.smsc.server import WINDOW, Smsc
from sms.alphabets import decode
from sms.parts import read_part, split_text
from tests.unit.phones.certificates import smsc_certificate, trusting
from tests.unit.phones.conftest import ACCOUNT, World
from tests.unit.phones.esme import Esme, Platform

SIGNER = "+77010001000"
TEXT = split_text("Сіздің өтінішіңіз дайын", 1)[0]


def texts(esme: Esme) -> list[str]:
    parts = [read_part(each) for each in esme.messages]
    return [decode(part.data, part.alphabet) for part in parts]


# --- Binds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "passwor", "Password"])
async def test_a_wrong_password_does_not_bind(world: World, password: str) -> None:
    with pytest.raises(PDUError, match="Password"):
        await Esme.bind(world.port, password=password)


async def test_a_refused_bind_succeeds_the_next_time(world: World) -> None:
    world.smsc.faults.set("refuse_bind", "1")
    with pytest.raises(PDUError):
        await Esme.bind(world.port)
    (await Esme.bind(world.port)).close()


async def test_a_connection_binds_once(world: World, esme: Esme) -> None:
    esme.client.state = consts.SMPP_CLIENT_STATE_OPEN
    with pytest.raises(PDUError) as caught:
        await asyncio.to_thread(
            esme.client.bind_transceiver, system_id=ACCOUNT.system_id, password=ACCOUNT.password
        )
    assert caught.value.args[1] == CommandStatus.ALREADY_BOUND
    esme.client.state = consts.SMPP_CLIENT_STATE_BOUND_TRX
    await esme.settle()


async def test_who_is_bound_as_receiver_submits_nothing(world: World) -> None:
    esme = await Esme.bind(world.port, kind="receiver")
    esme.client.state = consts.SMPP_CLIENT_STATE_BOUND_TRX
    esme.submit(SIGNER, TEXT)
    await esme.read(1)
    assert esme.answers[0][0] == CommandStatus.INCORRECT_BIND_STATUS
    assert not world.phone().texts
    esme.close()


async def test_a_phones_message_goes_to_who_receives(world: World) -> None:
    transmitter = await Esme.bind(world.port, kind="transmitter")
    receiver = await Esme.bind(world.port, kind="receiver")
    transmitter.submit(SIGNER, TEXT, registered_delivery=0)
    world.network.send_text(SIGNER, "1414", "R 1 1 2")
    await receiver.read(1)
    await transmitter.read(1)
    assert texts(receiver) == ["R 1 1 2"]
    assert transmitter.order == ["answer"]
    transmitter.close()
    receiver.close()


async def test_it_speaks_tls(world: World, tmp_path: Path) -> None:
    path = smsc_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    smsc = Smsc(world.network, world.clock, world.record, ACCOUNT)
    port = await smsc.start("127.0.0.1", 0, context)
    esme = await Esme.bind(port, tls=trusting(path))
    platform = Platform(esme)
    one = world.subscriber()
    platform.ask(one)
    await esme.settle()
    assert len(platform.answers(one)) == 1
    esme.close()
    await smsc.stop()


# --- Receipts -------------------------------------------------------------------------------------


async def test_a_receipt_names_the_message_and_follows_the_answer(world: World, esme: Esme) -> None:
    for _ in range(11):
        esme.submit(SIGNER, TEXT)
        await esme.settle()
    assert esme.order == ["answer", "receipt"] * 11
    assert [each for _, each in esme.answers][-1] == "B"
    assert esme.receipts[-1] == (
        "id:B sub:001 dlvrd:001 submit date:2611271200 done date:2611271200 stat:DELIVRD err:000 "
        "text:"
    )
    assert world.phone().texts[0] == ("1414", "Сіздің өтінішіңіз дайын")


@pytest.mark.parametrize(("asked", "receipts"), [(0, 0), (1, 1), (2, 0)])
async def test_receipts_come_where_they_are_asked_for(
    esme: Esme, asked: int, receipts: int
) -> None:
    esme.submit(SIGNER, TEXT, registered_delivery=asked)
    await esme.settle()
    assert len(esme.receipts) == receipts


@pytest.mark.parametrize(("asked", "receipts"), [(0, 0), (1, 1), (2, 1)])
async def test_a_number_that_nobody_has_is_undeliverable(
    world: World, esme: Esme, asked: int, receipts: int
) -> None:
    esme.submit("+77019999999", TEXT, registered_delivery=asked)
    await esme.settle()
    assert ["stat:UNDELIV" in each for each in esme.receipts] == [True] * receipts
    assert [each["number"] for each in world.record.of("undeliverable")] == ["+77019999999"]


async def test_receipts_may_come_before_the_answer(world: World, esme: Esme) -> None:
    world.smsc.faults.set("early_receipts", "1")
    esme.submit(SIGNER, TEXT)
    await esme.settle()
    assert esme.order == ["receipt", "answer"]


async def test_receipts_may_bear_another_form_of_the_id(world: World, esme: Esme) -> None:
    world.smsc.faults.set("decimal_receipts", "1")
    for _ in range(10):
        esme.submit(SIGNER, TEXT)
    await esme.settle()
    assert esme.answers[-1][1] == "A"
    assert esme.receipts[-1].startswith("id:10 ")


async def test_receipts_may_come_days_late_or_never(world: World, esme: Esme) -> None:
    world.smsc.faults.set("late_receipts", str(2 * 24 * 3600))
    esme.submit(SIGNER, TEXT)
    await esme.settle()
    assert esme.receipts == []
    world.clock.advance(2 * 24 * 3600)
    await esme.settle()
    assert "submit date:2611271200 done date:2611271200" in esme.receipts[0]
    world.smsc.faults.set("no_receipts", "1")
    esme.submit(SIGNER, TEXT)
    world.clock.advance(7 * 24 * 3600)
    await esme.settle()
    assert len(esme.receipts) == 1


# --- Faults with messages of the platform ---------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"),
    [("throttle", CommandStatus.THROTTLED), ("queue_full", CommandStatus.QUEUE_FULL)],
)
async def test_refused_messages_are_not_delivered(
    world: World, esme: Esme, fault: str, status: CommandStatus
) -> None:
    world.smsc.faults.set(fault, "2")
    for _ in range(3):
        esme.submit(SIGNER, TEXT)
    await esme.settle()
    assert [each for each, _ in esme.answers] == [status, status, CommandStatus.OK]
    assert len(world.phone().texts) == 1
    assert [each["status"] for each in world.record.of("refused")] == [status, status]


async def test_more_than_the_rate_is_throttled_until_the_next_second(
    world: World, esme: Esme
) -> None:
    world.smsc.faults.set("rate", "2")
    for _ in range(3):
        esme.submit(SIGNER, TEXT)
    await esme.settle()
    world.clock.advance(1)
    esme.submit(SIGNER, TEXT)
    await esme.settle()
    ok, throttled = CommandStatus.OK, CommandStatus.THROTTLED
    assert [each for each, _ in esme.answers] == [ok, ok, throttled, ok]


async def test_an_answer_may_be_lost_with_its_connection(world: World, esme: Esme) -> None:
    """The message was taken, and the platform cannot know."""
    world.smsc.faults.set("drop_answer", "1")
    esme.submit(SIGNER, TEXT)
    with pytest.raises(SmppConnectionError):
        await esme.read(1)
    assert len(world.record.of("submitted")) == len(world.phone().texts) == 1
    again = await Esme.bind(world.port)
    await again.settle()
    assert "stat:DELIVRD" in again.receipts[0]
    again.close()


async def test_links_may_go_without_an_answer(world: World, esme: Esme) -> None:
    world.smsc.faults.set("mute", "1")
    esme.client.send_pdu(make_pdu("enquire_link", client=esme.client))
    esme.submit(SIGNER, TEXT, registered_delivery=0)
    await esme.read(1)
    assert esme.order == ["answer"]


async def test_a_validity_period_that_is_none_is_refused(esme: Esme) -> None:
    esme.submit(SIGNER, TEXT, validity_period="tomorrow")
    await esme.settle()
    assert esme.answers[0][0] == CommandStatus.INVALID_EXPIRY


# --- Messages of phones ---------------------------------------------------------------------------


async def test_a_phones_messages_wait_for_the_platform_in_their_order(world: World) -> None:
    sent = [f"R {number}" for number in range(3 * WINDOW)]
    for text in sent:
        world.network.send_text(SIGNER, "1414", text)
    esme = await Esme.bind(world.port)
    await esme.read_until(lambda: len(esme.messages) == len(sent))
    await esme.settle()
    assert texts(esme) == sent
    assert [each["serial"] for each in world.record.of("acknowledged")] == list(
        range(1, len(sent) + 1)
    )
    esme.close()


async def test_no_more_than_a_window_goes_unacknowledged(world: World, esme: Esme) -> None:
    for number in range(WINDOW + 5):
        world.network.send_text(SIGNER, "1414", f"R {number}")
    esme.client.send_pdu(make_pdu("enquire_link", client=esme.client))

    def read() -> list[str]:
        return [esme.client.read_pdu().command for _ in range(WINDOW + 1)]

    assert await asyncio.to_thread(read) == ["deliver_sm"] * WINDOW + ["enquire_link_resp"]


async def test_what_the_platform_did_not_acknowledge_comes_again(world: World) -> None:
    first = await Esme.bind(world.port)
    for text in ("R 1", "R 2", "R 3"):
        world.network.send_text(SIGNER, "1414", text)
    await first.read(1)
    first.close()
    second = await Esme.bind(world.port)
    await second.read_until(lambda: "R 3" in texts(second))
    await second.settle()
    assert texts(first) == ["R 1"]
    assert texts(second)[-2:] == ["R 2", "R 3"]
    assert {each["serial"] for each in world.record.of("acknowledged")} == {1, 2, 3}
    second.close()


async def test_what_the_platform_cannot_take_now_comes_again_later(
    world: World, esme: Esme
) -> None:
    esme.acknowledge = consts.SMPP_ESME_RX_T_APPN
    world.network.send_text(SIGNER, "1414", "R 1")
    await esme.settle()
    esme.acknowledge = 0
    await esme.settle()
    assert texts(esme) == ["R 1"]
    world.clock.advance(5)
    await esme.settle()
    await esme.settle()
    assert texts(esme) == ["R 1", "R 1"]
    assert [each["serial"] for each in world.record.of("acknowledged")] == [1]


async def test_what_the_platform_refuses_for_good_is_dropped(world: World, esme: Esme) -> None:
    esme.acknowledge = consts.SMPP_ESME_RX_R_APPN
    world.network.send_text(SIGNER, "1414", "R 1")
    await esme.settle()
    await esme.settle()
    world.clock.advance(3600)
    await esme.settle()
    assert texts(esme) == ["R 1"]
    assert [each["serial"] for each in world.record.of("rejected")] == [1]


async def test_a_phones_message_may_come_twice(world: World, esme: Esme) -> None:
    world.smsc.faults.set("double", "1")
    world.network.send_text(SIGNER, "1414", "R 1")
    world.network.send_text(SIGNER, "1414", "R 2")
    await esme.settle()
    await esme.settle()
    assert texts(esme) == ["R 1", "R 1", "R 2"]
    assert [each["serial"] for each in world.record.of("sent")] == [1, 2]


async def test_a_text_of_several_parts_arrives_in_them(world: World, esme: Esme) -> None:
    text = "Ә" * 150
    world.network.send_text(SIGNER, "1414", text)
    await esme.settle()
    assert "".join(texts(esme)) == text
    assert len(esme.messages) == 3


# --- Hostile octets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        ("0000000f", "000000108000000000000002"),  # shorter than a header
        ("00001001" + "00" * 12, "000000108000000000000002"),  # longer than any
        ("00000010000000ff0000000000000007", "00000010800000000000000300000007"),  # no command
        (
            "0000001100000009000000000000000741",
            "000000108000000000000002",
        ),  # a bind that ends early
    ],
)
async def test_what_is_no_pdu_is_refused(world: World, octets: str, answer: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(bytes.fromhex(octets.ljust(32, "0")))
    async with asyncio.timeout(10):
        assert (await reader.readexactly(16)).hex().startswith(answer)
    writer.close()
    # And it serves others on.
    (await Esme.bind(world.port)).close()


async def test_a_request_of_another_card_is_answered_by_its_refusal(
    world: World, platform: Platform
) -> None:
    one = world.subscriber()
    platform.ask(one, mac_key=bytes(16))
    platform.ask(one, counter=7)
    platform.ask(one, counter=7)
    await platform.esme.settle()
    assert [(each.status.name, each.counter) for each in platform.responses(one)] == [
        ("CHECKSUM_FAILED", 0),
        ("OK", 7),
        ("COUNTER_LOW", 7),
    ]


async def test_the_record_has_every_message_once(world: World, platform: Platform) -> None:
    for outcome in Outcome:
        platform.ask(world.subscriber(outcome))
    world.clock.advance(7 * 24 * 3600)
    for _ in range(4):
        await platform.esme.settle()
    submitted = world.record.of("submitted")
    assert len(submitted) == len(Outcome)
    assert len(platform.esme.answers) == len(Outcome)
    assert len(world.record.of("delivered")) + len(world.record.of("undeliverable")) == len(Outcome)
    sent = world.record.of("sent")
    assert [each["user_data"] for each in sent] == [
        each.user_data.hex() for each in platform.esme.messages
    ]
    assert [each["serial"] for each in sent] == [
        each["serial"] for each in world.record.of("acknowledged")
    ]
