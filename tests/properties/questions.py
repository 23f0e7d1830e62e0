"""Requests with all that decides their verdicts, put to a backend here or in another process.

The kernel reads once a process which instructions it may use. So each set of instructions gets a
process of its own, and all of them get the same questions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from signatures.algorithms import Verdict
from signatures.backend import Backend, Batch, MalformedRequest
from tests.properties.forge import samples

CHECKOUT = Path(__file__).parents[2]
SETTING = "QAGAZSYZ_KERNEL_INSTRUCTIONS"
# Each with all before it.
INSTRUCTION_SETS = ("scalar", "avx2", "ifma")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend read in a request, and the verdicts on its items, a byte each."""

    read: tuple[object, ...]
    verdicts: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """A request's bytes; keys and doubts to set, by signer; where to cut the batch into parts."""

    request: bytes
    single: bool = False
    keys: tuple[tuple[int, bytes | None], ...] = ()
    doubts: tuple[int, ...] = ()
    cuts: tuple[int, ...] = ()

    def ask(self, backend: Backend) -> Answer | None:
        """Return the backend's answer; None if the bytes are no request to it."""
        batch = _parse(backend, self.request, self.single)
        if batch is None:
            return None
        read = batch.item_count, batch.signer_count, batch.trust_policy, batch.at
        named = batch.named_signers()
        for index, spki in self.keys:
            batch.set_key(index, spki)
        for index in self.doubts:
            batch.set_trust(index, Verdict.UNTRUSTED_SIGNER)
        parts = pairwise([0, *self.cuts, batch.item_count])
        verdicts = b"".join(batch.verify(start, stop) for start, stop in parts)
        return Answer((*read, named), verdicts)


def _parse(backend: Backend, request: bytes, single: bool) -> Batch | None:
    try:
        return backend.parse_single(request) if single else backend.parse_batch(request)
    except MalformedRequest:
        return None


def question(random: Random, reader: Backend, request: bytes, single: bool = False) -> Question:
    """Return a question about a request as `reader` reads it; some signers get keys or doubts."""
    batch = _parse(reader, request, single)
    if batch is None:
        return Question(request, single)
    every = [sample for group in samples().values() for sample in group]
    keys = [
        (index, random.choice((None, b"", random.choice(every).spki)))
        for index, field, _ in batch.named_signers()
        if field == 3 or random.random() < 0.2
    ]
    count = batch.item_count
    cuts = sorted(random.randrange(count + 1) for _ in range(random.choice((0, 0, 2))))
    doubts = [index for index in range(batch.signer_count) if random.random() < 0.02]
    return Question(request, single, tuple(keys), tuple(doubts), tuple(cuts))


def difference(question: Question, answers: dict[str, Answer | None]) -> str:
    """Return how the answers, by the backend's name, differ; empty if they do not."""
    (first, expected), *others = answers.items()
    for name, found in others:
        if found == expected:
            continue
        if expected is None or found is None or expected.read != found.read:
            return f"{first} and {name} read differently: {question}"
        for place, (a, b) in enumerate(zip(expected.verdicts, found.verdicts, strict=True)):
            if a != b:
                verdicts = f"{Verdict(a).name} by {first}, {Verdict(b).name} by {name}"
                return f"item {place}: {verdicts}: {question}"
    return ""


class KernelProcess:
    """The kernel in a process of its own. Ask, do something else, then take the answer."""

    def __init__(self, connection: Connection, process: subprocess.Popen[bytes]) -> None:
        self._connection = connection
        self.kill = process.kill
        self.instructions: str = connection.recv()

    def put(self, question: Question) -> None:
        self._connection.send(question)

    def take(self) -> Answer | None:
        """Return the answer. Raises EOFError if the process has died over it."""
        answer: Answer | None = self._connection.recv()
        return answer


@contextmanager
def kernel_process(setting: str, threads: int = 1) -> Iterator[KernelProcess]:
    """Start a kernel that uses at most these instructions; stop it when the block ends."""
    ours, theirs = Pipe()
    with (
        ours,
        subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno()), str(threads)],
            cwd=CHECKOUT,
            env=os.environ | {SETTING: setting},
            pass_fds=[theirs.fileno()],
        ) as process,
    ):
        theirs.close()
        try:
            yield KernelProcess(ours, process)
        finally:
            # Without its questions the process ends; a stuck one would be waited for without end.
            ours.close()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def kernel_processes() -> Iterator[dict[str, KernelProcess]]:
    """Start a kernel for each set of instructions that the machine has; by the set's name."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(kernel_process(setting, threads=1 + place % 2))
            for place, setting in enumerate(INSTRUCTION_SETS)
        ]
        # A setting above what the machine has is lowered to what another process has.
        yield {process.instructions: process for process in started}


def _serve(connection: Connection, threads: int) -> None:
    import qagazsyz_kernel

    from signatures.native import KernelBackend

    backend = KernelBackend(threads)
    connection.send(qagazsyz_kernel.instructions())
    while True:
        try:
            asked: Question = connection.recv()
        except EOFError:
            return
        connection.send(asked.ask(backend))


if __name__ == "__main__":
    with Connection(int(sys.argv[1])) as connection:
        _serve(connection, int(sys.argv[2]))
