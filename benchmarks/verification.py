"""Measure verification: by the kernel alone, by the service directly, and through the gateway."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import load
from benchmarks.baselines import kernel_rate, loop_rate, openssl_rates
from benchmarks.inputs import Keyring, SignedItems, schemes
from benchmarks.report import Figure, Report
from benchmarks.suite import MESSAGE_LIMIT, Suite
from signatures.backend import Backend
from signatures.loading import kernel_instructions, load_backend

BATCH = "/qagazsyz.signing.v1.VerificationService/BatchVerify"
SINGLE = "/qagazsyz.signing.v1.VerificationService/Verify"
SIZES = (1, 16, 256, 1_000, 10_000)
SIGNERS = {"distinct": 10_000, "1000": 1_000, "16": 16, "one": 1}
# The size of the batches that have a goal, and the items that requests are made of.
COMPARED = 1_000
ITEMS = 10_000
# Callers by size of batch: enough to keep two cores busy, fewer if a batch takes seconds.
CALLERS = {1: 32, 16: 4, 256: 4, 1_000: 4, 10_000: 2}
# Seconds of one measurement. A figure with a goal is measured for longer, and REPEATED times more;
# its median counts.
ROW_SECONDS, GOAL_SECONDS = 0.2, 0.8
REPEATED = 6
# Uses of a key after which the kernel has cached all that it caches of one: a comb comes last. More
# keys than COMPARED come too seldom for combs, and get their small tables by the third use.
WARM_USES = 257
WARM_USES_OF_MANY = 4

# Goals of the kernel on one core, and of the service and Envoy together, by algorithm and signers:
# on a machine with AVX-512 IFMA, and on any other.
GOALS = {
    ("ED25519", "distinct"): ((27, 15), (12, 5.5)),
    ("ED25519", "16"): ((60, 25), (24, 9)),
    ("ECDSA_P256_SHA256", "distinct"): ((11, 1.1), (4, 1.1)),
    ("ECDSA_P256_SHA256", "1000"): ((14, 1.1), (5, 1.1)),
    ("ECDSA_P256_SHA256", "16"): ((20, 12), (6, 1.1)),
    ("ECDSA_P384_SHA384", "distinct"): ((2.3, 2.1), (2.3, 2.1)),
    ("ECDSA_P384_SHA384", "16"): ((40, 2.1), (12, 2.1)),
    ("ECDSA_P521_SHA512", "distinct"): ((1.5, 1.4), (1.5, 1.4)),
    ("ECDSA_P521_SHA512", "16"): ((30, 1.4), (8, 1.4)),
    ("RSA_PKCS1_SHA256", "distinct"): ((4.5, 3.5), (1.25, 1.0)),
}
# Goals of the kernel on one core for keys that come for the first time.
FIRST_GOALS = {
    "ED25519": (25, 11),
    "ECDSA_P256_SHA256": (6, 1.4),
    "ECDSA_P384_SHA384": (10, 2.6),
    "ECDSA_P521_SHA512": (8, 1.4),
    "RSA_PKCS1_SHA256": (3.5, 1.25),
}
# Goals for GOST, in verifications per second by the kernel on one core: of keys seen for the first
# time, and again; with IFMA, and without.
GOST = "GOST3410_2012_512"
GOST_GOALS = ((15_000, 60_000), (2_300, 12_000))
FIRST_USES = frozenset({GOST, *FIRST_GOALS})

# CPU microseconds of OpenBao's server for an item of a batch of 1,000 by one key, which its transit
# engine verifies, measured on a Zen 4 machine; and the share of it that we may take.
OPENBAO = {
    "ED25519": (61, 1 / 10),
    "ECDSA_P256_SHA256": (85, 1 / 10),
    "ECDSA_P384_SHA384": (649, 1 / 10),
    "RSA_PKCS1_SHA256": (44, 1 / 6),
}


@dataclass(frozen=True, slots=True)
class _Run:
    """What all rows of a run are measured with."""

    suite: Suite
    backend: Backend
    # Verifications per second of `openssl speed`, by its names.
    openssl: dict[str, float]
    quick: bool
    token: str
    # What the kernel uses; "" without it.
    instructions: str

    @property
    def sizes(self) -> tuple[int, ...]:
        return (1, COMPARED) if self.quick else SIZES

    @property
    def goal_seconds(self) -> float:
        return ROW_SECONDS if self.quick else GOAL_SECONDS

    @property
    def column(self) -> int:
        """The column of the goals that holds on this machine."""
        return 0 if self.instructions == "ifma" else 1


def measure(report: Report, suite: Suite, *, quick: bool, progress: Callable[[str], None]) -> None:
    """Measure every algorithm, size and number of signers; quick leaves most of them out."""
    backend = load_backend()
    instructions = kernel_instructions()
    progress(f"the backend is {backend.name} {instructions}".rstrip())
    keyring = Keyring()
    chosen = [scheme for scheme in schemes() if not quick or scheme.name in FIRST_USES]
    openssl = openssl_rates([scheme.openssl for scheme in chosen if scheme.openssl])
    rows: list[dict[str, Any]] = []
    first: list[dict[str, Any]] = []
    for scheme in chosen:
        # A new token for each scheme: together they take longer than a token lasts.
        run = _Run(suite, backend, openssl, quick, asyncio.run(suite.token()), instructions)
        for signers, count in SIGNERS.items():
            if signers == "1000" and (scheme.name, signers) not in GOALS:
                continue
            progress(f"{scheme.name}, signers: {signers}")
            signed = keyring.sign(scheme, items=ITEMS, signers=count)
            if scheme.name in FIRST_USES and signers == "distinct":
                first.append(_first_uses(report, run, signed))
            asyncio.run(_make_known(run, signed))
            rows += asyncio.run(_scheme(report, run, signed, signers))
    report.table("Verification, 256-byte messages, keys that were seen before", rows)
    report.table("Keys that come for the first time, batches of 1,000, kernel on one core", first)


def _first_uses(report: Report, run: _Run, signed: SignedItems) -> dict[str, Any]:
    """Measure items whose keys must be parsed first and have no tables yet."""
    keys = len(signed.spkis)
    requests = [signed.request(min(COMPARED, keys), at) for at in range(0, keys, COMPARED)]
    began = time.process_time()
    for request in requests:
        batch = run.backend.parse_batch(request)
        batch.verify(0, batch.item_count)
    first = (time.process_time() - began) / keys * 1e6
    name = signed.scheme.name
    if name == GOST:
        goal = GOST_GOALS[run.column][0]
        report.figure(Figure(f"{name}: first uses, one core", 1e6 / first, goal, unit="/s"))
    loop = loop_rate(signed, run.goal_seconds, 1)[1] if signed.scheme.comparable else None
    if loop is not None and name in FIRST_GOALS:
        times = FIRST_GOALS[name][run.column]
        report.figure(Figure(f"{name}: first uses, one core", loop / first, times, unit="×"))
    return {
        "algorithm": name,
        "keys": keys,
        "kernel µs": first,
        "kernel/loop": loop / first if loop is not None else "-",
    }


async def _make_known(run: _Run, signed: SignedItems) -> None:
    """Warm the caches of keys of the kernel here and of the service."""
    keys = len(signed.spkis)
    requests = signed.requests(COMPARED)[: max(1, keys // COMPARED)]
    # One round uses each key at least this often.
    uses = WARM_USES if keys <= COMPARED else WARM_USES_OF_MANY
    requests *= math.ceil(uses / max(1, COMPARED // keys))
    for request in requests:
        batch = run.backend.parse_batch(request)
        batch.verify(0, batch.item_count)
    channel = run.suite.channel(run.suite.socket("signing"))
    call: Any = channel.unary_unary(BATCH)
    for request in requests:
        await call(request, metadata=(("authorization", f"Bearer {run.token}"),))
    await channel.close()


async def _scheme(
    report: Report, run: _Run, signed: SignedItems, signers: str
) -> list[dict[str, Any]]:
    scheme, rows = signed.scheme, []
    for size in run.sizes:
        batches = signed.requests(size)
        if len(batches[0]) > MESSAGE_LIMIT:
            # Signatures of ML-DSA have kilobytes: the largest batches exceed the limit.
            continue
        columns = GOALS.get((scheme.name, signers)) if size == COMPARED else None
        goals = columns[run.column] if columns is not None else None
        seconds = ROW_SECONDS if goals is None else run.goal_seconds
        row, ratios = await _row(run, signed, batches, size, seconds)
        for _ in range(REPEATED if goals is not None else 0):
            ratios += (await _row(run, signed, batches, size, seconds))[1]
        alone = median(ratio.kernel for ratio in ratios) if ratios else None
        whole = median(ratio.server for ratio in ratios) if ratios else None
        rows.append(
            {"algorithm": scheme.name, "signers": min(size, len(signed.spkis)), "batch": size}
            | row
            | {
                "kernel/loop": alone or "-",
                "server/loop": whole or "-",
                "kernel/openssl": row["kernel/s"] / run.openssl[scheme.openssl]
                if scheme.openssl in run.openssl
                else "-",
            }
        )
        if (scheme.name, signers, size) == (GOST, "16", COMPARED):
            name = f"{GOST}: 16 signers, one core"
            goal = GOST_GOALS[run.column][1]
            report.figure(Figure(name, 1e6 / row["kernel µs"], goal, unit="/s"))
        if (signers, size) == ("one", COMPARED) and scheme.name in OPENBAO:
            report.figure(_against_openbao(scheme.name, row))
        if goals is not None and alone is not None and whole is not None:
            name = f"{scheme.name}, signers {signers}"
            report.figure(Figure(f"{name}: kernel, one core", alone, goals[0], unit="×"))
            report.figure(Figure(f"{name}: whole server", whole, goals[1], unit="×"))
    return rows


def _against_openbao(name: str, row: Mapping[str, Any]) -> Figure:
    """Compare what service and Envoy take for a batch by one key with what OpenBao took."""
    took, share = OPENBAO[name]
    ours = row["service µs"] + row["gateway µs"]
    goal = f"OpenBao took {took}"
    return Figure(f"{name}, one signer: an item ({goal})", ours, at_most=took * share, unit="µs")


@dataclass(frozen=True, slots=True)
class _Ratios:
    """Speed relative to `cryptography` in a loop, by CPU time: the kernel against a loop on one
    core; service and gateway, which use all cores, against a loop on all of them."""

    kernel: float
    server: float


async def _row(
    run: _Run, signed: SignedItems, batches: Sequence[bytes], size: int, seconds: float
) -> tuple[dict[str, Any], list[_Ratios]]:
    """Measure one row, all within a few seconds, so that a machine whose speed drifts has the same
    speed for what is compared."""
    cores = os.cpu_count() or 1
    comparable = signed.scheme.comparable
    on_one = loop_rate(signed, seconds, 1)[1] if comparable else None
    rate, kernel = kernel_rate(run.backend, batches, seconds)
    singles = [signed.single(index) for index in range(min(1_000, len(signed.messages)))]
    requests = singles if size == 1 else batches
    direct = await _served(run, requests, size, direct=True, seconds=seconds)
    whole = await _served(run, requests, size, direct=False, seconds=seconds)
    loop, on_all = loop_rate(signed, seconds, cores) if comparable else (None, None)
    row = {
        "kernel/s": rate,
        "service/s": direct.rate,
        "gateway/s": whole.rate,
        "loop/s, all cores": loop or "-",
        "kernel µs": kernel,
        "service µs": direct.microseconds("service"),
        "gateway µs": whole.microseconds("gateway"),
        "client µs": whole.microseconds("client"),
        "p50 ms": whole.percentile(0.5),
        "p99 ms": whole.percentile(0.99),
    }
    server = whole.microseconds("service", "gateway")
    if on_one is None or on_all is None or not server:
        return row, []
    return row, [_Ratios(on_one / kernel, on_all / server)]


async def _served(
    run: _Run, requests: Sequence[bytes], size: int, *, direct: bool, seconds: float
) -> load.Measured:
    """Measure the service, called directly or through the gateway."""
    suite = run.suite
    address = suite.socket("signing") if direct else suite.gateway
    watched = {"service": suite.process("signing"), "gateway": suite.process("gateway")}
    channels = [suite.channel(address) for _ in range(min(2, CALLERS[size] // 2))]
    try:
        return await load.run(
            channels,
            SINGLE if size == 1 else BATCH,
            requests,
            items_per_request=size,
            token=run.token,
            concurrency=CALLERS[size],
            seconds=seconds,
            watched=watched,
        )
    finally:
        for channel in channels:
            await channel.close()
