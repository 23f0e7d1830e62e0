"""A small SMSC for tests (SMPP 3.4), which records what it takes and is told what to answer.

It shares no code with the service: PDUs are packed and read here by hand.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HEADER = struct.Struct(">LLLL")
RESPONSE = 0x80000000
GENERIC_NACK, SUBMIT_SM, DELIVER_SM = RESPONSE, 0x04, 0x05
UNBIND, BIND_TRANSCEIVER, ENQUIRE_LINK = 0x06, 0x09, 0x15
OK, THROTTLED, QUEUE_FULL, BAD_DESTINATION, SYSTEM_ERROR, BIND_FAILED = 0, 0x58, 0x14, 0x0B, 8, 0x0D
ROUNDS_SECONDS = 20.0


@dataclass(frozen=True)
class Submitted:
    """A submit_sm that came."""

    source: str
    destination: str
    esm_class: int
    protocol_id: int
    validity_period: str
    data_coding: int
    user_data: bytes

    @classmethod
    def read(cls, body: bytes) -> Submitted:
        strings: list[bytes] = []
        place = 0

        def string() -> bytes:
            nonlocal place
            end = body.index(b"\0", place)
            value, place = body[place:end], end + 1
            strings.append(value)
            return value

        def octet() -> int:
            nonlocal place
            place += 1
            return body[place - 1]

        string()
        octet(), octet()
        source = string()
        octet(), octet()
        destination = string()
        esm_class, protocol_id, _ = octet(), octet(), octet()
        string()
        validity = string()
        _, _, data_coding, _, length = octet(), octet(), octet(), octet(), octet()
        user_data = body[place : place + length]
        assert len(user_data) == length
        return cls(
            source.decode(),
            destination.decode(),
            esm_class,
            protocol_id,
            validity.decode(),
            data_coding,
            user_data,
        )


@dataclass(frozen=True)
class Delivery:
    """A deliver_sm that is sent again until it is acknowledged."""

    source: str
    destination: str
    user_data: bytes
    data_coding: int = 0
    esm_class: int = 0
    parameters: bytes = b""

    def body(self) -> bytes:
        return b"".join(
            (
                b"\0\1\1" + self.source.encode() + b"\0",
                b"\3\0" + self.destination.encode() + b"\0",
                bytes([self.esm_class, 0, 0]) + b"\0\0",
                bytes([0, 0, self.data_coding, 0, len(self.user_data)]) + self.user_data,
                self.parameters,
            )
        )


Answering = Callable[[Submitted], Awaitable[int | None]]


async def take_all(_submitted: Submitted) -> int | None:
    return OK


@dataclass
class Smsc:
    """Everything that happened at the SMSC, and what it is to do."""

    password: str = "secret"
    # Status of the answer to a submit_sm; None answers nothing.
    answering: Answering = take_all
    answers_enquiries: bool = True
    port: int = 0
    taken: list[Submitted] = field(default_factory=list)
    # Deliveries that were acknowledged, and how often each was sent.
    acknowledged: list[Delivery] = field(default_factory=list)
    refused: list[tuple[Delivery, int]] = field(default_factory=list)
    sent: dict[Delivery, int] = field(default_factory=dict)
    binds: int = 0
    enquiries: int = 0
    unbinds: int = 0
    events: list[str] = field(default_factory=list)
    _waiting: list[Delivery] = field(default_factory=list)
    _sessions: set[_Session] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def deliver(self, *deliveries: Delivery) -> None:
        """Deliver to the service, now or at its next bind, until it is acknowledged."""
        self._waiting += deliveries
        for session in self._sessions:
            session.flush()

    async def until(self, condition: Callable[[], bool], seconds: float = ROUNDS_SECONDS) -> None:
        """Wait until the condition holds, looked at after everything that happens."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def changed(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def drop(self) -> None:
        """Break all connections."""
        for session in list(self._sessions):
            session.writer.transport.abort()

    def receipts(self, *texts: tuple[str, str]) -> Iterable[Delivery]:
        """Delivery receipts of (phone without plus, text)."""
        return [Delivery(phone, "1414", text.encode(), esm_class=0x04) for phone, text in texts]


class _Session:
    def __init__(self, smsc: Smsc, writer: asyncio.StreamWriter) -> None:
        self.smsc = smsc
        self.writer = writer
        self.is_bound = False
        self.sequence = 0
        self.unacknowledged: dict[int, Delivery] = {}

    def send(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self.writer.write(HEADER.pack(16 + len(body), command, status, sequence) + body)

    def flush(self) -> None:
        """Send what waits and is not under way, one after the other as phones' messages come."""
        if not self.is_bound:
            return
        for delivery in self.smsc._waiting:
            if delivery in self.unacknowledged.values():
                continue
            self.sequence += 1
            self.unacknowledged[self.sequence] = delivery
            self.smsc.sent[delivery] = self.smsc.sent.get(delivery, 0) + 1
            self.send(DELIVER_SM, OK, self.sequence, delivery.body())

    async def handle(self, command: int, status: int, sequence: int, body: bytes) -> bool:
        smsc = self.smsc
        if command == BIND_TRANSCEIVER:
            _, password, *_ = body.split(b"\0")
            smsc.binds += 1
            if password.decode() != smsc.password:
                self.send(command | RESPONSE, BIND_FAILED, sequence)
                return False
            self.send(command | RESPONSE, OK, sequence, b"smsc\0")
            self.is_bound = True
            self.flush()
        elif command == SUBMIT_SM:
            submitted = Submitted.read(body)
            answer = await smsc.answering(submitted)
            if answer == OK:
                smsc.taken.append(submitted)
            if answer is not None:
                identifier = f"{len(smsc.taken):x}".encode() + b"\0" if answer == OK else b""
                self.send(command | RESPONSE, answer, sequence, identifier)
        elif command == DELIVER_SM | RESPONSE:
            delivery = self.unacknowledged.pop(sequence)
            if status == OK:
                smsc._waiting.remove(delivery)
                smsc.acknowledged.append(delivery)
                # An equal one may have waited for this.
                self.flush()
            else:
                smsc.refused.append((delivery, status))
                if status != 0x64:
                    smsc._waiting.remove(delivery)
                else:
                    self.flush()
        elif command == ENQUIRE_LINK:
            smsc.enquiries += 1
            if smsc.answers_enquiries:
                self.send(command | RESPONSE, OK, sequence)
        elif command == UNBIND:
            smsc.unbinds += 1
            self.send(command | RESPONSE, OK, sequence)
        return True

    async def run(self, reader: asyncio.StreamReader) -> None:
        while True:
            head = await reader.readexactly(16)
            length, command, status, sequence = HEADER.unpack(head)
            body = await reader.readexactly(length - 16)
            goes_on = await self.handle(command, status, sequence, body)
            await self.writer.drain()
            await self.smsc.changed()
            if not goes_on:
                return


@asynccontextmanager
async def running(smsc: Smsc, tls: ssl.SSLContext | None = None) -> AsyncIterator[Smsc]:
    """Run the SMSC on a free port of the loopback during the block."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(smsc, writer)
        smsc._sessions.add(session)
        try:
            await session.run(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            smsc._sessions.discard(session)
            writer.close()
            await smsc.changed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    smsc.port = server.sockets[0].getsockname()[1]
    try:
        yield smsc
    finally:
        smsc.drop()
        server.close()
