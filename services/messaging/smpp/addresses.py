"""Addresses of SMPP: type of number, numbering plan, digits (SMPP 3.4, sections 5.2.5, 5.2.6)."""

from __future__ import annotations

import re

from smpplib.pdu import PDU

INTERNATIONAL, NETWORK_SPECIFIC, ALPHANUMERIC = 1, 3, 5
UNKNOWN_PLAN, E164_PLAN = 0, 1
# Shorter digits are a short number of the network.
SHORT_NUMBER_DIGITS = 8
_INTERNATIONAL = re.compile(r"\+?([1-9][0-9]{7,14})")


def source_of(source: str) -> tuple[int, int, str]:
    """Return type, plan and digits of what a message comes from: a short number, a number or a
    name."""
    if not source.isdecimal():
        return ALPHANUMERIC, UNKNOWN_PLAN, source
    if len(source) <= SHORT_NUMBER_DIGITS:
        return NETWORK_SPECIFIC, UNKNOWN_PLAN, source
    return INTERNATIONAL, E164_PLAN, source


def destination_of(phone: str) -> tuple[int, int, str]:
    """Return type, plan and digits of a number in E.164."""
    return INTERNATIONAL, E164_PLAN, phone.removeprefix("+")


def phone_of(pdu: PDU) -> str:
    """Return what a deliver_sm comes from in E.164, or as it is if that is no such number."""
    address = str((pdu.source_addr or b"").decode("latin-1"))[:21]
    digits = _INTERNATIONAL.fullmatch(address)
    return f"+{digits[1]}" if digits else address
