"""Measure signatures on phones, against the simulated network: SIMs that answer at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from benchmarks import processes
from benchmarks.load import Measured
from benchmarks.report import Figure, Report
from benchmarks.suite import Suite
from cli.errors import Failure
from qagazsyz.client import Client
from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from qagazsyz.signing.v1 import mobile_signatures_pb2_grpc
from testing.enrolment import Actor, Enrolment
from testing.people import people
from testing.phone_network import phones_command, running_network, smpp_settings

# Each has one open signature at most, and a hundred a day of their own.
SIGNERS = 60
OFFERED_A_SECOND = 20
MESSAGE = b"An agreement about nothing in particular, number "
TEXT = "Sign the agreement?"
# Of one call, in seconds: below the gateway's deadline.
WAIT_SECONDS = 20

# Goals.
SIGNATURES_A_SECOND, P99_MILLISECONDS = 50, 300


@dataclass(frozen=True, slots=True)
class PhoneNetwork:
    """A simulated network: its folder, its SMSC's port, its process."""

    folder: Path
    port: int
    pid: int

    def environment(self) -> Mapping[str, str]:
        """The settings of a suite whose messages go there."""
        return {
            **smpp_settings(self.folder, self.port),
            # What an operator's contract grants; here nothing is to wait for it.
            "QAGAZSYZ_SMPP_RATE": "2000",
            "QAGAZSYZ_SMPP_WINDOW": "100",
            "QAGAZSYZ_OWN_MESSAGES_A_DAY": "1000",
            "QAGAZSYZ_SECURITY_MESSAGES_A_DAY": "1000",
        }

    def requests(self, stem: str, kind: Any) -> Iterator[Any]:
        """Read the requests that import its SIMs, or their keys."""
        for path in sorted(self.folder.glob(f"{stem}-[0-9]*.json")):
            yield json_format.ParseDict(json.loads(path.read_bytes()), kind())

    def numbers(self) -> list[str]:
        """The numbers of the people who sign, which come first."""
        sims = [
            one for each in self.requests("sims", phones_pb2.ImportSimsRequest) for one in each.sims
        ]
        return [one.number for one in sims][:SIGNERS]


@contextmanager
def phone_network(folder: Path) -> Iterator[PhoneNetwork]:
    """Run a simulated network during the block."""
    made = phones_command("new", folder, "--count", SIGNERS)
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own tool
    with running_network(folder) as (port, process):
        yield PhoneNetwork(folder, port, process.pid)


@dataclass(frozen=True, slots=True)
class Signer:
    """A person with a phone that is theirs, signed in by a certificate of their own."""

    actor: Actor
    client: Client
    # A phone has one request on its screen.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def sign(self) -> float:
        """Have the phone sign once; return how long it took, in seconds, its turn waited for.
        Raises AssertionError if there is no signature in the end."""
        began = time.perf_counter()
        async with self.turn:
            await self._sign()
        return time.perf_counter() - began

    async def _sign(self) -> None:
        stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(self.client.channel)
        request = pb.CreateMobileSignatureRequest(
            subject=self.actor.subject,
            message=MESSAGE + uuid.uuid4().bytes,
            display_text=TEXT,
            request_id=str(uuid.uuid4()),
        )
        session = await _ended(stub, await stub.CreateMobileSignature(request))
        if session.state != pb.MOBILE_SIGNATURE_STATE_SIGNED:
            raise AssertionError(f"no signature: {session.outcome}")


async def _ended(stub: Any, session: pb.MobileSignature) -> pb.MobileSignature:
    request = pb.GetMobileSignatureRequest(name=session.name)
    request.wait.FromSeconds(WAIT_SECONDS)
    while not session.HasField("end_time"):
        session = await stub.GetMobileSignature(request)
    return session


async def enrol(suite: Suite, network: PhoneNetwork, clients: AsyncExitStack) -> list[Signer]:
    """Import the network's SIMs, and bind a phone to each of so many people."""
    operator = await clients.enter_async_context(Client(suite.gateway, suite.operator))
    phones = phones_pb2_grpc.PhoneServiceStub(operator.channel)
    for sims in network.requests("sims", phones_pb2.ImportSimsRequest):
        await phones.ImportSims(sims)
    signing = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(operator.channel)
    for keys in network.requests("sim-keys", pb.ImportSimKeysRequest):
        await signing.ImportSimKeys(keys)
    enrolment, everybody = Enrolment(operator), people()

    async def bound(number: str) -> Signer:
        actor = await enrolment.citizen(next(everybody))
        client = await clients.enter_async_context(actor.client(suite.gateway))
        phone = await phones_pb2_grpc.PhoneServiceStub(client.channel).BindPhone(
            phones_pb2.BindPhoneRequest(subject=actor.subject, number=number, language="en")
        )
        stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(client.channel)
        confirming = await stub.ConfirmPhone(pb.ConfirmPhoneRequest(phone=phone.name))
        if (await _ended(stub, confirming)).state != pb.MOBILE_SIGNATURE_STATE_SIGNED:
            raise Failure("a phone did not become its holder's")
        return Signer(actor, client)

    return [await bound(number) for number in network.numbers()]


async def _as_fast_as_they_go(signers: Sequence[Signer], rounds: int) -> list[float]:
    """Have every phone sign so many times, all side by side; return how long each took."""

    async def one(signer: Signer) -> list[float]:
        return [await signer.sign() for _ in range(rounds)]

    took = await asyncio.gather(*(one(signer) for signer in signers))
    return [each for of_one in took for each in of_one]


async def _at_a_rate(signers: Sequence[Signer], seconds: int) -> list[float]:
    """Begin signatures at a steady rate, however long they take, by each phone in turn; return how
    long each took."""
    began = time.perf_counter()
    tasks = []
    for place in range(seconds * OFFERED_A_SECOND):
        due = began + place / OFFERED_A_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(signers[place % len(signers)].sign()))
    return await asyncio.gather(*tasks)


async def _measured(watched: Mapping[str, int], work: Awaitable[list[float]]) -> Measured:
    """Do the work; return its latencies, and the CPU time of the processes meanwhile."""

    def used() -> dict[str, float]:
        each = {name: processes.usage(pid).cpu for name, pid in watched.items()}
        return {**each, "client": time.process_time()}

    before, began = used(), time.perf_counter()
    latencies = await work
    took = time.perf_counter() - began
    cpu = {name: after - before[name] for name, after in used().items()}
    return Measured(len(latencies), took, cpu, latencies)


def measure(
    report: Report,
    suite: Suite,
    network: PhoneNetwork,
    *,
    quick: bool,
    progress: Callable[[str], None],
) -> None:
    """Measure what 60 phones sign side by side, and how long a signature takes at 20 a second: of
    the gateway, signing, messaging, and a network whose people do not think."""
    asyncio.run(_measure(report, suite, network, quick, progress))


async def _measure(
    report: Report,
    suite: Suite,
    network: PhoneNetwork,
    quick: bool,
    progress: Callable[[str], None],
) -> None:
    services = ("signing", "messaging", "identity", "gateway")
    watched = {name: suite.process(name) for name in services} | {"simulator": network.pid}
    async with AsyncExitStack() as clients:
        progress(f"{SIGNERS} phones are bound")
        signers = await enrol(suite, network, clients)
        progress("signatures on phones")
        await _as_fast_as_they_go(signers, 1)
        fast = await _measured(watched, _as_fast_as_they_go(signers, 5 if quick else 30))
        steady = await _measured(watched, _at_a_rate(signers, 10 if quick else 40))
    report.table(
        "Signatures on phones through the simulated network",
        [
            _row(f"{SIGNERS} phones side by side", fast),
            _row(f"{OFFERED_A_SECOND} begun a second", steady),
        ],
    )
    report.figure(Figure("signatures on phones", fast.rate, SIGNATURES_A_SECOND, unit="/s"))
    report.figure(
        Figure(
            f"p99 of a signature on a phone at {OFFERED_A_SECOND}/s, the network included",
            steady.percentile(0.99),
            at_most=P99_MILLISECONDS,
            unit="ms",
        )
    )


def _row(name: str, measured: Measured) -> dict[str, object]:
    return {
        "how": name,
        "signatures/s": measured.rate,
        "p50 ms": measured.percentile(0.5),
        "p99 ms": measured.percentile(0.99),
        **{f"{who} µs": f"{measured.microseconds(who):,.0f}" for who in measured.cpu},
    }
