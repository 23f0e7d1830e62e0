"""The platform's end of SMPP for tests: smpplib, an implementation that is none of ours."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import smpplib.client
import smpplib.consts
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from phones.subscribers import Subscriber
from sms.applet import Answer, Question, Request, Status, read_answer, write_request
from sms.parts import (
    COMMAND_PACKET,
    RESPONSE_PACKET,
    Part,
    ShortMessage,
    join,
    read_part,
    split_packet,
)
from sms.secured_packets import Response, read_response, write_command

# Real time after which a test fails: nothing here takes a second.
TIMEOUT_SECONDS = 10
DIGEST = hashlib.sha256(b"contract 17").digest()
PASSWORD = "password"
NONCE = bytes.fromhex("a0a1a2a3a4a5a6a7")


@dataclass
class Esme:
    """One bound client. What it reads is kept in the order in which it came."""

    client: smpplib.client.Client
    # Answers to submit_sm: status and message id; and what was delivered: receipts and messages.
    answers: list[tuple[int, str]] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)
    messages: list[ShortMessage] = field(default_factory=list)
    # All of the above by kind, "answer", "receipt", "message".
    order: list[str] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    # The status to acknowledge messages with.
    acknowledge: int = 0

    @classmethod
    async def bind(
        cls,
        port: int,
        *,
        system_id: str = "platform",
        password: str = PASSWORD,
        tls: ssl.SSLContext | None = None,
        kind: str = "transceiver",
    ) -> Esme:
        """Connect and bind. Raises what smpplib raises."""
        client = smpplib.client.Client(
            "127.0.0.1",
            port,
            timeout=TIMEOUT_SECONDS,
            ssl_context=tls,
            allow_unknown_opt_params=True,
        )
        esme = cls(client)
        client.set_message_sent_handler(esme._answered)
        client.set_error_pdu_handler(esme._answered)
        client.set_message_received_handler(esme._received)

        def bind() -> None:
            client.connect()
            bind_as: Callable[..., object] = getattr(client, f"bind_{kind}")
            bind_as(system_id=system_id, password=password)

        try:
            await asyncio.to_thread(bind)
        except Exception:
            client.disconnect()
            raise
        return esme

    def _answered(self, pdu: Any) -> None:
        self.order.append("answer")
        self.answers.append((pdu.status, (getattr(pdu, "message_id", b"") or b"").decode()))

    def _received(self, pdu: Any) -> int:
        if pdu.esm_class & smpplib.consts.SMPP_MSGTYPE_DELIVERYACK or pdu.esm_class & 0x04:
            self.order.append("receipt")
            self.receipts.append(pdu.short_message.decode())
            return 0
        self.order.append("message")
        self.sources.append((pdu.source_addr.decode(), pdu.destination_addr.decode()))
        self.messages.append(
            ShortMessage(
                pdu.short_message,
                bool(pdu.esm_class & 0x40),
                pdu.protocol_id or 0,
                pdu.data_coding,
            )
        )
        return self.acknowledge

    def submit(self, number: str, message: ShortMessage, **more: Any) -> None:
        self.client.send_message(
            source_addr_ton=6,
            source_addr_npi=1,
            source_addr="1414",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=number.removeprefix("+"),
            short_message=message.user_data,
            esm_class=0x40 if message.has_header else 0,
            protocol_id=message.protocol_id,
            data_coding=message.data_coding,
            registered_delivery=more.pop("registered_delivery", 1),
            **more,
        )

    async def read(self, count: int) -> None:
        """Read so many PDUs."""

        def read() -> None:
            for _ in range(count):
                self.client.read_once(auto_send_enquire_link=False)

        await asyncio.to_thread(read)

    async def read_until(self, done: Callable[[], bool]) -> None:
        while not done():
            await self.read(1)

    async def settle(self) -> None:
        """Read everything that the SMSC has sent by now: its answer to an enquire_link is last."""
        from smpplib import smpp

        def settle() -> None:
            pdu = smpp.make_pdu("enquire_link", client=self.client)
            self.client.send_pdu(pdu)
            while True:
                read = self.client.read_pdu()
                if read.command == "enquire_link_resp":
                    return
                if read.command == "deliver_sm":
                    self.client._message_received(read)
                else:
                    self._answered(read)

        await asyncio.to_thread(settle)

    def close(self) -> None:
        self.client.state = smpplib.consts.SMPP_CLIENT_STATE_OPEN
        self.client.disconnect()


@dataclass
class Platform:
    """What signing does with a SIM: asks, and judges what comes back."""

    esme: Esme
    counters: dict[str, int] = field(default_factory=dict)

    def ask(
        self,
        subscriber: Subscriber,
        text: str = "Bank: contract 17",
        *,
        question: Question = Question.SIGN,
        counter: int | None = None,
        mac_key: bytes | None = None,
        **more: Any,
    ) -> int:
        """Send a request; return its counter."""
        number = subscriber.number
        counter = counter or self.counters.get(number, 0) + 1
        self.counters[number] = counter
        data = write_request(Request(DIGEST, text, NONCE, question))
        packet = write_command(counter, data, mac_key or subscriber.sim.mac_key)
        for message in split_packet(packet, COMMAND_PACKET, counter % 256):
            self.esme.submit(number, message, **more)
        return counter

    def responses(self, subscriber: Subscriber) -> list[Response]:
        """The responses that have come, each joined from its parts and authentic."""
        found, open_parts = [], list[Part]()
        for message in self.esme.messages:
            open_parts.append(read_part(message))
            whole = join(open_parts)
            if whole is not None:
                assert whole.packet == RESPONSE_PACKET
                found.append(read_response(whole.data, subscriber.sim.mac_key))
                open_parts.clear()
        return found

    def answers(self, subscriber: Subscriber) -> list[Answer]:
        return [read_answer(each.data) for each in self.responses(subscriber)]


def verifies(answer: Answer, subscriber: Subscriber, digest: bytes = DIGEST) -> bool:
    """Whether an answer's signature is over the digest, by the SIM's key."""
    assert answer.status is Status.SIGNED
    numbers = (
        int.from_bytes(half, "big") for half in (answer.signature[:32], answer.signature[32:])
    )
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    public_key = subscriber.sim.key.public_key()
    try:
        public_key.verify(utils.encode_dss_signature(*numbers), digest, algorithm)
    except Exception:
        return False
    return True
