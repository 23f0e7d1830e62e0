"""A handset: joins parts of messages, keeps texts, and has at most one dialogue on its screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from phones.dialogues import Dialogue
from phones.subscribers import Subscriber
from sms.applet import Request
from sms.parts import REFERENCES, MalformedMessage, Part, ShortMessage, WholeMessage, join

# Texts and parts that a phone keeps; the oldest go first.
KEPT_TEXTS = 50
KEPT_PARTS = 40


class Delivery(Enum):
    """What became of a message to a phone."""

    DELIVERED = "delivered"
    EXPIRED = "expired"
    UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True, slots=True)
class ToPhone:
    """A message on its way to a phone. report is called once, when it is decided; never for one
    that a silent network lost."""

    number: str
    # The short number or name that it came from, which answers go to.
    source: str
    message: ShortMessage
    expire_time: datetime
    report: Callable[[Delivery], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on a phone's screen: whom the answer goes to, under which counter, until when."""

    source: str
    counter: int
    request: Request
    expire_time: datetime


@dataclass(slots=True)
class Phone:
    """A handset with its SIM, at run time."""

    subscriber: Subscriber
    # Newest last: who sent it, and the text.
    texts: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=KEPT_TEXTS))
    # What is on its screen, both or neither.
    dialogue: Dialogue | None = None
    asked: Asked | None = None
    # Called whenever the screen has changed.
    changed: Callable[[], None] = lambda: None
    # While it is off.
    waiting: list[ToPhone] = field(default_factory=list)
    parts: deque[tuple[str, Part]] = field(default_factory=lambda: deque(maxlen=KEPT_PARTS))
    references: int = 0

    def clear(self) -> None:
        """End the dialogue without an answer."""
        self.dialogue = self.asked = None
        self.changed()

    def next_reference(self) -> int:
        self.references = (self.references + 1) % REFERENCES
        return self.references

    def take_part(self, source: str, part: Part) -> WholeMessage | None:
        """Return a whole message once its last part is there. Raises MalformedMessage."""
        if part.total == 1:
            return join([part])
        self.parts.append((source, part))
        key = (source, part.reference, part.total)
        mine = [
            (sender, each)
            for sender, each in self.parts
            if (sender, each.reference, each.total) == key
        ]
        try:
            whole = join(each for _, each in mine)
        except MalformedMessage:
            self._forget(mine)
            raise
        if whole is not None:
            self._forget(mine)
        return whole

    def _forget(self, taken: Iterable[tuple[str, Part]]) -> None:
        for each in taken:
            self.parts.remove(each)
