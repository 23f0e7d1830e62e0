"""Make the contract's messages of the inbox."""

from __future__ import annotations

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.inbox.rules import Received
from services.messaging.privacy.letters import Letter
from services.runtime.clock import to_timestamp


def received_message(received: Received, letter: Letter) -> messages_pb2.ReceivedMessage:
    """Return the message of a short message from a phone."""
    message = messages_pb2.ReceivedMessage(
        id=received.id,
        phone=letter.phone,
        receive_time=to_timestamp(received.receive_time),
        destination=received.destination,
    )
    if letter.is_binary:
        message.binary = letter.content
    else:
        message.text = letter.content.decode()
    return message
