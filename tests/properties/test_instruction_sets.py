"""The kernel gives the portable backend's verdicts, whatever instructions it uses.

`make fuzz` runs a million mutated items, in half an hour at most; `make test` a twentieth, for a
minute at most. SEED=n makes the choices of the run that printed it again; RSA's keys and those of
forge.py are new in each run, so a failure prints its whole request.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from random import Random

import pytest

from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Verdict
from signatures.portable import PortableBackend
from tests.properties.forge import Forge
from tests.properties.kinds import Kind
from tests.properties.lanes import LANES, LaneForge
from tests.properties.questions import (
    INSTRUCTION_SETS,
    Answer,
    KernelProcess,
    Question,
    difference,
    kernel_process,
    kernel_processes,
    question,
)
from tests.properties.weierstrass import Gost

kernel = pytest.importorskip("qagazsyz_kernel", reason="the native kernel is not built")

IS_LONG = bool(os.environ.get("LONG_RUN"))
ITEMS = 1_000_000 if IS_LONG else 50_000
SECONDS = 1_800 if IS_LONG else 60
# The portable backend takes 2 to 15 ms for a GOST signature, and then gets one batch in so many.
GOST_BATCHES_FOR_ONE = 8

KINDS = {"P-256", "P-384", "P-521", "GOST-256", "GOST-512", "Ed25519"} | {
    f"RSA-{bits}" for bits in (2048, 3072, 4096)
}

PORTABLE = PortableBackend()


@pytest.fixture(scope="module")
def random() -> Random:
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**32))
    print(f"SEED={seed}")
    return Random(seed)


@pytest.fixture(scope="module")
def kernels() -> Iterator[dict[str, KernelProcess]]:
    with kernel_processes() as started:
        yield started


class Coverage:
    """What a run has met: by kind, the lanes in which an item was refused among others."""

    def __init__(self) -> None:
        self.items = self.requests = self.by_portable = 0
        self.refused: defaultdict[str, set[int]] = defaultdict(set)
        self.valid: set[str] = set()

    def add(self, answer: Answer | None, is_by_portable: bool) -> None:
        count = len(answer.verdicts) if answer else 0
        self.items += count
        self.requests += 1
        self.by_portable += count * is_by_portable

    def add_lanes(self, kind: Kind, verdicts: bytes) -> None:
        name = f"GOST-{8 * kind.curve.length}" if isinstance(kind, Gost) else kind.name
        for place, verdict in enumerate(verdicts):
            if verdict == Verdict.INVALID_SIGNATURE:
                self.refused[name].add(place % LANES)
        if Verdict.VALID in verdicts:
            self.valid.add(name)

    @property
    def is_complete(self) -> bool:
        """Whether each kind was valid, and refused in each lane."""
        lanes = {kind: set(range(LANES)) for kind in KINDS}
        return self.valid == KINDS and self.refused == lanes


def asked(
    asked: Question, kernels: dict[str, KernelProcess], by_portable: bool
) -> dict[str, Answer | None]:
    """Return every backend's answer; the kernels' processes work side by side."""
    for process in kernels.values():
        process.put(asked)
    portable = {"portable": asked.ask(PORTABLE)} if by_portable else {}
    return portable | {name: process.take() for name, process in kernels.items()}


def test_every_set_of_instructions_has_a_process(kernels: dict[str, KernelProcess]) -> None:
    best = INSTRUCTION_SETS.index(kernel.instructions())
    assert set(kernels) >= set(INSTRUCTION_SETS[: best + 1])


def test_mutated_items_get_the_same_verdicts_from_all_backends(
    random: Random, kernels: dict[str, KernelProcess]
) -> None:
    forge, lane_forge, coverage = Forge(random), LaneForge(random), Coverage()
    started = time.monotonic()

    def compare_lanes(kind: Kind, request: verification_pb2.BatchVerifyRequest) -> None:
        by_portable = not isinstance(kind, Gost) or random.randrange(GOST_BATCHES_FOR_ONE) == 0
        in_lanes = Question(request.SerializeToString())
        answers = asked(in_lanes, kernels, by_portable)
        assert difference(in_lanes, answers) == ""
        answer = answers["scalar"]
        assert answer is not None
        coverage.add(answer, by_portable)
        coverage.add_lanes(kind, answer.verdicts)

    for kind, request in lane_forge.first_batches():
        compare_lanes(kind, request)
    is_slow = False
    # Which lanes are met is by chance: some more batches where they are not yet all.
    while (coverage.items < ITEMS and not is_slow) or (
        coverage.items < 3 * ITEMS and not coverage.is_complete
    ):
        is_slow = time.monotonic() - started > SECONDS
        mixed = question(random, PORTABLE, forge.wire(forge.batch().SerializeToString()))
        answers = asked(mixed, kernels, True)
        assert difference(mixed, answers) == ""
        coverage.add(answers["portable"], True)
        kind, _, request = lane_forge.batch()
        compare_lanes(kind, request)
    seconds = time.monotonic() - started
    print(
        f"{coverage.items:,} items in {coverage.requests:,} requests by {', '.join(kernels)}, "
        f"{coverage.by_portable:,} of them by the portable backend too: 0 disagreements, "
        f"{seconds:.0f} s"
    )
    assert coverage.is_complete
    assert not (IS_LONG and is_slow), f"{ITEMS:,} items take more than {SECONDS:,} s here"


def test_answers_that_differ_in_anything_are_a_difference() -> None:
    right = Answer((1,), b"\1")
    for other in (None, Answer((2,), b"\1"), Answer((1,), b"\2")):
        assert difference(Question(b""), {"scalar": right, "avx2": right, "ifma": other}) != ""
    assert difference(Question(b""), {"scalar": right, "avx2": right, "ifma": right}) == ""


def test_a_kernel_that_dies_is_no_agreement() -> None:
    with kernel_process("scalar") as process, pytest.raises((EOFError, ConnectionError)):
        process.kill()
        process.take()
