from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sms.secured_packets import (
    COMMAND_OVERHEAD_OCTETS,
    LARGEST_COUNTER,
    RESPONSE_OVERHEAD_OCTETS,
    PacketRefused,
    ResponseStatus,
    checksum,
    read_command,
    read_response,
    write_command,
    write_response,
)

KEY = bytes(range(16))
# RFC 4493, section 4.
RFC_4493_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
RFC_4493_MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
RFC_4493_TAGS = {
    0: "bb1d6929e95937287fa37d129b756746",
    16: "070a16b46b4d4144f79bdd9dd04a287c",
    40: "dfa66747de9ae63030ca32611497c827",
    64: "51f0bebf7e3b9d92fc49741779363cfe",
}
# A command and a response of a real card (sysmoISIM-SJA5), ciphered with AES-CBC, as osmocom/pysim
# publishes them in its tests of OTA. They show over which octets a card makes its checksums.
CARD_KIC = bytes.fromhex("200102030405060708090a0b0c0d0e0f")
CARD_KID = bytes.fromhex("201102030405060708090a0b0c0d0e0f")
CARD_COMMAND = (
    "00281506192222b00011e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058"
)
CARD_RESPONSE = "027100002412b00011ebc6b497e2cad7aedf36ace0e3a29b38853f0fe9ccde81913be5702b73abce1f"


@pytest.mark.parametrize("size", RFC_4493_TAGS)
def test_the_checksum_is_aes_cmac_cut_to_eight_octets(size: int) -> None:
    expected = bytes.fromhex(RFC_4493_TAGS[size])[:8]
    assert checksum(RFC_4493_KEY, RFC_4493_MESSAGE[:size]) == expected


def decipher(data: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(CARD_KIC), modes.CBC(bytes(16))).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def test_a_real_cards_command_has_its_checksum_over_the_same_octets() -> None:
    packet = bytes.fromhex(CARD_COMMAND)
    plain = packet[:10] + decipher(packet[10:])
    assert checksum(CARD_KID, plain[:16] + plain[24:]) == plain[16:24]


def test_a_real_cards_response_has_its_checksum_over_the_same_octets() -> None:
    message = bytes.fromhex(CARD_RESPONSE)
    plain = message[3:9] + decipher(message[9:])
    assert checksum(CARD_KID, message[:3] + plain[:13] + plain[21:]) == plain[13:21]


def test_a_command_is_laid_out_as_the_standard_says() -> None:
    packet = write_command(0x0102030405, b"data", KEY)
    assert packet.hex(" ", 1) == (
        "00 1a 15 12 2a 00 12 51 41 47 01 02 03 04 05 00 " + packet[16:24].hex(" ") + " 64 61 74 61"
    )
    assert len(packet) == COMMAND_OVERHEAD_OCTETS + 4
    command = read_command(packet, KEY, 0)
    assert (command.counter, command.data) == (0x0102030405, b"data")


def test_a_response_is_laid_out_as_the_standard_says() -> None:
    packet = write_response(0x0102030405, b"data", KEY)
    assert packet.hex(" ", 1) == (
        "00 17 12 51 41 47 01 02 03 04 05 00 00 " + packet[13:21].hex(" ") + " 64 61 74 61"
    )
    assert len(packet) == RESPONSE_OVERHEAD_OCTETS + 4
    response = read_response(packet, KEY)
    assert (response.counter, response.status, response.data) == (
        0x0102030405,
        ResponseStatus.OK,
        b"data",
    )


def refused(call: Callable[[], object]) -> tuple[ResponseStatus, int]:
    with pytest.raises(PacketRefused) as caught:
        call()
    return caught.value.status, caught.value.counter


@pytest.mark.parametrize("counter", [1, 6, 7])
def test_a_counter_that_is_not_above_the_last_one_is_refused(counter: int) -> None:
    packet = write_command(counter, b"", KEY)
    assert refused(lambda: read_command(packet, KEY, 7)) == (ResponseStatus.COUNTER_LOW, counter)
    assert read_command(packet, KEY, counter - 1).counter == counter


def test_a_counter_at_its_end_is_blocked() -> None:
    packet = write_command(LARGEST_COUNTER, b"", KEY)
    assert read_command(packet, KEY, LARGEST_COUNTER - 1).counter == LARGEST_COUNTER
    status, _ = refused(lambda: read_command(packet, KEY, LARGEST_COUNTER))
    assert status is ResponseStatus.COUNTER_BLOCKED


@pytest.mark.parametrize("counter", [0, -1, LARGEST_COUNTER + 1])
def test_no_packet_is_written_with_a_counter_that_does_not_fit(counter: int) -> None:
    with pytest.raises(ValueError, match="counter"):
        write_command(counter, b"", KEY)


def test_packets_beyond_the_bound_are_neither_written_nor_read() -> None:
    assert read_command(write_command(1, bytes(1000), KEY), KEY, 0).data == bytes(1000)
    with pytest.raises(ValueError, match="longer"):
        write_command(1, bytes(1001), KEY)
    long = bytes(1025)
    unidentified = (ResponseStatus.UNIDENTIFIED_SECURITY_ERROR, 0)
    assert refused(lambda: read_command(long, KEY, 0)) == unidentified
    assert refused(lambda: read_response(long, KEY)) == unidentified


@pytest.mark.parametrize("place", range(28))
def test_a_command_with_any_octet_changed_is_refused_and_vouches_for_no_counter(
    place: int,
) -> None:
    packet = bytearray(write_command(300, b"data", KEY))
    packet[place] ^= 0x01
    status, counter = refused(lambda: read_command(bytes(packet), KEY, 0))
    # Lengths, SPI, KIc and KID are compared with the one security level that is spoken.
    level = ResponseStatus.INSUFFICIENT_SECURITY_LEVEL
    assert status is (level if place < 7 else ResponseStatus.CHECKSUM_FAILED)
    assert counter == 0


@pytest.mark.parametrize("place", range(25))
def test_a_response_with_any_octet_changed_is_refused(place: int) -> None:
    packet = bytearray(write_response(300, b"data", KEY))
    packet[place] ^= 0x01
    _, counter = refused(lambda: read_response(bytes(packet), KEY))
    assert counter == 0


def test_a_packet_without_a_checksum_is_refused_however_it_asks() -> None:
    """SPI 00: no checksum, no counter; a card that obeyed it could be told anything."""
    packet = bytes.fromhex("0012 0d 0000 00 00 514147 0000000001 00") + b"data"
    assert refused(lambda: read_command(packet, KEY, 0))[0] in (
        ResponseStatus.UNIDENTIFIED_SECURITY_ERROR,
        ResponseStatus.INSUFFICIENT_SECURITY_LEVEL,
    )


def test_another_key_is_refused() -> None:
    other = bytes(16)
    assert refused(lambda: read_command(write_command(1, b"", other), KEY, 0)) == (
        ResponseStatus.CHECKSUM_FAILED,
        0,
    )


def test_a_command_is_no_response_and_a_response_no_command() -> None:
    refused(lambda: read_response(write_command(1, b"data", KEY), KEY))
    refused(lambda: read_command(write_response(1, b"data", KEY), KEY, 0))


@pytest.mark.parametrize(
    ("place", "value", "status"),
    [
        (7, 0x00, ResponseStatus.TAR_UNKNOWN),
        (15, 0x01, ResponseStatus.CIPHERING_ERROR),
    ],
)
def test_an_authentic_command_for_others_is_refused(
    place: int, value: int, status: ResponseStatus
) -> None:
    packet = bytearray(write_command(5, b"data", KEY))
    packet[place] = value
    packet[16:24] = checksum(KEY, bytes(packet[:16] + packet[24:]))
    assert refused(lambda: read_command(bytes(packet), KEY, 0)) == (status, 5)


@pytest.mark.parametrize(
    ("place", "value", "status"),
    [
        (3, 0x00, ResponseStatus.TAR_UNKNOWN),
        (11, 0x01, ResponseStatus.CIPHERING_ERROR),
        (12, 0x77, ResponseStatus.UNIDENTIFIED_SECURITY_ERROR),
        # An error that brings data.
        (12, 0x02, ResponseStatus.UNIDENTIFIED_SECURITY_ERROR),
    ],
)
def test_an_authentic_response_of_another_form_is_refused(
    place: int, value: int, status: ResponseStatus
) -> None:
    packet = bytearray(write_response(5, b"data", KEY))
    packet[place] = value
    packet[13:21] = checksum(KEY, b"\x02\x71\x00" + bytes(packet[:13] + packet[21:]))
    assert refused(lambda: read_response(bytes(packet), KEY)) == (status, 5)


def test_a_refusal_is_a_response_with_its_status_and_no_data() -> None:
    for status in ResponseStatus:
        response = read_response(write_response(0, b"", KEY, status), KEY)
        assert (response.status, response.data) == (status, b"")
