from __future__ import annotations

import hashlib

import pytest

from sms.alphabets import Alphabet
from sms.applet import (
    Answer,
    MalformedData,
    Question,
    Request,
    Status,
    TextRefused,
    check_text,
    read_answer,
    read_request,
    verification_code,
    write_answer,
    write_request,
)
from sms.parts import COMMAND_PACKET, RESPONSE_PACKET, split_packet
from sms.secured_packets import write_command, write_response

KEY = bytes(16)
DIGEST = hashlib.sha256(b"a message").digest()
NONCE = bytes(range(8))
SIGNED = Answer(Status.SIGNED, NONCE, bytes(range(64)))


def request(text: str = "Bank: contract 17") -> Request:
    return Request(DIGEST, text, NONCE)


@pytest.mark.parametrize(
    ("text", "alphabet"),
    [
        ("a" * 100, Alphabet.GSM_7BIT),
        ("€" * 50, Alphabet.GSM_7BIT),
        ("қ" * 50, Alphabet.UCS2),
        ("қ" + "a" * 49, Alphabet.UCS2),
    ],
)
def test_the_longest_texts_fit_two_messages(text: str, alphabet: Alphabet) -> None:
    assert check_text(text)[0] is alphabet
    packet = write_command(1, write_request(request(text)), KEY)
    assert len(split_packet(packet, COMMAND_PACKET, 0)) == 2
    assert read_request(write_request(request(text))).text == text


@pytest.mark.parametrize("text", ["a" * 101, "€" * 50 + "a", "қ" * 51, "қ" + "a" * 50])
def test_a_longer_text_is_refused_and_not_cut(text: str) -> None:
    with pytest.raises(TextRefused):
        write_request(request(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "a\nb",
        "a\rb",
        "a\x1bb",
        "a\u2028b",
        "a\u202eb",
        "a\u2066b",
        "a\u200bb",
        "🙂",
        "\x00",
    ],
)
def test_a_text_that_is_not_shown_as_it_is_is_refused(text: str) -> None:
    with pytest.raises(TextRefused):
        check_text(text)


def test_an_answer_fits_one_message() -> None:
    packet = write_response(1, write_answer(SIGNED), KEY)
    assert len(split_packet(packet, RESPONSE_PACKET, 0)) == 1


def test_a_request_is_laid_out_in_its_order() -> None:
    data = write_request(Request(DIGEST, "Қ?", NONCE, Question.ENTER))
    code = verification_code(DIGEST, NONCE).encode().hex()
    assert data.hex() == (f"8020{DIGEST.hex()}8104{code}820508049a003f8308{NONCE.hex()}840101")


def test_the_code_depends_on_digest_and_nonce() -> None:
    first = int.from_bytes(hashlib.sha256(DIGEST + NONCE).digest()[:4], "big")
    assert verification_code(DIGEST, NONCE) == f"{first % 10_000:04d}"
    codes = {verification_code(DIGEST, bytes([each]) * 8) for each in range(100)}
    assert len(codes) > 90


def test_a_code_with_leading_zeros_has_four_digits() -> None:
    codes = (verification_code(DIGEST, each.to_bytes(8, "big")) for each in range(1000))
    small = [code for code in codes if code.startswith("00")]
    assert small
    assert all(len(code) == 4 for code in small)


def tampered(data: bytes, old: str, new: str) -> bytes:
    assert data.hex().count(old) == 1
    return bytes.fromhex(data.hex().replace(old, new))


def test_a_request_with_another_code_is_refused() -> None:
    """Else whoever writes requests could show the digits of another session."""
    right = verification_code(DIGEST, NONCE)
    wrong = f"{(int(right) + 1) % 10_000:04d}"
    data = tampered(
        write_request(request()), "8104" + right.encode().hex(), "8104" + wrong.encode().hex()
    )
    with pytest.raises(MalformedData):
        read_request(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("840100", ""),  # a tag is missing
        ("840100", "840100840100"),  # a tag twice
        ("840100", "850100"),  # another tag
        ("840100", "840102"),  # a question that is none
        ("840100", "84020000"),  # of two octets
        ("840100", "8401"),  # the value is missing
        ("840100", "84"),  # the length is missing
        ("820904", "820905"),  # a coding that is none
        ("820904" + b"Bank: 17".hex(), "820108"),  # no text
        ("820904" + b"Bank: 17".hex(), "820204ff"),  # no septet
        ("820904" + b"Bank: 17".hex(), "82040800610a"),  # half a character
        ("820904" + b"Bank: 17".hex(), "820308000a"),  # a line break in UCS-2
        ("820904" + b"Bank: 17".hex(), "826604" + "61" * 101),  # too long
        ("8020", "8120"),  # the order
    ],
)
def test_a_request_of_another_form_is_refused(old: str, new: str) -> None:
    data = write_request(request("Bank: 17"))
    with pytest.raises(MalformedData):
        read_request(tampered(data, old, new))


@pytest.mark.parametrize(("digest", "nonce"), [(DIGEST[:31], NONCE), (DIGEST, NONCE + b"0")])
def test_no_request_is_written_with_a_wrong_size(digest: bytes, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        write_request(Request(digest, "Bank", nonce))


@pytest.mark.parametrize("status", Status)
def test_every_status_reads_back(status: Status) -> None:
    signature = bytes(64) if status is Status.SIGNED else b""
    answer = Answer(status, NONCE, signature)
    assert read_answer(write_answer(answer)) == answer


@pytest.mark.parametrize(
    "data",
    [
        "",
        "900101",  # no nonce
        "9001018307" + "00" * 7,  # a short nonce
        "9001008308" + "00" * 8,  # signed, without a signature
        "9001019140" + "00" * 64 + "8308" + "00" * 8,  # cancelled, with one
        "900100913f" + "00" * 63 + "8308" + "00" * 8,  # a short signature
        "9001058308" + "00" * 8,  # an unknown status
        "900201018308" + "00" * 8,  # a status of two octets
        "8308" + "00" * 8 + "900101",  # the order
        "9001018308" + "00" * 8 + "ff",  # more behind it
    ],
)
def test_an_answer_of_another_form_is_refused(data: str) -> None:
    with pytest.raises(MalformedData):
        read_answer(bytes.fromhex(data))


def test_no_answer_is_written_with_a_wrong_signature() -> None:
    for answer in (Answer(Status.SIGNED, NONCE), Answer(Status.CANCELLED, NONCE, bytes(64))):
        with pytest.raises(ValueError, match="64"):
            write_answer(answer)
