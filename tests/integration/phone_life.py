"""All that a phone is used for, once: what test_phones.py then looks for in the suite's files.

Names and texts are words that occur nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from phones.outcomes import Outcome
from phones.subscribers import Subscriber, read_subscribers
from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from qagazsyz.signing.v1 import mobile_signatures_pb2_grpc
from services.runtime.clients import open_channel
from testing.enrolment import Actor
from tests.integration.test_privacy import SOUGHT, forms
from tests.integration.test_tool import run
from tests.integration.world import TIMEOUT_SECONDS, World

MESSAGE = "Құпия Mlkjihg"
ASKED_TEXT = "жасырын сұрақ 17"
SENT_TEXT = "Жасырын хабар 1 1 2"
SHORT_NUMBER = "1414"
# Each ends the session in which a phone's SIM is asked for its key, and soon.
OUTCOMES = {
    Outcome.CANCELS: pb.MOBILE_SIGNATURE_OUTCOME_USER_CANCELLED,
    Outcome.BLOCKS_PIN: pb.MOBILE_SIGNATURE_OUTCOME_PIN_BLOCKED,
    Outcome.NO_KEY: pb.MOBILE_SIGNATURE_OUTCOME_NO_KEY,
    Outcome.SIGNS_WITH_ANOTHER_KEY: pb.MOBILE_SIGNATURE_OUTCOME_WRONG_SIGNATURE,
    Outcome.LOST: pb.MOBILE_SIGNATURE_OUTCOME_DELIVERY_FAILED,
}
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class RunningNetwork:
    """The simulated network: its folder, the port of its SMSC, its own record, its process."""

    folder: Path
    port: int
    record: Path
    process: subprocess.Popen[str]

    def subscribers(self, outcome: Outcome = Outcome.SIGNS) -> list[Subscriber]:
        listed = read_subscribers((self.folder / "subscribers.json").read_bytes())
        return [each for each in listed if each.outcome is outcome]

    def send(self, number: str, text: str) -> None:
        """Send a text from a phone to the platform's short number."""
        assert self.process.stdin is not None
        self.process.stdin.write(f'phone {number}\nsend {SHORT_NUMBER} "{text}"\nleave\n')
        self.process.stdin.flush()

    def has_acknowledged(self, text: str) -> bool:
        """Return whether the platform took a text, by the network's own record."""
        entries = [json.loads(line) for line in self.record.read_text().splitlines()]
        content = text.encode("utf-16-be").hex()
        serials = {each["serial"] for each in entries if each.get("user_data") == content}
        return any(
            each["event"] == "acknowledged" and each["serial"] in serials for each in entries
        )


@dataclass(frozen=True)
class Life:
    """A person whose phone everything is done with."""

    world: World
    network: RunningNetwork
    citizen: Actor

    @property
    def phones(self) -> phones_pb2_grpc.PhoneServiceAsyncStub:
        return phones_pb2_grpc.PhoneServiceStub(self.world.client(self.citizen).channel)

    async def bind(self, number: str) -> None:
        """Ask for a phone, whose SIM the platform then asks."""
        request = phones_pb2.BindPhoneRequest(subject=self.citizen.subject, number=number)
        await self.phones.BindPhone(request, timeout=TIMEOUT_SECONDS)

    async def numbers(self) -> list[str]:
        """Return the person's active phones' numbers."""
        request = phones_pb2.ListPhonesRequest(subject=self.citizen.subject)
        answer = await self.phones.ListPhones(request, timeout=TIMEOUT_SECONDS)
        active = phones_pb2.PHONE_STATE_ACTIVE
        return [phone.number for phone in answer.phones if phone.state == active]

    async def session_of(self, count: int) -> pb.MobileSignature:
        """Return the person's newest session once there are so many and it has ended."""
        channel = self.world.client(self.citizen).channel
        stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
        request = pb.ListMobileSignaturesRequest(subject=self.citizen.subject)
        found: list[pb.MobileSignature] = []

        async def has_ended() -> bool:
            answer = await stub.ListMobileSignatures(request, timeout=TIMEOUT_SECONDS)
            found[:] = answer.mobile_signatures
            return len(found) >= count and found[0].HasField("end_time")

        await until(has_ended)
        return found[0]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await condition():  # noqa: ASYNC110 - the condition is asked for
            await asyncio.sleep(LOOK_SECONDS)


async def live(life: Life, officer: Actor) -> list[bytes]:
    """Do all of it; return numbers and texts, as bytes that no file may have."""
    number = life.network.subscribers()[2].number
    words = [MESSAGE, ASKED_TEXT, SENT_TEXT]
    # Binding, by the phone's own signature.
    await life.bind(number)
    ended = await life.session_of(1)
    assert ended.state == pb.MOBILE_SIGNATURE_STATE_SIGNED
    assert await life.numbers() == [number]
    # A sign-in.
    gateway = ("--gateway", life.world.suite.gateway)
    signed_in = await asyncio.to_thread(
        run, "token", "--phone", number, "--iin", SOUGHT.iin, *gateway
    )
    assert signed_in.returncode == 0, signed_in.stderr
    # An organization asks.
    with signing_for(life.world, officer.organization) as address:
        asked = await ask(life.world, officer, address, life.citizen.subject)
    assert asked.state == pb.MOBILE_SIGNATURE_STATE_SIGNED, asked.outcome
    assert asked.display_text.endswith(ASKED_TEXT)
    # Outcomes: other phones, whose person, card or network says no. The first phone is told.
    count = 3
    for outcome, expected in OUTCOMES.items():
        other = life.network.subscribers(outcome)[0].number
        words.append(other[1:])
        await life.bind(other)
        count += 1
        ended = await life.session_of(count)
        assert ended.outcome == expected, (outcome, ended.outcome)
    # A text to the short number.
    life.network.send(number, SENT_TEXT)

    async def is_taken() -> bool:
        return life.network.has_acknowledged(SENT_TEXT)

    await until(is_taken)
    # A swap.
    operators = phones_pb2_grpc.PhoneServiceStub(life.world.client(life.world.operator).channel)
    swapped = phones_pb2.ReportSimSwapRequest(numbers=[number])
    await operators.ReportSimSwap(swapped, timeout=TIMEOUT_SECONDS)
    assert await life.numbers() == []
    return [form for word in (number[1:], *words) for form in forms(word)]


async def ask(world: World, officer: Actor, address: str, subject: str) -> pb.MobileSignature:
    """Return an organization's session with the person once it has ended."""
    headers = await world.headers(officer)
    metadata = tuple(headers.items())
    async with open_channel(address) as channel:
        stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
        created = await stub.CreateMobileSignature(
            pb.CreateMobileSignatureRequest(
                subject=subject, message=MESSAGE.encode(), display_text=ASKED_TEXT
            ),
            metadata=metadata,
            timeout=TIMEOUT_SECONDS,
            wait_for_ready=True,
        )
        watched = stub.WatchMobileSignature(
            pb.WatchMobileSignatureRequest(name=created.name),
            metadata=metadata,
            timeout=TIMEOUT_SECONDS,
        )
        states = [each async for each in watched]
    return states[-1]


@contextmanager
def signing_for(world: World, organization: str) -> Iterator[str]:
    """Run another signing process of the suite, whose setting lets an organization ask phones: the
    organization's name is known only now. Yield its address; it logs where the suite does."""
    variables = Path(f"/proc/{world.suite.children()['signing']}/environ").read_bytes()
    pairs = (each.partition("=") for each in variables.decode().split("\0") if each)
    environment = {name: value for name, _, value in pairs if name != "QAGAZSYZ_PARENT_PIPE"}
    address = environment["QAGAZSYZ_LISTEN"] + "-2"
    environment |= {
        "QAGAZSYZ_LISTEN": address,
        "QAGAZSYZ_MOBILE_SIGNING_ORGANIZATIONS": f"{organization}=Bank",
    }
    command = [sys.executable, "-m", "cli.main", "serve", "signing"]
    with (
        world.suite.log.open("a") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield address
        finally:
            process.terminate()
            process.wait(TIMEOUT_SECONDS)
