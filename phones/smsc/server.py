"""An SMSC (SMPP 3.4) for the platform to bind to: takes its messages, gives it those of phones.

Each connection is one task that reads PDUs; what goes out is written by whoever has it. A phone's
message stays in the queue until the platform has acknowledged it, in order, and goes again after
a connection is lost, so that the platform may lose none: an SMSC does the same.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import ssl
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from phones.clock import NetworkClock
from phones.handset import Delivery, ToPhone
from phones.network import Network
from phones.record import Record
from phones.smsc.faults import Faults
from phones.smsc.pdus import (
    GENERIC_NACK,
    HAS_USER_DATA_HEADER,
    Address,
    CommandId,
    CommandStatus,
    MalformedPdu,
    MessageBody,
    Pdu,
    expiry,
    parse_bind,
    parse_message,
    read_pdu,
)
from phones.smsc.receipts import write_receipt
from sms.parts import ShortMessage

# A message without a validity period.
DEFAULT_VALIDITY = timedelta(days=3)
# Phones' messages that are with the platform at once, on one connection.
WINDOW = 10
# Until a message that the platform could not take now goes again.
RETRY_SECONDS = 5.0
# What the platform may answer so: try again later. ESME_RX_T_APPN is 64.
_TEMPORARY = {CommandStatus.SYSTEM_ERROR, CommandStatus.QUEUE_FULL, CommandStatus.THROTTLED, 0x64}
_INTERNATIONAL, _ISDN, _ABBREVIATED = 1, 1, 6
_BINDS = {CommandId.BIND_RECEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_TRANSCEIVER}
# registered_delivery, bits 1 and 0 (SMPP 3.4, section 5.2.17): none, always, on failure only.
_RECEIPT_ALWAYS, _RECEIPT_ON_FAILURE = 1, 2


@dataclass(frozen=True, slots=True)
class Account:
    """Who may bind."""

    system_id: str
    password: str


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A message for the platform: a phone's, or a receipt (serial 0)."""

    serial: int
    number: str
    body: MessageBody


class _Session:
    """One connection: what it is bound as, and what it has not acknowledged yet."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.bound: int | None = None
        self.unacknowledged: dict[int, _Incoming] = {}
        self._sequences = itertools.count(1)

    @property
    def may_send(self) -> bool:
        return self.bound in (CommandId.BIND_TRANSMITTER, CommandId.BIND_TRANSCEIVER)

    @property
    def has_room(self) -> bool:
        receives = self.bound in (CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER)
        is_full = len(self.unacknowledged) >= WINDOW
        return receives and not is_full and not self.writer.is_closing()

    def write(self, pdu: Pdu) -> None:
        self.writer.write(pdu.encode())

    def deliver(self, message: _Incoming) -> None:
        sequence = next(self._sequences)
        self.unacknowledged[sequence] = message
        self.write(Pdu(CommandId.DELIVER_SM, 0, sequence, message.body.encode()))


class Smsc:
    """The server. faults may be changed while it runs."""

    def __init__(
        self, network: Network, clock: NetworkClock, record: Record, account: Account
    ) -> None:
        self.faults = Faults()
        self._network = network
        self._clock = clock
        self._record = record
        self._account = account
        self._server: asyncio.Server | None = None
        self._sessions: list[_Session] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._queue: deque[_Incoming] = deque()
        self._serials = itertools.count(1)
        self._ids = itertools.count(1)
        # The second that rate counts in, and how many came in it.
        self._second: datetime | None = None
        self._in_second = 0
        network.connect(self._from_phone)

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen, and return the port; 0 takes a free one. Raises OSError."""
        self._server = await asyncio.start_server(self._connected, host, port, ssl=tls)
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def stop(self) -> None:
        """Close the listener and all connections. What no one has acknowledged is lost."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    # --- a connection -----------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer)
        self._sessions.append(session)
        try:
            while not writer.is_closing():
                self._handle(session, await read_pdu(reader))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the platform is gone
        except MalformedPdu:
            # Where the next one begins cannot be known: say so and close.
            session.write(Pdu(GENERIC_NACK, CommandStatus.INVALID_COMMAND_LENGTH, 0))
        finally:
            self._sessions.remove(session)
            self._queue.extendleft(reversed(session.unacknowledged.values()))
            writer.close()
            self._pump()

    def _handle(self, session: _Session, pdu: Pdu) -> None:
        if pdu.is_answer:
            self._acknowledged(session, pdu)
        elif pdu.command in _BINDS:
            self._bind(session, pdu)
        elif pdu.command == CommandId.ENQUIRE_LINK:
            if not self.faults.mute:
                session.write(pdu.answer())
        elif pdu.command == CommandId.UNBIND:
            session.bound = None
            session.write(pdu.answer())
        elif pdu.command == CommandId.SUBMIT_SM:
            self._submit(session, pdu)
        else:
            session.write(Pdu(GENERIC_NACK, CommandStatus.INVALID_COMMAND_ID, pdu.sequence))

    def _bind(self, session: _Session, pdu: Pdu) -> None:
        bind = parse_bind(pdu.body)
        status = CommandStatus.OK
        if session.bound is not None:
            status = CommandStatus.ALREADY_BOUND
        elif self.faults.use("refuse_bind") or bind.system_id != self._account.system_id:
            status = CommandStatus.BIND_FAILED
        elif not hmac.compare_digest(bind.password.encode(), self._account.password.encode()):
            status = CommandStatus.INVALID_PASSWORD
        if status is not CommandStatus.OK:
            session.write(pdu.answer(status))
            return
        session.bound = pdu.command
        session.write(pdu.answer(body=b"qagazsyz-phones\x00"))
        self._pump()

    # --- from the platform ------------------------------------------------------------------------

    def _submit(self, session: _Session, pdu: Pdu) -> None:
        body = parse_message(pdu.body)
        number = _number(body.destination)
        status, expire_time = self._verdict(session, body)
        if status is not CommandStatus.OK:
            self._record.add("refused", number=number, status=int(status), user_data=body.user_data)
            session.write(pdu.answer(status))
            return
        message_id = next(self._ids)
        self._record.add(
            "submitted",
            id=message_id,
            number=number,
            status=0,
            user_data=body.user_data,
            esm_class=body.esm_class,
            data_coding=body.data_coding,
        )
        message = ToPhone(
            number=number,
            source=body.source.address,
            message=ShortMessage(
                user_data=body.user_data,
                has_header=bool(body.esm_class & HAS_USER_DATA_HEADER),
                protocol_id=body.protocol_id,
                data_coding=body.data_coding,
            ),
            expire_time=expire_time,
            report=partial(self._report, message_id, body, self._clock.now()),
        )
        answer = pdu.answer(body=f"{message_id:X}".encode() + b"\x00")
        if self.faults.use("drop_answer"):
            session.writer.close()
            self._network.deliver(message)
        elif self.faults.early_receipts:
            self._network.deliver(message)
            session.write(answer)
        else:
            session.write(answer)
            self._network.deliver(message)

    def _verdict(self, session: _Session, body: MessageBody) -> tuple[CommandStatus, datetime]:
        """Whether a message is taken, and until when it is tried."""
        now = self._clock.now()
        if not session.may_send:
            return CommandStatus.INCORRECT_BIND_STATUS, now
        if not body.destination.address:
            return CommandStatus.INVALID_DESTINATION, now
        if self.faults.use("throttle") or self._is_over_rate(now):
            return CommandStatus.THROTTLED, now
        if self.faults.use("queue_full"):
            return CommandStatus.QUEUE_FULL, now
        try:
            return CommandStatus.OK, expiry(body.validity_period, now, DEFAULT_VALIDITY)
        except MalformedPdu:
            return CommandStatus.INVALID_EXPIRY, now

    def _is_over_rate(self, now: datetime) -> bool:
        second = now.replace(microsecond=0)
        if second != self._second:
            self._second, self._in_second = second, 0
        if self.faults.rate and self._in_second >= self.faults.rate:
            return True
        self._in_second += 1
        return False

    def _report(
        self, message_id: int, body: MessageBody, submitted: datetime, delivery: Delivery
    ) -> None:
        number = _number(body.destination)
        self._record.add(delivery.value, id=message_id, number=number)
        asked = body.registered_delivery & 0x03
        failed = delivery is not Delivery.DELIVERED
        if self.faults.no_receipts or not (
            asked == _RECEIPT_ALWAYS or (asked == _RECEIPT_ON_FAILURE and failed)
        ):
            return
        shown = f"{message_id:d}" if self.faults.decimal_receipts else f"{message_id:X}"
        receipt = write_receipt(shown, body, delivery, submitted, self._clock.now())
        incoming = _Incoming(0, number, receipt)
        self._clock.call_after(self.faults.late_receipts, lambda: self._enqueue(incoming))

    # --- to the platform --------------------------------------------------------------------------

    def _from_phone(self, number: str, destination: str, message: ShortMessage) -> None:
        body = MessageBody(
            source=Address(_INTERNATIONAL, _ISDN, number.removeprefix("+")),
            destination=Address(_ABBREVIATED, _ISDN, destination),
            esm_class=HAS_USER_DATA_HEADER if message.has_header else 0,
            protocol_id=message.protocol_id,
            data_coding=message.data_coding,
            short_message=message.user_data,
        )
        serial = next(self._serials)
        self._record.add(
            "sent",
            serial=serial,
            number=number,
            destination=destination,
            user_data=message.user_data,
        )
        incoming = _Incoming(serial, number, body)
        for _ in range(2 if self.faults.use("double") else 1):
            self._enqueue(incoming)

    def _enqueue(self, incoming: _Incoming) -> None:
        self._queue.append(incoming)
        self._pump()

    def _pump(self) -> None:
        """Give the platform what waits, as far as its windows allow."""
        while self._queue:
            session = next((each for each in self._sessions if each.has_room), None)
            if session is None:
                return
            session.deliver(self._queue.popleft())

    def _acknowledged(self, session: _Session, pdu: Pdu) -> None:
        incoming = session.unacknowledged.pop(pdu.sequence, None)
        if incoming is None:
            return
        if pdu.status in _TEMPORARY:
            self._clock.call_after(RETRY_SECONDS, lambda: self._enqueue(incoming))
        elif incoming.serial and pdu.status == CommandStatus.OK:
            self._record.add("acknowledged", serial=incoming.serial, number=incoming.number)
        elif incoming.serial:
            self._record.add(
                "rejected", serial=incoming.serial, number=incoming.number, status=pdu.status
            )
        self._pump()


def _number(address: Address) -> str:
    """Return an address as E.164, where it is a number."""
    digits = address.address.removeprefix("+")
    return f"+{digits}" if digits.isdecimal() else address.address
