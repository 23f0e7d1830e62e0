from __future__ import annotations

import pytest
from smpplib.gsm import gsm_encode

from sms.alphabets import Alphabet, NotInAlphabet, alphabet_for, alphabet_of, decode, encode

GSM = Alphabet.GSM_7BIT
# The letters of Kazakh that Russian lacks (design of mobile signatures): none is in GSM 7-bit.
KAZAKH = "ӘІҢҒҮҰҚӨҺ"


def every_gsm_character() -> str:
    found = ""
    for code in range(0x80):
        for octets in (bytes([code]), bytes([0x1B, code])):
            try:
                found += decode(octets, GSM)
            except NotInAlphabet:
                continue
    return found


def test_the_alphabet_has_127_characters_and_ten_behind_the_escape() -> None:
    assert len(every_gsm_character()) == len(set(every_gsm_character())) == 137


def test_every_character_but_two_is_as_smpplib_writes_it() -> None:
    """smpplib has a table of its own; it writes ` for § and has no form feed."""
    for char in set(every_gsm_character()) - {"§", "\f"}:
        assert encode(char, GSM) == gsm_encode(char), char


@pytest.mark.parametrize(
    ("char", "octets"), [("@", "00"), ("§", "5f"), ("à", "7f"), ("€", "1b65"), ("[", "1b3c")]
)
def test_characters_have_their_octets_of_the_standard(char: str, octets: str) -> None:
    assert encode(char, GSM).hex() == octets
    assert decode(bytes.fromhex(octets), GSM) == char


@pytest.mark.parametrize("letter", KAZAKH + KAZAKH.lower() + "Яж")
def test_kazakh_and_russian_letters_take_ucs2(letter: str) -> None:
    assert alphabet_for(letter) is Alphabet.UCS2
    with pytest.raises(NotInAlphabet):
        encode(letter, GSM)
    assert decode(encode(letter, Alphabet.UCS2), Alphabet.UCS2) == letter


@pytest.mark.parametrize("text", ["🙂", "\ud800", "a\udfff"])
def test_what_ucs2_lacks_is_refused_and_not_replaced(text: str) -> None:
    with pytest.raises(NotInAlphabet):
        alphabet_for(text)


def test_a_phones_surrogate_pair_is_read() -> None:
    assert decode("🙂".encode("utf-16-be"), Alphabet.UCS2) == "🙂"


@pytest.mark.parametrize(
    ("octets", "alphabet"),
    [("80", GSM), ("1b", GSM), ("1b41", GSM), ("00", Alphabet.UCS2), ("d800", Alphabet.UCS2)],
)
def test_octets_that_no_character_has_are_refused(octets: str, alphabet: Alphabet) -> None:
    with pytest.raises(NotInAlphabet):
        decode(bytes.fromhex(octets), alphabet)


@pytest.mark.parametrize(
    ("coding", "alphabet"),
    [
        (0x00, GSM),
        (0x01, GSM),
        (0x02, Alphabet.BINARY),
        (0x04, Alphabet.BINARY),
        (0x08, Alphabet.UCS2),
        (0x10, GSM),
        (0x18, Alphabet.UCS2),
        (0x19, Alphabet.UCS2),
        (0xC8, GSM),
        (0xE0, Alphabet.UCS2),
        (0xF0, GSM),
        (0xF4, Alphabet.BINARY),
        (0xF6, Alphabet.BINARY),
    ],
)
def test_data_codings_name_their_alphabet(coding: int, alphabet: Alphabet) -> None:
    assert alphabet_of(coding) is alphabet


@pytest.mark.parametrize("coding", [0x0C, 0x20, 0x28, 0x80, 0xB0])
def test_compressed_and_reserved_codings_are_refused(coding: int) -> None:
    with pytest.raises(NotInAlphabet):
        alphabet_of(coding)
