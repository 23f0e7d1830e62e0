"""How long items take, by algorithm, and where to cut a request into chunks of about equal work.

Algorithms differ by a factor of a hundred, and a request may have the fast ones first: a chunk that
is sized by the pace of the one before may then take half a second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

# CPU seconds an item of 256 bytes takes, by the contract's number of its algorithm, before anything
# is measured: one core of 2023, by the kernel, without lanes (docs/benchmark.md).
_ED25519, _P256, _P384, _P521 = 11e-6, 50e-6, 115e-6, 300e-6
_RSA, _GOST_256, _GOST_512 = 30e-6, 120e-6, 400e-6
_ML_DSA_44, _ML_DSA_65, _ML_DSA_87 = 60e-6, 100e-6, 160e-6
FIRST_PACES = (
    # What the contract has no number for is refused, which takes next to no time.
    *(1e-6, _ED25519, _P256, _P384, _P521, _P256, _P384, _P521),
    *(_RSA, _RSA, _RSA, _RSA, _RSA, _RSA, _GOST_256, _GOST_512),
    *(_ML_DSA_44, _ML_DSA_65, _ML_DSA_87),
)
# Weight of a faster measurement; a slower one counts fully.
PACE_WEIGHT = 0.5
# A pace is never below its first one over this. Items that are refused before any arithmetic would
# else pass for fast ones, and the next good ones hold a thread; where items really are faster,
# chunks are a little shorter than they might be.
FASTEST = 4.0


class Paces:
    """CPU seconds an item, by algorithm: estimates that follow the measurements."""

    def __init__(self) -> None:
        self._seconds = list(FIRST_PACES)

    def total(self, algorithms: bytes) -> float:
        """Return the CPU seconds that items are estimated to take; algorithms: a byte an item."""
        return sum(count * self._seconds[number] for number, count in _occurrences(algorithms))

    def cut(self, algorithms: bytes, seconds: float) -> int:
        """Return how many of the first items are estimated to take the seconds, or just more."""
        taken = list(accumulate(map(self._seconds.__getitem__, algorithms)))
        return min(bisect_left(taken, seconds) + 1, len(taken))

    def update(self, algorithms: bytes, seconds: float) -> None:
        """Take into account what items took together."""
        estimated = self.total(algorithms)
        if not estimated:
            return
        ratio = seconds / estimated
        if ratio < 1:
            ratio = 1 + PACE_WEIGHT * (ratio - 1)
        for number, _ in _occurrences(algorithms):
            self._seconds[number] = max(
                self._seconds[number] * ratio, FIRST_PACES[number] / FASTEST
            )


def _occurrences(algorithms: bytes) -> Iterator[tuple[int, int]]:
    """Yield each algorithm that occurs, and how often: nearly all batches have one or two."""
    while algorithms:
        others = algorithms.translate(None, algorithms[:1])
        yield algorithms[0], len(algorithms) - len(others)
        algorithms = others
