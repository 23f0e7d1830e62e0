"""Make the contract's messages of the outbox."""

from __future__ import annotations

from typing import cast

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.outbox.rules import Message
from services.runtime.clock import to_timestamp


def message_message(message: Message) -> messages_pb2.Message:
    """Return the message of a short message."""
    return messages_pb2.Message(
        name=message.name,
        state=cast("messages_pb2.MessageState", int(message.state)),
        create_time=to_timestamp(message.create_time),
        send_time=to_timestamp(message.send_time),
        deliver_time=to_timestamp(message.deliver_time),
        parts=message.parts,
        maybe_twice=message.maybe_twice,
    )
