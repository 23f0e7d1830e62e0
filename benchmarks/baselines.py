"""Baselines without the suite: the kernel alone, `cryptography` in a loop, `openssl speed`."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.inputs import SignedItems
from signatures.backend import Backend


def loop_rate(signed: SignedItems, seconds: float, threads: int) -> tuple[float, float]:
    """Call `cryptography` in a tight loop on each of so many threads (it releases the GIL).

    Returns verifications per second, and the CPU microseconds of one.
    """

    def loop(number: int) -> int:
        done = 0
        keys, verify, end = signed.public_keys, signed.scheme.verify, time.perf_counter() + seconds
        while time.perf_counter() < end:
            for _ in range(20):
                index = (done + number * 997) % len(signed.messages)
                verify(keys[signed.signer(index)], signed.signatures[index], signed.messages[index])
                done += 1
        return done

    return _timed(loop, threads)


def kernel_rate(
    backend: Backend, requests: Sequence[bytes], seconds: float, threads: int = 1
) -> tuple[float, float]:
    """Verify with the backend alone, from bytes to verdicts.

    The first round, in which keys are parsed, is not counted. Returns verifications per second, and
    the CPU microseconds of one. Raises AssertionError if a signature is found invalid.
    """

    def verify(request: bytes) -> int:
        batch = backend.parse_batch(request)
        verdicts = batch.verify(0, batch.item_count)
        if verdicts.count(1) != batch.item_count:
            raise AssertionError("a good signature was refused")
        return batch.item_count

    for request in requests:
        verify(request)

    def loop(number: int) -> int:
        done, turn, end = 0, number, time.perf_counter() + seconds
        while time.perf_counter() < end:
            done += verify(requests[turn % len(requests)])
            turn += 1
        return done

    return _timed(loop, threads)


def _timed(loop: Callable[[int], int], threads: int) -> tuple[float, float]:
    """Run the loop on each thread, given its number; it returns how many it did.

    Returns the number done per second, and the CPU microseconds of one.
    """
    cpu, began = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(loop, range(threads)))
    took = time.perf_counter() - began
    return done / took, (time.process_time() - cpu) / done * 1e6


def openssl_rates(names: Sequence[str]) -> dict[str, float]:
    """Run `openssl speed` on one core; return verifications per second by name, {} without it."""
    program = shutil.which("openssl")
    if program is None:
        return {}
    found = {}
    for name in names:
        result = subprocess.run(  # noqa: S603
            [program, "speed", "-seconds", "1", name], capture_output=True, text=True, check=False
        )
        lines = [line for line in result.stdout.splitlines() if line.strip()]
        rates = re.findall(r"[\d.]+", lines[-1].rpartition("s ")[2]) if lines else []
        if rates:
            found[name] = float(rates[-1])
    return found


def kernel_microseconds(backend: Backend, requests: Sequence[bytes], seconds: float) -> float:
    """Verify with the backend alone; return the CPU microseconds of an item of any verdict."""
    items, began, end = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        for request in requests:
            batch = backend.parse_batch(request)
            batch.verify(0, batch.item_count)
            items += batch.item_count
    return (time.process_time() - began) / items * 1e6
