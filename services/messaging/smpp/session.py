"""One SMPP 3.4 session by smpplib: connect with TLS, bind, and read whole PDUs without waiting.

smpplib makes and parses the PDUs. What it does on the socket is replaced here: it knows no IPv6 and
no host name for TLS, takes a PDU of any length, and loses its place where a PDU comes in two pieces
with a pause between them. It also parses strings without an end: a PDU's lengths are checked first.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from smpplib import command_codes, smpp
from smpplib.client import Client
from smpplib.consts import SMPP_CLIENT_STATE_OPEN, STATE_SETTERS
from smpplib.exceptions import ConnectionError as SmppConnectionError
from smpplib.exceptions import PDUError, UnknownCommandError
from smpplib.pdu import PDU

# smpplib logs whole PDUs, in which numbers and texts stand: nothing of it is ever logged.
_SILENT = "qagazsyz.smpplib"
logging.getLogger(_SILENT).disabled = True

HEADER_BYTES = 16
# A message_payload of 64 KiB and all other parameters.
PDU_LIMIT_BYTES = 70 * 1024
_READ_BYTES = 64 * 1024
# deliver_sm, SMPP 3.4, section 4.6.1: "s" is a string that ends with zero, a digit so many octets.
_DELIVER_SM = "s11s11s111ss11111"


class Lost(Exception):
    """The connection cannot be had or is gone; the message holds no personal data."""


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """Where the SMSC is and how one signs in; without a context, no TLS."""

    host: str
    port: int
    system_id: str
    password: str
    system_type: str = ""
    tls: ssl.SSLContext | None = None
    # For connecting, binding and sending.
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True, repr=False)
class Raw:
    """A PDU that smpplib has not seen."""

    command: int
    status: int
    sequence: int
    data: bytes

    @property
    def name(self) -> str:
        """Return smpplib's name of the command, "" if it has none."""
        try:
            return str(command_codes.get_command_name(self.command))
        except UnknownCommandError:
            return ""


class Session(Client):  # type: ignore[misc]  # it comes without types
    """A connection that is bound as transceiver, from open() on."""

    def __init__(self, account: Account) -> None:
        super().__init__(
            account.host,
            account.port,
            timeout=account.timeout_seconds,
            logger_name=_SILENT,
            allow_unknown_opt_params=True,
        )
        self._account = account
        self._buffer = bytearray()

    @classmethod
    def open(cls, account: Account) -> Session:
        """Connect and bind. Raises Lost."""
        session = cls(account)
        try:
            session.connect()
            session.bind_transceiver(
                system_id=account.system_id,
                password=account.password,
                system_type=account.system_type,
            )
        except PDUError as error:
            session.close()
            raise Lost(f"the SMSC refused to bind: status {error.args[-1]}") from None
        except (OSError, SmppConnectionError, UnknownCommandError, struct.error) as error:
            session.close()
            raise Lost(type(error).__name__) from None
        except BaseException:
            session.close()
            raise
        return session

    def connect(self) -> None:
        """Connect, with TLS that checks the SMSC's name where the account has a context."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = self._account.tls
            self._socket = (
                plain if tls is None else tls.wrap_socket(plain, server_hostname=self.host)
            )
        except BaseException:
            plain.close()
            raise
        self.state = SMPP_CLIENT_STATE_OPEN

    def fileno(self) -> int:
        """Return the socket's descriptor, for select."""
        return int(self._socket.fileno())

    def receive(self) -> None:
        """Read what has come, without waiting. Raises Lost if the SMSC has closed."""
        self._socket.setblocking(False)
        try:
            while True:
                data = self._socket.recv(_READ_BYTES)
                if not data:
                    raise Lost("the SMSC closed the connection")
                self._buffer += data
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            raise Lost(type(error).__name__) from None
        finally:
            self._socket.settimeout(self.timeout)

    def pdus(self) -> Iterator[Raw]:
        """Take the whole PDUs out of what was read. Raises Lost for one that is too long."""
        while len(self._buffer) >= HEADER_BYTES:
            length, command, status, sequence = struct.unpack_from(">LLLL", self._buffer)
            if not HEADER_BYTES <= length <= PDU_LIMIT_BYTES:
                raise Lost(f"a PDU of {length} bytes")
            if len(self._buffer) < length:
                return
            data = bytes(self._buffer[:length])
            del self._buffer[:length]
            yield Raw(command, status, sequence, data)

    def parse(self, raw: Raw) -> PDU:
        """Have smpplib parse a PDU. Raises ValueError if it is malformed."""
        if raw.name == "deliver_sm":
            check_deliver_sm(raw.data[HEADER_BYTES:])
        try:
            return smpp.parse_pdu(raw.data, client=self, allow_unknown_opt_params=True)
        except Exception as error:  # smpplib raises whatever its parsing meets
            raise ValueError(type(error).__name__) from None

    def read_pdu(self) -> PDU:
        """Wait for the next PDU: for smpplib's own bind and unbind."""
        while True:
            for raw in self.pdus():
                if raw.name in STATE_SETTERS and not raw.status:
                    self.state = STATE_SETTERS[raw.name]
                return self.parse(raw)
            if not select.select([self], [], [], self.timeout)[0]:
                raise TimeoutError
            self.receive()

    def answer(self, name: str, raw: Raw, status: int = 0) -> None:
        """Answer a request of the SMSC."""
        response = smpp.make_pdu(name, client=self, status=status, sequence=raw.sequence)
        response.sequence = raw.sequence
        self.send_pdu(response)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self.disconnect()


def check_deliver_sm(body: bytes) -> None:
    """Raise ValueError unless all fields and parameters of a deliver_sm lie within it."""
    place = 0
    for field in _DELIVER_SM:
        if field == "s":
            place = body.index(b"\0", place) + 1
        else:
            place += int(field)
    if place > len(body):
        raise ValueError("a field beyond the end")
    # The last octet was sm_length.
    place += body[place - 1]
    while place < len(body):
        if place + 4 > len(body):
            raise ValueError("a parameter beyond the end")
        place += 4 + int.from_bytes(body[place + 2 : place + 4], "big")
    if place != len(body):
        raise ValueError("a field beyond the end")
