from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phones.smsc.pdus import Address, MalformedPdu, MessageBody, expiry, parse_bind, parse_message

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAYS = timedelta(days=3)
ascii_text = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=20)
addresses = st.builds(Address, st.integers(0, 255), st.integers(0, 255), ascii_text)
bodies = st.builds(
    MessageBody,
    source=addresses,
    destination=addresses,
    esm_class=st.integers(0, 255),
    protocol_id=st.integers(0, 255),
    data_coding=st.integers(0, 255),
    short_message=st.binary(max_size=254),
    validity_period=ascii_text.filter(lambda text: len(text) <= 16),
    registered_delivery=st.integers(0, 255),
    optional=st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=20), max_size=4),
)


@given(bodies)
def test_a_message_reads_back(body: MessageBody) -> None:
    assert parse_message(body.encode()) == body


@given(st.binary(max_size=300))
def test_any_octets_are_a_message_or_refused(octets: bytes) -> None:
    with suppress(MalformedPdu):
        parse_message(octets)
    with suppress(MalformedPdu):
        parse_bind(octets)


@given(bodies, st.integers(0, 100))
def test_a_message_that_ends_early_is_refused(body: MessageBody, cut: int) -> None:
    octets = body.encode()
    whole = len(octets) - sum(4 + len(value) for value in body.optional.values())
    with pytest.raises(MalformedPdu):
        parse_message(octets[: max(whole - 1 - cut, 0)])


def test_a_long_message_may_be_in_the_payload() -> None:
    body = parse_message(
        MessageBody(
            Address(1, 1, "7"), Address(1, 1, "8"), 0, 0, 0, b"", optional={0x0424: b"x"}
        ).encode()
    )
    assert body.user_data == b"x"


@pytest.mark.parametrize(
    ("period", "time"),
    [
        ("", NOON + DAYS),
        ("000000000500000R", NOON + timedelta(minutes=5)),
        ("000003000000000R", NOON + timedelta(days=3)),
        ("010100000000000R", NOON + timedelta(days=395)),
        ("261127120500000+", NOON + timedelta(minutes=5)),
        ("261127170500020+", NOON + timedelta(minutes=5)),
        ("261127080500016-", NOON + timedelta(minutes=5)),
    ],
)
def test_a_validity_period_says_when_a_message_expires(period: str, time: datetime) -> None:
    assert expiry(period, NOON, DAYS) == time


@pytest.mark.parametrize("period", ["5", "261327120500000+", "٠00000000500000R", "0" * 16])
def test_a_validity_period_that_is_none_is_refused(period: str) -> None:
    with pytest.raises(MalformedPdu):
        expiry(period, NOON, DAYS)
