"""Laws of the wire format of short messages: what is written reads back, what is not is refused."""

from __future__ import annotations

import random
from contextlib import suppress

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from sms.alphabets import Alphabet, NotInAlphabet, alphabet_for, alphabet_of, decode, encode
from sms.applet import (
    TEXT_LIMIT_OCTETS,
    Answer,
    MalformedData,
    Question,
    Request,
    Status,
    TextRefused,
    check_text,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from sms.parts import (
    COMMAND_PACKET,
    RESPONSE_PACKET,
    MalformedMessage,
    ShortMessage,
    join,
    read_part,
    split_packet,
    split_text,
)
from sms.secured_packets import (
    LARGEST_COUNTER,
    PacketRefused,
    checksum,
    read_command,
    read_response,
    write_command,
    write_response,
)

keys = st.binary(min_size=16, max_size=16)
counters = st.integers(1, LARGEST_COUNTER)
ucs2 = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
GSM_CHARACTERS = "".join(
    chr(code)
    for code in range(0x10000)
    if not 0xD800 <= code < 0xE000 and alphabet_for(chr(code)) is Alphabet.GSM_7BIT
)
texts = st.one_of(st.text(st.sampled_from(GSM_CHARACTERS)), st.text(ucs2))


@given(st.text(st.characters(codec="utf-32-be")))
def test_a_text_reads_back_or_is_refused(text: str) -> None:
    try:
        alphabet = alphabet_for(text)
    except NotInAlphabet:
        assert any(ord(char) > 0xFFFF or 0xD800 <= ord(char) < 0xE000 for char in text)
        return
    assert decode(encode(text, alphabet), alphabet) == text


@given(st.binary(), st.sampled_from(Alphabet))
def test_octets_read_as_a_text_that_has_them_or_are_refused(
    octets: bytes, alphabet: Alphabet
) -> None:
    with suppress(NotInAlphabet):
        assert encode(decode(octets, alphabet), alphabet) == octets


@given(
    st.text(st.one_of(st.sampled_from(GSM_CHARACTERS), ucs2), max_size=2000), st.integers(0, 255)
)
def test_a_long_text_joins_from_its_parts_however_they_come(text: str, reference: int) -> None:
    messages = split_text(text, reference)
    assert all(len(each.user_data) <= (140 if each.data_coding else 160) for each in messages)
    parts = [read_part(each) for each in messages]
    for part in parts:
        # No character is broken: each part is a text by itself.
        decode(part.data, part.alphabet)
    random.Random(reference).shuffle(parts)
    whole = join(parts)
    assert whole is not None
    assert decode(whole.data, whole.alphabet) == text


@given(
    st.binary(max_size=1024),
    st.sampled_from([COMMAND_PACKET, RESPONSE_PACKET]),
    st.integers(0, 255),
    st.integers(20, 140),
)
def test_a_packet_joins_from_its_parts(
    packet: bytes, identifier: int, reference: int, limit: int
) -> None:
    messages = split_packet(packet, identifier, reference, limit=limit)
    assert all(len(each.user_data) <= limit for each in messages)
    whole = join(read_part(each) for each in reversed(messages))
    assert whole is not None
    assert (whole.packet, whole.data) == (identifier, packet)


@given(st.binary(max_size=200), st.booleans(), st.integers(0, 255))
def test_any_message_is_read_or_refused(user_data: bytes, has_header: bool, coding: int) -> None:
    message = ShortMessage(user_data, has_header, 0, coding)
    with suppress(MalformedMessage, NotInAlphabet):
        part = read_part(message)
        assert part.alphabet is alphabet_of(coding)
        assert 1 <= part.number <= part.total


def subkeys(key: bytes) -> tuple[bytes, bytes]:
    """RFC 4493, section 2.3."""
    numbers = []
    number = int.from_bytes(aes(key, bytes(16)), "big")
    for _ in range(2):
        number = (number << 1) ^ (0x87 if number >> 127 else 0)
        number &= (1 << 128) - 1
        numbers.append(number.to_bytes(16, "big"))
    return numbers[0], numbers[1]


def aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(block) + encryptor.finalize()


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def rfc_4493(key: bytes, message: bytes) -> bytes:
    """AES-CMAC step by step (RFC 4493, section 2.4)."""
    whole, padded = subkeys(key)
    last = message[(max(len(message), 1) - 1) // 16 * 16 :]
    blocks = [message[n : n + 16] for n in range(0, len(message) - len(last), 16)]
    if len(last) == 16:
        blocks.append(xor(last, whole))
    else:
        blocks.append(xor((last + b"\x80").ljust(16, b"\x00"), padded))
    state = bytes(16)
    for block in blocks:
        state = aes(key, xor(state, block))
    return state


@given(keys, st.binary(max_size=200))
def test_the_checksum_is_rfc_4493_step_by_step(key: bytes, message: bytes) -> None:
    assert checksum(key, message) == rfc_4493(key, message)[:8]


@given(keys, counters, st.binary(max_size=600), counters)
def test_a_command_is_accepted_once(key: bytes, counter: int, data: bytes, last: int) -> None:
    packet = write_command(counter, data, key)
    try:
        command = read_command(packet, key, last)
    except PacketRefused:
        assert counter <= last
        return
    assert counter > last
    assert (command.counter, command.data) == (counter, data)


@given(keys, counters, st.binary(max_size=300), st.data())
def test_no_octet_of_a_packet_can_be_changed(
    key: bytes, counter: int, data: bytes, drawn: st.DataObject
) -> None:
    for packet, read in (
        (write_command(counter, data, key), lambda it: read_command(it, key, 0)),
        (write_response(counter, data, key), lambda it: read_response(it, key)),
    ):
        place = drawn.draw(st.integers(0, len(packet) - 1))
        changed = bytearray(packet)
        changed[place] ^= drawn.draw(st.integers(1, 255))
        for forged in (bytes(changed), packet[:place], packet + b"\x00"):
            with suppress(PacketRefused):
                read(forged)
                raise AssertionError("a forged packet was read")


@given(keys, st.binary(max_size=1100))
def test_any_octets_are_no_packet(key: bytes, octets: bytes) -> None:
    for read in (lambda: read_command(octets, key, 0), lambda: read_response(octets, key)):
        with suppress(PacketRefused):
            read()
            raise AssertionError("octets that nobody wrote were read")


@given(
    texts,
    st.sampled_from(Question),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=8, max_size=8),
)
def test_a_request_reads_back_and_fits_two_messages_or_is_refused(
    text: str, question: Question, digest: bytes, nonce: bytes
) -> None:
    request = Request(digest, text, nonce, question)
    try:
        data = write_request(request)
    except TextRefused:
        return
    assert read_request(data) == request
    assert len(split_packet(write_command(1, data, bytes(16)), COMMAND_PACKET, 0)) <= 2


@given(st.text(ucs2, min_size=1, max_size=120))
def test_a_shown_text_is_taken_exactly_up_to_its_limit(text: str) -> None:
    try:
        alphabet, octets = check_text(text)
    except TextRefused as refused:
        if "100 characters" in str(refused):
            assert len(encode(text, alphabet_for(text))) > TEXT_LIMIT_OCTETS
        return
    assert decode(octets, alphabet) == text
    assert len(octets) <= TEXT_LIMIT_OCTETS


@given(
    st.sampled_from(Status), st.binary(min_size=64, max_size=64), st.binary(min_size=8, max_size=8)
)
def test_an_answer_reads_back(status: Status, signature: bytes, nonce: bytes) -> None:
    answer = Answer(status, nonce, signature if status is Status.SIGNED else b"")
    assert read_answer(write_answer(answer)) == answer


@given(st.binary(max_size=200))
def test_any_data_is_a_request_an_answer_or_refused(data: bytes) -> None:
    with suppress(MalformedData):
        assert write_request(read_request(data)) == data
    with suppress(MalformedData):
        assert write_answer(read_answer(data)) == data
