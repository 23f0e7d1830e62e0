"""What becomes of a request by the last three digits of the number it is sent to.

So that everybody can see each outcome without arranging it; Swisscom's Mobile ID has such numbers
too. Where ETSI TS 102 204 has a status code, it is the number.
"""

from __future__ import annotations

from enum import IntEnum

_DIGITS = 3


class Outcome(IntEnum):
    """What a number's person, SIM or network does."""

    # The person reads and never answers.
    SILENT = 208
    # The network loses the request, and its receipt says so.
    LOST = 209
    CANCELS = 401
    # The person types a wrong PIN until it is blocked.
    BLOCKS_PIN = 402
    # Ten wrong PUKs were typed long ago.
    CARD_BLOCKED = 403
    NO_KEY = 404
    # Another request is always on the screen.
    BUSY = 406
    # The person says "later" (4013).
    POSTPONES = 413
    # The answer comes twice, with the same octets.
    ANSWERS_TWICE = 601
    # The answer comes in two parts, the second one first.
    SWAPS_PARTS = 602
    # The answer comes a minute after the request expired.
    ANSWERS_LATE = 603
    # The signature is good, over another digest.
    SIGNS_ANOTHER_DIGEST = 604
    # The signature is over the digest, by another key.
    SIGNS_WITH_ANOTHER_KEY = 605
    # The answer bears the counter of the request before.
    REPLAYS_COUNTER = 606
    # Any other number: reads, types the PIN, says yes.
    SIGNS = 0


def outcome_of(number: str) -> Outcome:
    """Return what a number's last three digits stand for."""
    digits = number[-_DIGITS:]
    try:
        return Outcome(int(digits))
    except ValueError:
        return Outcome.SIGNS
