"""A messaging service in this process, over a real database and the tests' SMSC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qagazsyz.common.v1 import access_pb2
from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.main import Parts, build
from services.messaging.privacy.vault import Vault
from services.messaging.servicer import MessagingServicer
from services.messaging.settings import MessagingSettings
from services.messaging.smpp.link import Step, no_step
from services.messaging.smpp.session import Account
from services.messaging.smpp.smpp_link import Pace, SmppLink
from services.runtime.clock import Clock, system_clock, system_randomness, uuid7
from services.runtime.concurrency.housekeeping import in_background
from services.runtime.sealing import SecretKey
from services.runtime.server import Call
from services.runtime.storage.database import Database
from tests.calls import call
from tests.smsc import Smsc

PHONE = "+77010000001"
OTHER_PHONE = "+77010000002"
# Fast enough for tests; the link says what each is.
PACE = Pace(first_pause=0.01, last_pause=0.05, enquire_link=30.0, answer=30.0)


def vault() -> Vault:
    return Vault(SecretKey("lookup", b"l" * 32), SecretKey("message", b"m" * 32))


def settings(**changes: Any) -> MessagingSettings:
    values: dict[str, Any] = {"folder": Path("/nowhere"), "smpp_rate": 10_000.0, **changes}
    return MessagingSettings(**values)


def account(smsc: Smsc, **changes: Any) -> Account:
    return Account("127.0.0.1", smsc.port, "platform", smsc.password, **changes)


@dataclass
class Service:
    """The parts of a service, and its servicer."""

    database: Database
    parts: Parts
    servicer: MessagingServicer

    async def send(self, service: str = "signing", **fields: Any) -> messages_pb2.Message:
        return await self.servicer.SendMessage(send_request(**fields), caller(service))

    async def get(self, name: str, service: str = "signing") -> messages_pb2.Message:
        request = messages_pb2.GetMessageRequest(name=name)
        return await self.servicer.GetMessage(request, caller(service))

    async def until(self, name: str, state: messages_pb2.MessageState) -> messages_pb2.Message:
        """Wait until the message has the state, and return it."""
        async with asyncio.timeout(20):
            while (message := await self.get(name)).state != state:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return message


def send_request(**fields: Any) -> messages_pb2.SendMessageRequest:
    if "binary" not in fields:
        fields.setdefault("text", "Сәлем")
    fields.setdefault("phone", PHONE)
    fields.setdefault("request_id", str(uuid7(system_clock(), system_randomness)))
    fields.setdefault("priority", messages_pb2.MESSAGE_PRIORITY_OWN)
    return messages_pb2.SendMessageRequest(**fields)


def caller(service: str) -> Call:
    expires = system_clock().timestamp() + 600
    return call(f"services/{service}", "", access_pb2.ROLE_SERVICE, expire_time=expires)


def make_service(database: Database, *, clock: Clock = system_clock, **changes: Any) -> Service:
    """Make a service over the database; changes are of the settings, and `step`."""
    step: Step = changes.pop("step", no_step)
    parts = build(settings(**changes), database=database, vault=vault(), clock=clock, step=step)
    servicer = MessagingServicer(
        database=database,
        acceptance=parts.acceptance,
        sender=parts.sender,
        arrivals=parts.arrivals,
        source="1414",
        clock=clock,
        step=step,
    )
    return Service(database, parts, servicer)


@asynccontextmanager
async def linked(
    service: Service, smsc: Smsc, *, pace: Pace = PACE, step: Step = no_step, **changes: Any
) -> AsyncIterator[SmppLink]:
    """Run the service's sender and its link to the SMSC during the block."""
    await service.parts.sender.recover()
    link = SmppLink(
        account(smsc, **changes),
        service.parts,
        loop=asyncio.get_running_loop(),
        pace=pace,
        step=step,
    )
    async with in_background(service.parts.sender.run(link)):
        link.start()
        try:
            yield link
        finally:
            await link.stop()
    await service.parts.sender.finish()


class Stream:
    """A stream of ReceiveMessages, as a reader has it."""

    def __init__(self, service: Service, inbox: messages_pb2.Inbox, name: str) -> None:
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        first = messages_pb2.ReceiveMessagesRequest(inbox=inbox)
        self._requests.put_nowait(first.SerializeToString())
        self._responses = service.servicer.ReceiveMessages(self._read(), caller(name))

    async def _read(self) -> AsyncIterator[bytes]:
        while (data := await self._requests.get()) is not None:
            yield data

    async def next(self) -> messages_pb2.ReceivedMessage:
        async with asyncio.timeout(20):
            return await self.next_forever()

    async def next_forever(self) -> messages_pb2.ReceivedMessage:
        return messages_pb2.ReceivedMessage.FromString(await anext(self._responses))

    def acknowledge(self, message_id: str) -> None:
        request = messages_pb2.ReceiveMessagesRequest(acknowledged=message_id)
        self._requests.put_nowait(request.SerializeToString())

    async def close(self) -> None:
        """End the stream as a reader does that has no more to say."""
        self._requests.put_nowait(None)
        async for _ in self._responses:
            pass
