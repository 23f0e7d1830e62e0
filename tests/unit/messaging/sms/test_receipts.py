"""Receipts are read in the vendors' spellings."""

from __future__ import annotations

import pytest

from services.messaging.sms.receipts import Outcome, Receipt, bare, id_spellings, read_receipt


@pytest.mark.parametrize(
    ("text", "receipt"),
    [
        (b"id:0A1 sub:001 stat:DELIVRD err:000", Receipt("0A1", Outcome.DELIVERED)),
        (b"id: 12 Stat: UNDELIV", Receipt("12", Outcome.UNDELIVERABLE)),
        (b"stat:REJECTD id:7", Receipt("7", Outcome.UNDELIVERABLE)),
        (b"id:7 stat:ACCEPTD", Receipt("7", None)),
        (b"stat:DELIVRD", None),
        (b"", None),
    ],
)
def test_a_receipt_is_read(text: bytes, receipt: Receipt | None) -> None:
    assert read_receipt(text) == receipt


def test_parameters_go_before_the_text() -> None:
    read = read_receipt(b"id:1 stat:UNDELIV", network_id="2", state=2)
    assert read == Receipt("2", Outcome.DELIVERED)


def test_an_id_is_found_in_hexadecimal_and_in_decimal() -> None:
    assert bare("000000FF") in id_spellings("255")
    assert bare("255") in id_spellings("00FF")
    assert id_spellings("0011")[0] == "0011"
