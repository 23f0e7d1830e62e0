"""Streebog, by the published digests of RFC 6986, RFC 7836 and gost-engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from signatures.gost.streebog import streebog256, streebog512

# RFC 6986, section 10, which writes messages and digests as numbers: read from the end.
M1 = b"012345678901234567890123456789012345678901234567890123456789012"
M2 = "Се ветри, Стрибожи внуци, веютъ с моря стрелами на храбрыя плъкы Игоревы".encode("cp1251")


def number(text: str) -> bytes:
    return bytes.fromhex(text)[::-1]


def test_the_first_message_of_the_rfc() -> None:
    assert streebog512(M1) == number(
        "486f64c1917879417fef082b3381a4e211c324f074654c38823a7b76f830ad00"
        "fa1fbae42b1285c0352f227524bc9ab16254288dd6863dccd5b9f54a1ad0541b"
    )
    assert streebog256(M1) == number(
        "00557be5e584fd52a449b16b0251d05d27f94ab76cbaa6da890b59d8ef1e159d"
    )


def test_the_second_message_of_the_rfc_which_is_longer_than_a_block() -> None:
    assert streebog512(M2) == number(
        "28fbc9bada033b1460642bdcddb90c3fb3e56c497ccd0f62b8a2ad4935e85f03"
        "7613966de4ee00531ae60f3b5a47f8dae06915d5f2f194996fcabf2622e6881e"
    )
    assert streebog256(M2) == number(
        "508f7e553c06501d749a66fc28c6cac0b005746d97537fa85d9e40904efed29d"
    )


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (streebog256, "a1aa5f7de402d7b3d323f2991c8d4534013137010a83754fd0af6d7cd4922ed9"),
        (
            streebog512,
            "a59bab22ecae19c65fbde6e5f4e9f5d8549d31f037f9df9b905500e171923a77"
            "3d5f1530f2ed7e964cb2eedc29e9ad2f3afe93b2814f79f5000ffc0366c251e6",
        ),
    ],
)
def test_hmac_of_rfc_7836(function: Callable[[bytes], bytes], expected: str) -> None:
    key = bytes(range(32)).ljust(64, b"\0")
    message = bytes.fromhex("0126bdb87800af214341456563780100")
    inner = function(bytes(byte ^ 0x36 for byte in key) + message)

    assert function(bytes(byte ^ 0x5C for byte in key) + inner).hex() == expected


def test_carries_of_the_checksum_are_kept() -> None:
    """Regression vector of gost-engine: the sum of the blocks overflows a byte and a word."""
    message = bytes.fromhex("ee" * 64 + "16" + "11" * 62 + "16")

    assert streebog256(message).hex() == (
        "81bb632fa31fcc38b4c379a662dbc58b9bed83f50d3a1b2ce7271ab02d25babb"
    )


def test_every_length_around_a_block_has_its_own_digest() -> None:
    digests = {streebog512(bytes(length)) for length in range(60, 70)}

    assert len(digests) == 10
