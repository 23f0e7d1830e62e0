from __future__ import annotations

from itertools import permutations

import pytest

from sms.alphabets import Alphabet, decode
from sms.parts import (
    COMMAND_PACKET,
    RESPONSE_PACKET,
    MalformedMessage,
    ShortMessage,
    TooLong,
    join,
    read_part,
    split_packet,
    split_text,
)


def binary(user_data: str) -> ShortMessage:
    return ShortMessage(bytes.fromhex(user_data), True, 0x7F, 0xF6)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("a" * 160, [160]),
        ("a" * 161, [6 + 153, 6 + 8]),
        ("a" * 306, [6 + 153, 6 + 153]),
        ("a" * 307, [6 + 153, 6 + 153, 6 + 1]),
        ("€" * 80, [160]),
        # 153 is odd: the escape and what it escapes are not parted.
        ("€" * 81, [6 + 152, 6 + 10]),
        ("қ" * 70, [140]),
        ("қ" * 71, [6 + 134, 6 + 8]),
        ("қ" * 134, [6 + 134, 6 + 134]),
    ],
)
def test_texts_take_as_many_messages_as_the_standard_says(text: str, sizes: list[int]) -> None:
    messages = split_text(text, 7)
    assert [len(message.user_data) for message in messages] == sizes
    whole = join(map(read_part, messages))
    assert whole is not None
    assert decode(whole.data, whole.alphabet) == text


def test_texts_longer_than_255_parts_are_refused() -> None:
    assert len(split_text("a" * 153 * 255, 0)) == 255
    with pytest.raises(TooLong):
        split_text("a" * (153 * 255 + 1), 0)


def test_a_command_that_fits_has_the_header_alone() -> None:
    (message,) = split_packet(bytes(137), COMMAND_PACKET, 9)
    assert message.user_data == bytes.fromhex("027000") + bytes(137)
    assert (message.has_header, message.protocol_id, message.data_coding) == (True, 0x7F, 0xF6)


def test_a_longer_command_has_its_element_in_the_first_part_only() -> None:
    first, second = split_packet(bytes(138), COMMAND_PACKET, 9)
    assert first.user_data == bytes.fromhex("0700030902017000") + bytes(132)
    assert second.user_data == bytes.fromhex("050003090202") + bytes(6)


def test_two_messages_carry_266_octets_of_a_packet() -> None:
    assert len(split_packet(bytes(266), COMMAND_PACKET, 0)) == 2
    assert len(split_packet(bytes(267), COMMAND_PACKET, 0)) == 3


def test_parts_join_in_any_order_and_doubled() -> None:
    packet = bytes(range(256)) * 2
    parts = [read_part(each) for each in split_packet(packet, RESPONSE_PACKET, 255)]
    for order in permutations(parts):
        whole = join([*order, order[0]])
        assert whole is not None
        assert (whole.packet, whole.alphabet, whole.data) == (
            RESPONSE_PACKET,
            Alphabet.BINARY,
            packet,
        )
    for missing in parts:
        assert join(each for each in parts if each is not missing) is None


def test_a_16_bit_reference_is_read() -> None:
    part = read_part(binary("0608041234030268656c6c6f"))
    assert (part.reference, part.total, part.number, part.data) == (0x1234, 3, 2, b"hello")


def test_elements_of_other_kinds_are_skipped() -> None:
    part = read_part(binary("0b" + "0504158a0000" + "0003050101" + "ff"))
    assert (part.reference, part.total, part.packet, part.data) == (5, 1, None, b"\xff")


@pytest.mark.parametrize(
    "user_data",
    [
        "",  # no header at all
        "05000301",  # a header longer than its message
        "0100",  # an element without a length
        "020001",  # an element longer than the header
        "0400020101",  # a concatenation of two octets
        "050003010001",  # of no parts
        "050003010200",  # number 0
        "050003010203",  # number 3 of 2
        "03700100",  # a command's element with a value
    ],
)
def test_malformed_headers_are_refused(user_data: str) -> None:
    with pytest.raises(MalformedMessage):
        read_part(binary(user_data))


@pytest.mark.parametrize(
    "parts",
    [
        ["05000301020161", "05000302020262"],  # two references
        ["05000301020161", "05000301030262"],  # two totals
        ["05000301020161", "05000301020162"],  # two first parts
        ["05000301020161", "070003010202700062"],  # a packet that begins in the second part
    ],
)
def test_parts_that_do_not_belong_together_are_refused(parts: list[str]) -> None:
    with pytest.raises(MalformedMessage):
        join(read_part(binary(each)) for each in parts)


def test_nothing_joins_to_nothing() -> None:
    assert join([]) is None
