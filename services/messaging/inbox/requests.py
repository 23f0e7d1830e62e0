"""Parse the requests of a stream that reads an inbox."""

from __future__ import annotations

import re

from google.protobuf.message import DecodeError

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.inbox.rules import Inbox
from services.runtime.errors import InvalidArgument

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# An id and what stands around it; a stream's requests come as bytes, which nothing has measured.
REQUEST_LIMIT_BYTES = 256


def parse_inbox(data: bytes) -> Inbox:
    """Return the inbox that a stream's first request names. Raises InvalidArgument."""
    request = _decode(data)
    try:
        return Inbox(request.inbox)
    except ValueError:
        raise InvalidArgument("inbox", "is required") from None


def parse_acknowledged(data: bytes) -> str:
    """Return the id that a further request acknowledges. Raises InvalidArgument."""
    request = _decode(data)
    if not _ID.fullmatch(request.acknowledged):
        raise InvalidArgument("acknowledged", "not the id of a message")
    return str(request.acknowledged)


def _decode(data: bytes) -> messages_pb2.ReceiveMessagesRequest:
    try:
        if len(data) > REQUEST_LIMIT_BYTES:
            raise ValueError("too long")
        return messages_pb2.ReceiveMessagesRequest.FromString(data)
    except (DecodeError, ValueError):
        raise InvalidArgument("", "the bytes are no message of this method") from None
