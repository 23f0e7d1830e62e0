"""The demo's mobile network: the simulator in this process, and a phone that one has in hand."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.operations.phones import (
    ACCOUNT,
    PASSWORD_RANDOM_BYTES,
    SYSTEM_ID,
    TRANSPORT_KEY,
)
from cli.output import write_secret
from phones.clock import NetworkClock
from phones.dialogues import Dialogue, Step, WrongKey
from phones.network import Network
from phones.record import Record
from phones.smsc.server import Account, Smsc
from phones.subscribers import TRANSPORT_KEY_OCTETS, Subscriber, new_sim, new_subscribers
from services.runtime.clock import system_clock
from sms.applet import Status
from testing.phone_network import HOST, smpp_settings

FIRST_NUMBER = "+77010001000"
# How the first choice of a question stands on a screen of any size.
FIRST_CHOICE = "│1 "


@dataclass(frozen=True, slots=True)
class MobileNetwork:
    """A running network. settings: of a suite that is to use it, by environment variable."""

    network: Network
    # They sign: on screens of 1×16, 2×16, 8×20, in Kazakh, Russian, English.
    subscribers: Sequence[Subscriber]
    transport_key: bytes
    settings: Mapping[str, str]

    def take(self, subscriber: Subscriber) -> PhoneInHand:
        """Take a phone in hand: it does not answer the next request by itself."""
        return PhoneInHand(self.network, subscriber)

    def swap_sim(self, subscriber: Subscriber) -> None:
        """Put another SIM into a subscriber's phone."""
        self.network.swap_sim(subscriber.number, new_sim(secrets.token_bytes))


class PhoneInHand:
    """A phone that answers one request by hand: its holder reads every page before they press a
    key. screens: all that they have seen, in order, as the phone draws them."""

    def __init__(self, network: Network, subscriber: Subscriber) -> None:
        self._network = network
        self._phone = network.phone(subscriber.number)
        self._changed = asyncio.Event()
        self.screens: list[str] = []
        subscriber.answers = "by hand"
        self._phone.changed = self._changed.set

    async def read(self) -> str:
        """Wait for a request, turn its pages until the PIN is asked for, and return all that they
        say."""
        while self._phone.dialogue is None:
            self._changed.clear()
            await self._changed.wait()
        dialogue = self._dialogue
        text = dialogue.text
        while dialogue.step is Step.READING:
            self._look()
            self._press(Dialogue.ok)
        self._look()
        return text

    def agree(self) -> None:
        """Type the PIN, read the question to its first choice, and choose that: yes. Put the phone
        down."""
        pin = self._phone.subscriber.sim.pin
        self._press(lambda each: each.enter_pin(pin))
        self._look()
        while FIRST_CHOICE not in self.screens[-1]:
            self._press(Dialogue.ok)
            self._look()
        self._press(lambda each: each.choose(Status.SIGNED))
        self._put_down()

    def cancel(self) -> None:
        """Press the key that ends the request, and put the phone down."""
        self._press(Dialogue.cancel)
        self._put_down()

    @property
    def _dialogue(self) -> Dialogue:
        if self._phone.dialogue is None:
            raise WrongKey("nothing is on the screen")
        return self._phone.dialogue

    def _put_down(self) -> None:
        self._phone.subscriber.answers = "by themselves"

    def _look(self) -> None:
        self.screens.append(self._dialogue.draw())

    def _press(self, key: Callable[[Dialogue], None]) -> None:
        self._network.press(self._phone, key)


@asynccontextmanager
async def running_network(folder: Path, people: int) -> AsyncIterator[MobileNetwork]:
    """Run a network on a free port during the block, with so many people who sign. folder: a new
    one, for the two secrets that it shares with the platform."""
    subscribers = new_subscribers(people, FIRST_NUMBER, secrets.token_bytes)[:people]
    transport_key, password = _share_secrets(folder)
    clock = NetworkClock(system_clock)
    record = Record(clock)
    network = Network(subscribers, clock, record)
    smsc = Smsc(network, clock, record, Account(SYSTEM_ID, password))
    port = await smsc.start(HOST, 0)
    try:
        yield MobileNetwork(network, subscribers, transport_key, smpp_settings(folder, port))
    finally:
        await smsc.stop()


def _share_secrets(folder: Path) -> tuple[bytes, str]:
    """Make the transport key and the platform's password at the SMSC; write both to the folder."""
    transport_key = secrets.token_bytes(TRANSPORT_KEY_OCTETS)
    password = secrets.token_urlsafe(PASSWORD_RANDOM_BYTES)
    folder.mkdir(mode=0o700)
    write_secret(folder / TRANSPORT_KEY, transport_key.hex().encode() + b"\n")
    write_secret(folder / ACCOUNT, password.encode() + b"\n")
    return transport_key, password
