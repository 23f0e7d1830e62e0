"""Messages from phones: which inbox, which parts belong together, what is a repeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from services.messaging.privacy.letters import Letter
from services.messaging.privacy.vault import Vault
from services.messaging.smpp.link import Incoming
from services.messaging.sms.user_data import decode_text, is_binary
from services.runtime.sealing import Sealed

# The same message within so long counts once (the contract's and the number).
REPEATED_WITHIN = timedelta(minutes=10)
# Parts of one message come within so long; what never becomes whole is erased then.
PARTS_WITHIN = timedelta(days=1)
LEASE = timedelta(seconds=30)


class Inbox(IntEnum):
    """Where a message waits for its reader."""

    TEXT = 1
    SIM = 2


# Whose each inbox is.
READERS = {Inbox.TEXT: "requests", Inbox.SIM: "signing"}


@dataclass(frozen=True, slots=True)
class NewReceived:
    """A whole message, to be stored."""

    id: str
    inbox: Inbox
    digest: bytes
    sealed: Sealed
    destination: str
    receive_time: datetime


@dataclass(frozen=True, slots=True)
class Received:
    """A message that is leased to a reader."""

    number: int
    id: str
    sealed: Sealed
    destination: str
    receive_time: datetime


def part_digest(incoming: Incoming, vault: Vault) -> bytes:
    """Return what is the same if the network delivers the same part again."""
    joined = incoming.concatenation
    place = b"" if joined is None else bytes(f"{joined.total} {joined.number}", "ascii")
    return vault.digest("part", _group(incoming), place, incoming.content)


def group_hash(incoming: Incoming, vault: Vault) -> bytes:
    """Return what the parts of one message have in common."""
    joined = incoming.concatenation
    total = 1 if joined is None else joined.total
    return vault.digest("group", _group(incoming), bytes([total]))


def _group(incoming: Incoming) -> bytes:
    joined = incoming.concatenation
    reference = "" if joined is None else str(joined.reference)
    fields = (incoming.phone, incoming.destination, reference, str(incoming.data_coding))
    return "\0".join(fields).encode()


def message_digest(letter: Letter, destination: str, vault: Vault) -> bytes:
    """Return what is the same if a phone sends the same again."""
    return vault.digest("message", letter.to_bytes(), destination.encode())


def read_letter(
    incoming: Incoming, content: bytes, *, is_sim_response: bool, default_is_gsm: bool
) -> tuple[Inbox, Letter]:
    """Return the whole message, and which inbox it is for."""
    if is_sim_response or is_binary(incoming.data_coding):
        return Inbox.SIM, Letter(incoming.phone, content, True)
    text = decode_text(content, incoming.data_coding, default_is_gsm=default_is_gsm)
    return Inbox.TEXT, Letter(incoming.phone, text.encode(), False)
