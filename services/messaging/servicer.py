"""MessagingService: services send short messages, and read what phones sent.

A service sees the messages that it sent itself, and the inbox that is its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.inbox.arrivals import Arrivals
from services.messaging.inbox.messages import received_message
from services.messaging.inbox.reading import Reader
from services.messaging.inbox.requests import parse_acknowledged, parse_inbox
from services.messaging.inbox.rules import READERS
from services.messaging.outbox import store
from services.messaging.outbox.accepting import Acceptance
from services.messaging.outbox.messages import message_message
from services.messaging.outbox.requests import parse_send, without_personal_data
from services.messaging.outbox.rules import parse_name
from services.messaging.outbox.sending import Sender
from services.messaging.smpp.link import Step, no_step
from services.messaging.tables import requests as kept_requests
from services.runtime.clock import Clock
from services.runtime.errors import InvalidArgument, PermissionDenied, Unauthenticated
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore

# A stream ends this long after its caller's token expired.
STREAM_GRACE_SECONDS = 3_600.0


class MessagingServicer:
    """Serves qagazsyz.messaging.v1.MessagingService."""

    def __init__(
        self,
        *,
        database: Database,
        acceptance: Acceptance,
        sender: Sender,
        arrivals: Arrivals,
        source: str,
        clock: Clock,
        step: Step = no_step,
    ) -> None:
        """source: the short number or name that messages come from by default."""
        self._database = database
        self._acceptance = acceptance
        self._sender = sender
        self._arrivals = arrivals
        self._source = source
        self._clock = clock
        self._step = step
        self._idempotency = IdempotencyStore(kept_requests, database, clock)

    async def SendMessage(
        self, request: messages_pb2.SendMessageRequest, call: Call
    ) -> messages_pb2.Message:
        now = self._clock()
        parsed = parse_send(request, source=self._source, now=now)
        service = call.caller.service

        async def work(connection: AsyncConnection) -> messages_pb2.Message:
            message_id = await self._acceptance.accept(
                connection,
                parsed.letter,
                service=service,
                priority=parsed.priority,
                source=parsed.source,
                expire_time=parsed.expire_time,
                now=now,
            )
            return messages_pb2.Message(name=f"messages/{message_id}")

        kept = await self._idempotency.run_once(
            work,
            request=without_personal_data(request, self._acceptance.vault),
            scope=call.caller.scope,
            response_type=messages_pb2.Message,
        )
        self._sender.wake()
        return await self._message(parse_name(kept.name), service)

    async def GetMessage(
        self, request: messages_pb2.GetMessageRequest, call: Call
    ) -> messages_pb2.Message:
        return await self._message(parse_name(request.name), call.caller.service)

    async def ReceiveMessages(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncIterator[bytes]:
        first = await anext(requests, None)
        if first is None:
            raise InvalidArgument("inbox", "is required")
        inbox = parse_inbox(first)
        if READERS[inbox] != call.caller.service:
            raise PermissionDenied()
        reader = Reader(
            inbox,
            database=self._database,
            vault=self._acceptance.vault,
            clock=self._clock,
            step=self._step,
        )
        async with reader.subscribed(self._arrivals):
            acknowledging = asyncio.create_task(_acknowledge(requests, reader))
            leasing = asyncio.create_task(reader.next())
            try:
                while True:
                    left = (
                        call.caller.expire_time + STREAM_GRACE_SECONDS - self._clock().timestamp()
                    )
                    await asyncio.wait(
                        {acknowledging, leasing},
                        return_when=asyncio.FIRST_COMPLETED,
                        timeout=max(left, 0.0),
                    )
                    if acknowledging.done():
                        # The reader has no more to say, or said something wrong.
                        acknowledging.result()
                        return
                    if not leasing.done():
                        raise Unauthenticated("the token expired an hour ago")
                    for received, letter in leasing.result():
                        yield received_message(received, letter).SerializeToString()
                    leasing = asyncio.create_task(reader.next())
            finally:
                acknowledging.cancel()
                leasing.cancel()
                await asyncio.gather(acknowledging, leasing, return_exceptions=True)

    async def _message(self, message_id: str, service: str) -> messages_pb2.Message:
        """Return a message of the service's own. Raises PermissionDenied."""
        async with self._database.reading() as connection:
            message = await store.find_message(connection, message_id)
        if message is None or message.service != service:
            raise PermissionDenied()
        return message_message(message)


async def _acknowledge(requests: AsyncIterator[bytes], reader: Reader) -> None:
    """End what the stream's requests name, until it has no more."""
    async for data in requests:
        await reader.acknowledge([parse_acknowledged(data)])
