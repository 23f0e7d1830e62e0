"""Read delivery receipts: by SMPP's optional parameters, else by the usual text.

SMPP 3.4 leaves the text to the vendor (appendix B): "id:IIIIIIIIII sub:SSS dlvrd:DDD submit
date:YYMMDDhhmm done date:YYMMDDhhmm stat:DDDDDDD err:E text:…", in any case and order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_ID = re.compile(rb"\bid:\s*([0-9A-Za-z-]{1,64})", re.IGNORECASE)
_STATE = re.compile(rb"\bstat:\s*([A-Za-z]{2,10})", re.IGNORECASE)


class Outcome(Enum):
    """What became of a part."""

    DELIVERED = 1
    UNDELIVERABLE = 2
    EXPIRED = 3


# SMPP 3.4, section 5.2.28 and appendix B. Others are on the way still: ENROUTE, ACCEPTED, UNKNOWN.
_BY_NUMBER = {
    2: Outcome.DELIVERED,
    3: Outcome.EXPIRED,
    4: Outcome.UNDELIVERABLE,
    5: Outcome.UNDELIVERABLE,
    8: Outcome.UNDELIVERABLE,
}
_BY_TEXT: Mapping[str, Outcome] = {
    "DELIVRD": Outcome.DELIVERED,
    "EXPIRED": Outcome.EXPIRED,
    "DELETED": Outcome.UNDELIVERABLE,
    "UNDELIV": Outcome.UNDELIVERABLE,
    "REJECTD": Outcome.UNDELIVERABLE,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the network says of a part that it took; outcome is None while it is on its way."""

    network_id: str
    outcome: Outcome | None


def read_receipt(text: bytes, *, network_id: str = "", state: int | None = None) -> Receipt | None:
    """Return the receipt, or None if it does not say of which message.

    network_id and state: of the parameters receipted_message_id and message_state, where given.
    """
    if not network_id:
        found = _ID.search(text)
        if found is None:
            return None
        network_id = found[1].decode("ascii")
    if state is not None:
        return Receipt(network_id, _BY_NUMBER.get(state))
    stated = _STATE.search(text)
    word = stated[1].decode("ascii").upper() if stated else ""
    return Receipt(network_id, _BY_TEXT.get(word))


def id_spellings(network_id: str) -> tuple[str, ...]:
    """Return the id as it may stand in the answer to submit_sm, the likeliest first.

    SMSCs write the same number in hexadecimal in the answer and in decimal in the receipt, or the
    other way about, with and without leading zeros.
    """
    spellings = [network_id, bare(network_id)]
    if network_id.isascii() and network_id.isdecimal():
        spellings.append(f"{int(network_id):x}")
    if re.fullmatch(r"[0-9A-Fa-f]{1,64}", network_id):
        spellings.append(str(int(network_id, 16)))
    return tuple(dict.fromkeys(spelling[:64] for spelling in spellings))


def bare(network_id: str) -> str:
    """Return the id in the spelling that it is kept in: small letters, no leading zeros."""
    return network_id.lower().lstrip("0") or "0"
