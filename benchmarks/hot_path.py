"""Measure the goals of the hot path beside speed: scaling, hostile batches, the service's own cost,
fairness, and memory under the largest messages."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import grpc

from benchmarks import load, processes
from benchmarks.baselines import kernel_microseconds, kernel_rate
from benchmarks.inputs import Keyring, SignedItems, by_name
from benchmarks.report import Figure, Report
from benchmarks.suite import Suite
from benchmarks.verification import BATCH, COMPARED, SINGLE
from qagazsyz.signing.v1 import verification_pb2
from signatures.loading import load_backend

NOTHING = "/qagazsyz.signing.v1.VerificationService/GetVerificationBackend"
# The order L of Ed25519's group (RFC 8032, section 5.1): an s at or above it is malformed.
ORDER = 2**252 + 27742317777372353535851937790883648493
# CPU microseconds per item of the service beyond the kernel's, without Envoy, by signers.
OVERHEAD_GOALS = {16: 0.6, 1_000: 1.0}
# Turns in which they are measured; the median counts.
OVERHEAD_TURNS = 5
# The items of a batch beside which single calls are measured. Of them, so many are slow ones behind
# fast ones, which must not hold a thread for long.
LARGEST_BATCH = 10_000
SLOWEST, SLOW_ITEMS = "ECDSA_P521_SHA512", 1_000
FAIRNESS_TURNS = 5
LARGEST_MESSAGE = 19 * 1024 * 1024
CLIENTS = 100
MIB = 1024 * 1024


def measure(report: Report, suite: Suite, *, quick: bool, progress: Callable[[str], None]) -> None:
    """Measure all of them, on the suite."""
    seconds = 1.0 if quick else 4.0
    keyring = Keyring()
    signed = keyring.sign(by_name("ED25519"), items=10_000, signers=10_000)
    progress("scaling over cores")
    _scaling(report, signed, seconds)
    progress("hostile batches")
    _hostile(report, signed, seconds)
    token = asyncio.run(suite.token())
    progress("the service's own cost")
    for signers in OVERHEAD_GOALS:
        few = keyring.sign(signed.scheme, items=10_000, signers=signers)
        asyncio.run(_overhead(report, suite, few, token, seconds))
    progress("single calls against calls that do nothing")
    asyncio.run(_single(report, suite, signed, token, seconds))
    progress("single calls while batches run")
    asyncio.run(_fairness(report, suite, keyring, signed, token, seconds))
    progress("memory after many batches")
    asyncio.run(_steady_memory(report, suite, signed, token, 200 if quick else 2_000))
    progress("memory under the largest messages")
    asyncio.run(_largest_messages(report, suite, signed, token))


def _scaling(report: Report, signed: SignedItems, seconds: float) -> None:
    cores = os.cpu_count() or 1
    if cores < 2:
        return
    backend, requests = load_backend(), signed.requests(COMPARED)
    rates: dict[int, list[float]] = {1: [], 2: []}
    # In turns, so that a machine that slows down slows both.
    for _, threads in itertools.product(range(3), rates):
        rates[threads].append(kernel_rate(backend, requests, seconds / 3, threads)[0])
    ratio = sum(rates[2]) / sum(rates[1])
    report.figure(Figure("two cores against one, kernel", ratio, 1.8, unit="×"))


def _hostile(report: Report, signed: SignedItems, seconds: float) -> None:
    """Compare batches whose bad items are spread evenly, the worst case for bisection, with
    every item alone."""
    backend = load_backend()
    singles = [signed.request(1, index) for index in range(COMPARED)]

    worst = 0.0
    rows = []
    for share in (0.01, 0.1, 1.0):
        step = round(1 / share)
        signatures = list(signed.signatures)
        for index in range(0, len(signatures), step):
            # Well-formed but wrong, so that only the equation can tell.
            signatures[index] = signatures[index - 1][:32] + signatures[index][32:]
        requests = [replace(signed, signatures=signatures).request(COMPARED)]
        alone = kernel_microseconds(backend, singles, seconds / 4)
        hostile = kernel_microseconds(backend, requests, seconds / 4)
        worst = max(worst, hostile / alone)
        rows.append(
            {"bad": f"{share:.0%}", "alone µs": alone, "batch µs": hostile, "×": hostile / alone}
        )
    report.table("Hostile Ed25519 batches of 1,000", rows)
    report.figure(Figure("hostile batch against single", worst, at_most=2.2, unit="×"))


async def _overhead(
    report: Report, suite: Suite, signed: SignedItems, token: str, seconds: float
) -> None:
    """Measure the service's CPU time for items that the kernel refuses without arithmetic: same
    size, same signers, same path, so that only protobuf, gRPC and Python remain."""
    malformed = [
        signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
        for signature in signed.signatures
    ]
    refused = replace(signed, signatures=malformed)
    requests = refused.requests(COMPARED)
    backend = load_backend()
    # Not counted: the first time, keys are parsed.
    kernel_microseconds(backend, requests, seconds / 4)
    channel = suite.channel(suite.socket("signing"))
    # Warm the service up as the kernel here: its caches of keys, its memory.
    call: Any = channel.unary_unary(BATCH)
    for request in requests * 20:
        await call(request, metadata=(("authorization", f"Bearer {token}"),))
    beyond = []
    # In turns, so that a machine that slows down slows both.
    for _ in range(OVERHEAD_TURNS):
        alone = kernel_microseconds(backend, requests, seconds / OVERHEAD_TURNS)
        measured = await load.run(
            [channel],
            BATCH,
            requests,
            items_per_request=COMPARED,
            token=token,
            concurrency=2,
            seconds=seconds / OVERHEAD_TURNS,
            watched={"service": suite.process("signing")},
        )
        beyond.append(measured.microseconds("service") - alone)
    await channel.close()
    signers = len(signed.spkis)
    report.figure(
        Figure(
            f"service beyond the kernel, an item ({signers:,} signers)",
            median(beyond),
            at_most=OVERHEAD_GOALS[signers],
            unit="µs",
        )
    )


async def _single(
    report: Report, suite: Suite, signed: SignedItems, token: str, seconds: float
) -> None:
    """Compare Verify with a call that does nothing, through the same gateway, in turns."""
    channels = [suite.channel(suite.gateway) for _ in range(4)]
    watched = {"service": suite.process("signing"), "gateway": suite.process("gateway")}
    singles = [signed.single(index) for index in range(1_000)]
    rates: dict[str, list[float]] = {NOTHING: [], SINGLE: []}
    for _, (method, requests) in itertools.product(range(3), ((NOTHING, [b""]), (SINGLE, singles))):
        measured = await load.run(
            channels,
            method,
            requests,
            items_per_request=1,
            token=token,
            concurrency=32,
            seconds=seconds,
            watched=watched,
        )
        rates[method].append(measured.rate)
    for channel in channels:
        await channel.close()
    share = sum(rates[SINGLE]) / sum(rates[NOTHING])
    report.table(
        "Single calls through the gateway, 32 callers",
        [
            {"call": "nothing", "calls/s": sum(rates[NOTHING]) / 3},
            {"call": "Verify", "calls/s": sum(rates[SINGLE]) / 3},
        ],
    )
    report.figure(Figure("Verify against a call that does nothing", share, 0.6, unit="×"))


async def _fairness(
    report: Report, suite: Suite, keyring: Keyring, signed: SignedItems, token: str, seconds: float
) -> None:
    """Measure p99 of single calls, idle and while batches of 10,000 run back to back, in turns."""
    single, batches = suite.channel(suite.gateway), suite.channel(suite.gateway)
    batch: Any = batches.unary_unary(BATCH)
    metadata = (("authorization", f"Bearer {token}"),)
    singles = [signed.single(index) for index in range(1_000)]
    slow = keyring.sign(by_name(SLOWEST), items=SLOW_ITEMS, signers=16)

    async def p99() -> float:
        measured = await load.run(
            [single],
            SINGLE,
            singles,
            items_per_request=1,
            token=token,
            concurrency=1,
            seconds=seconds,
            watched={},
        )
        return measured.percentile(0.99)

    async def p99_beside(request: bytes) -> float:
        done = False

        async def back_to_back() -> None:
            while not done:
                await batch(request, metadata=metadata)

        running = asyncio.create_task(back_to_back())
        found = await p99()
        done = True
        await running
        return found

    beside = {
        "fast": signed.request(LARGEST_BATCH),
        "slow behind fast": _joined(
            signed.request(LARGEST_BATCH - SLOW_ITEMS), slow.request(SLOW_ITEMS)
        ),
    }
    idle: list[float] = []
    busy: dict[str, list[float]] = {name: [] for name in beside}
    for _ in range(FAIRNESS_TURNS):
        idle.append(await p99())
        for name, request in beside.items():
            busy[name].append(await p99_beside(request))
    await single.close()
    await batches.close()
    rows = [{"batches of": "none", "p99 ms": median(idle)}]
    rows += [{"batches of": name, "p99 ms": median(found)} for name, found in busy.items()]
    report.table(f"Single calls beside batches of {LARGEST_BATCH:,}", rows)
    for name, found in busy.items():
        ratio = median(found) / median(idle)
        report.figure(
            Figure(f"p99 beside batches ({name}) against idle", ratio, at_most=4, unit="×")
        )


def _joined(*requests: bytes) -> bytes:
    """Return one batch of the items of several, in order."""
    joined = verification_pb2.BatchVerifyRequest()
    for request in requests:
        part = verification_pb2.BatchVerifyRequest.FromString(request)
        for item in part.items:
            item.signer += len(joined.signers)
        joined.signers.extend(part.signers)
        joined.items.extend(part.items)
    return joined.SerializeToString()


async def _steady_memory(
    report: Report, suite: Suite, signed: SignedItems, token: str, batches: int
) -> None:
    """Compare resident memory after many batches with that after a tenth of them."""
    channel, pid = suite.channel(suite.socket("signing")), suite.process("signing")
    call: Any = channel.unary_unary(BATCH)
    metadata = (("authorization", f"Bearer {token}"),)
    requests = signed.requests(COMPARED)
    early = 0
    for number in range(batches):
        await call(requests[number % len(requests)], metadata=metadata)
        if number + 1 == batches // 10:
            early = processes.usage(pid).resident
    await channel.close()
    late = processes.usage(pid).resident
    report.figure(
        Figure(
            f"resident memory after {batches:,} batches against {batches // 10:,}",
            late / early,
            at_most=1.05,
            unit="×",
        )
    )


async def _largest_messages(report: Report, suite: Suite, signed: SignedItems, token: str) -> None:
    """Send the largest messages from a hundred clients at once, and small calls meanwhile."""
    request = verification_pb2.BatchVerifyRequest()
    request.signers.add(public_key=signed.spkis[0])
    request.items.add(
        signer=0,
        algorithm=signed.scheme.number,
        message=os.urandom(LARGEST_MESSAGE),
        signature=signed.signatures[0],
    )
    largest = request.SerializeToString()
    metadata = (("authorization", f"Bearer {token}"),)
    codes: dict[str, int] = {}

    async def client() -> None:
        channel = suite.channel(suite.gateway)
        call: Any = channel.unary_unary(BATCH)
        try:
            await call(largest, metadata=metadata)
            code = "OK"
        except grpc.aio.AioRpcError as error:
            code = error.code().name
        codes[code] = codes.get(code, 0) + 1
        await channel.close()

    small = suite.channel(suite.gateway)
    verify: Any = small.unary_unary(SINGLE)
    answered = refused = 0
    clients = asyncio.gather(*(client() for _ in range(CLIENTS)))
    while not clients.done():
        try:
            await verify(signed.single(0), metadata=metadata)
            answered += 1
        except grpc.aio.AioRpcError:
            refused += 1
    await clients
    await small.close()
    signing = processes.usage(suite.process("signing"))
    gateway = processes.usage(suite.process("gateway"))
    report.table(
        f"{CLIENTS} clients with messages of {LARGEST_MESSAGE // MIB} MiB at once",
        [
            {
                "answers": ", ".join(f"{code} {count}" for code, count in sorted(codes.items())),
                "small calls answered": answered,
                "refused": refused,
                "signing peak MiB": signing.peak // MIB,
                "gateway peak MiB": gateway.peak // MIB,
            }
        ],
    )
    report.figure(Figure("signing's peak memory", signing.peak / MIB, at_most=1_024, unit="MiB"))
    report.figure(Figure("gateway's peak memory", gateway.peak / MIB, at_most=512, unit="MiB"))
    strange = sum(
        count for code, count in codes.items() if code not in ("OK", "RESOURCE_EXHAUSTED")
    )
    report.figure(Figure("other answers than those two", strange, at_most=0))
    report.figure(Figure("small calls answered meanwhile", answered, at_least=1))
