"""What the service asks of a connection to the mobile network, whichever protocol it speaks.

SMPP by smpplib is the one there is (smpp_link.py); a library or protocol that follows it stands
behind the same names. A link runs in a thread of its own and calls Events on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from services.messaging.sms.receipts import Receipt
from services.messaging.sms.user_data import Concatenation
from sms.parts import ShortMessage

# Called at each named step between the network and the database: tests kill the process there.
Step = Callable[[str], None]


def no_step(_name: str) -> None:
    """Do nothing at a step."""


class Verdict(Enum):
    """What the network said of a part."""

    TAKEN = 1
    # Too fast: everything waits, so that order stays.
    THROTTLED = 2
    # It may be taken later.
    FAILED = 3
    # This message never will be taken.
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Submission:
    """A part to be handed to the network."""

    # Of the caller's own; the answer names it.
    key: int
    source: str
    # E.164.
    phone: str
    part: ShortMessage
    # SMPP 3.4, section 7.1.1: "YYMMDDhhmmsstnnp".
    validity_period: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The network's answer to one submission."""

    key: int
    verdict: Verdict
    # The network's own id of the part; "" unless it was taken.
    network_id: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A short message, or part of one, that a phone sent."""

    # E.164, or as the network gave it if it is no phone's number.
    phone: str
    destination: str
    content: bytes
    data_coding: int
    concatenation: Concatenation | None = None
    is_sim_response: bool = False


class Events(Protocol):
    """What a link tells; all of it on the event loop."""

    def connected(self) -> None:
        """The network takes submissions from now on."""

    def answered(self, answer: Answer) -> None:
        """The network answered a submission."""

    def disconnected(self, unanswered: Sequence[int], unsent: Sequence[int]) -> None:
        """The connection is gone: these submissions may have been taken, those were not sent."""

    async def received(self, incoming: Incoming) -> None:
        """Make a message durable; it is acknowledged to the network once this returns."""

    async def reported(self, phone: str, receipt: Receipt) -> None:
        """Make a receipt durable, as a message."""


class Link(Protocol):
    """A connection that is made again whenever it is lost."""

    def submit(self, submission: Submission) -> None:
        """Hand over a part; exactly one of answered and disconnected follows."""

    async def stop(self) -> None:
        """Wait a moment for answers, and end the connection and the thread."""
