"""Texts and packets are split without losing or splitting a character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messaging.sms.parts import PARTS_LIMIT, split_packet, split_text
from services.messaging.sms.user_data import read_user_data
from sms.alphabets import septets_of, show_septets
from sms.parts import TooLong


@pytest.mark.parametrize(
    ("text", "parts", "coding"),
    [
        ("a" * 160, 1, 0),
        ("a" * 161, 2, 0),
        ("a" * 306, 2, 0),
        ("a" * 307, 3, 0),
        # Two septets a character of the extension table.
        ("€" * 80, 1, 0),
        ("€" * 81, 2, 0),
        ("Қ" * 70, 1, 8),
        ("Қ" * 71, 2, 8),
        ("Қ" * 134, 2, 8),
        ("Қ" * 135, 3, 8),
    ],
)
def test_a_text_takes_as_many_parts_as_the_standard_says(
    text: str, parts: int, coding: int
) -> None:
    split = split_text(text, 7, default_is_gsm=True)
    assert len(split) == parts
    assert {part.data_coding for part in split} == {coding}


def test_where_coding_0_is_another_alphabet_everything_goes_in_ucs_2() -> None:
    (part,) = split_text("abc", 0, default_is_gsm=False)
    assert (part.data_coding, part.user_data) == (8, "abc".encode("utf-16-be"))


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=400), st.integers(0, 999))
def test_the_parts_of_a_text_make_the_text(text: str, reference: int) -> None:
    joined = []
    for part in split_text(text, reference, default_is_gsm=True):
        data = read_user_data(part.user_data, has_header=part.has_header)
        # Each part is a text by itself: no character is split.
        is_gsm = part.data_coding == 0
        joined.append(show_septets(data.content) if is_gsm else data.content.decode("utf-16-be"))
        assert len(part.user_data) <= (160 if is_gsm else 140)
    assert "".join(joined) == text


@given(st.binary(min_size=1, max_size=1300), st.integers(0, 300))
def test_the_parts_of_a_packet_make_the_packet(packet: bytes, reference: int) -> None:
    parts = split_packet(packet, reference)
    read = [read_user_data(part.user_data, has_header=True) for part in parts]
    assert b"".join(data.content for data in read) == packet
    assert all(len(part.user_data) <= 140 for part in parts)
    if len(parts) > 1:
        places = [each.concatenation for each in read]
        assert [(p.reference, p.number, p.total) for p in places if p] == [
            (reference % 256, n, len(parts)) for n in range(1, len(parts) + 1)
        ]


def test_what_takes_too_many_parts_is_refused() -> None:
    assert len(split_text("Қ" * 67 * PARTS_LIMIT, 0, default_is_gsm=True)) == PARTS_LIMIT
    with pytest.raises(TooLong):
        split_text("Қ" * (67 * PARTS_LIMIT + 1), 0, default_is_gsm=True)
    with pytest.raises(TooLong):
        split_packet(bytes(134 * PARTS_LIMIT - 1), 0)


def test_the_alphabet_has_no_kazakh_letters_and_no_escape() -> None:
    for character in "ӘІҢҒҮҰҚӨҺ\x1b`":
        assert septets_of(character) is None


@pytest.mark.parametrize("header", [b"", b"\x09\x00\x03", b"\x05\x00\x09\x01\x02\x01", b"\xff"])
def test_a_malformed_header_is_content(header: bytes) -> None:
    assert read_user_data(header, has_header=True).content == header
