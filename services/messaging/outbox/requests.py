"""Parse the requests of the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.outbox.rules import (
    MessagePriority,
    check_expiry,
    check_phone,
    check_source,
)
from services.messaging.privacy.letters import Letter
from services.messaging.privacy.vault import Vault
from services.runtime.clock import from_timestamp
from services.runtime.errors import InvalidArgument


@dataclass(frozen=True, slots=True, repr=False)
class ParsedMessage:
    """A SendMessageRequest, checked."""

    letter: Letter
    priority: MessagePriority
    source: str
    expire_time: datetime


def parse_send(
    request: messages_pb2.SendMessageRequest, *, source: str, now: datetime
) -> ParsedMessage:
    """Return the message that is asked for. Raises InvalidArgument.

    source: the platform's own, which stands where the request has none.
    """
    phone = check_phone(request.phone)
    which = request.WhichOneof("content")
    if which is None:
        raise InvalidArgument("text", "neither a text nor a packet")
    content = request.text.encode() if which == "text" else request.binary
    if not content:
        raise InvalidArgument(which, "is empty")
    try:
        priority = MessagePriority(request.priority or MessagePriority.HELP)
    except ValueError:
        raise InvalidArgument("priority", "unknown") from None
    asked = from_timestamp(request.expire_time) if request.HasField("expire_time") else None
    return ParsedMessage(
        Letter(phone, content, which == "binary"),
        priority,
        check_source(request.source, source),
        check_expiry(asked, now),
    )


def without_personal_data(
    request: messages_pb2.SendMessageRequest, vault: Vault
) -> messages_pb2.SendMessageRequest:
    """Return the request with keyed hashes for number and content: its fingerprint is kept for a
    day, and one of the bare request could be guessed."""
    copy = messages_pb2.SendMessageRequest()
    copy.CopyFrom(request)
    copy.phone = vault.number(request.phone).hex()
    kind = request.WhichOneof("content") or ""
    content = request.text.encode() if kind == "text" else request.binary
    copy.binary = vault.digest("request", kind.encode(), content)
    return copy
