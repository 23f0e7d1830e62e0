"""Messaging, as mobile signatures use it: packets and texts out, SIMs' answers in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

import grpc

from qagazsyz.messaging.v1 import messages_pb2
from services.runtime.clients import ServiceClient, retry_seconds_of
from services.runtime.clock import from_timestamp, to_timestamp
from services.runtime.errors import Unavailable

MESSAGING = "qagazsyz.messaging.v1.MessagingService"

# Messaging that is overloaded asks to come again in seconds; for a number's allowance, in hours.
OVERLOAD_SECONDS = 60.0


class MessagePriority(IntEnum):
    """Which messages go first; of the contract."""

    SECURITY = 1
    OWN = 2
    ORGANIZATION = 3
    HELP = 4


class MessageState(IntEnum):
    """How far a message has come; of the contract."""

    QUEUED = 1
    SENT = 2
    DELIVERED = 3
    UNDELIVERABLE = 4
    EXPIRED = 5


class NotSent(Exception):
    """Messaging refuses the message for good."""


@dataclass(frozen=True, slots=True, repr=False)
class Outgoing:
    """A message to a phone: a packet for its SIM, or a text."""

    # UUID: the same is sent once.
    request_id: str
    # E.164.
    phone: str
    packet: bytes = b""
    text: str = ""
    priority: MessagePriority = MessagePriority.HELP
    # Messaging's own if None.
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Incoming:
    """A SIM's answer."""

    id: str
    # E.164.
    phone: str
    packet: bytes
    receive_time: datetime


class Inbox:
    """An open stream of SIMs' answers."""

    def __init__(self, messaging: ServiceClient) -> None:
        self._messaging = messaging
        self._acknowledged: asyncio.Queue[str] = asyncio.Queue()

    def acknowledge(self, message_id: str) -> None:
        """Have a message be dealt with for good."""
        self._acknowledged.put_nowait(message_id)

    async def read(self) -> AsyncIterator[Incoming]:
        """Yield answers, leased to this stream until they are acknowledged. Raises Unavailable when
        the stream ends."""
        try:
            async for message in self._messaging.stream(
                f"{MESSAGING}/ReceiveMessages", self._requests(), messages_pb2.ReceivedMessage
            ):
                yield Incoming(
                    id=message.id,
                    phone=message.phone,
                    packet=message.binary,
                    receive_time=from_timestamp(message.receive_time),
                )
        except grpc.aio.AioRpcError as error:
            raise Unavailable("messaging ended the stream") from error
        raise Unavailable("messaging ended the stream")

    async def _requests(self) -> AsyncIterator[messages_pb2.ReceiveMessagesRequest]:
        yield messages_pb2.ReceiveMessagesRequest(inbox=messages_pb2.INBOX_SIM)
        while True:
            acknowledged = await self._acknowledged.get()
            yield messages_pb2.ReceiveMessagesRequest(acknowledged=acknowledged)


class MessagingClient:
    """Calls messaging. Every method raises Unavailable or DeadlineExceeded."""

    def __init__(self, messaging: ServiceClient) -> None:
        self._messaging = messaging

    async def send(self, message: Outgoing) -> str:
        """Have a message sent; return messaging's name of it. Raises NotSent."""
        request = messages_pb2.SendMessageRequest(
            phone=message.phone,
            expire_time=to_timestamp(message.expire_time),
            request_id=message.request_id,
            priority=messages_pb2.MessagePriority.Name(message.priority),
        )
        if message.packet:
            request.binary = message.packet
        else:
            request.text = message.text
        try:
            sent = await self._messaging.call(
                f"{MESSAGING}/SendMessage", request, messages_pb2.Message
            )
        except grpc.aio.AioRpcError as error:
            raise NotSent(error.code().name) from error
        except Unavailable as error:
            refusal = error.__cause__
            wait = retry_seconds_of(refusal) if isinstance(refusal, grpc.aio.AioRpcError) else 0.0
            if wait > OVERLOAD_SECONDS:
                raise NotSent("the number has had its messages of the day") from error
            raise
        return sent.name

    async def state_of(self, name: str) -> MessageState | None:
        """Return how far a message has come; None if messaging does not know it any more."""
        try:
            message = await self._messaging.call(
                f"{MESSAGING}/GetMessage",
                messages_pb2.GetMessageRequest(name=name),
                messages_pb2.Message,
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.PERMISSION_DENIED:
                return None
            raise Unavailable("messaging did not answer") from error
        return MessageState(message.state)

    def open_inbox(self) -> Inbox:
        """Return the inbox of SIMs' answers, to be read once."""
        return Inbox(self._messaging)
