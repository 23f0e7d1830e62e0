"""Batches of one kind of key, large enough for lanes, with hostile items at chosen places.

The kernel verifies eight and more signatures of a kind in step, those of a known key by tables of
its multiples. Wherever a hostile item stands, its neighbours keep their verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from random import Random

from qagazsyz.signing.v1 import verification_pb2
from signatures.gost.curves import CURVES_BY_OID
from tests.properties.kinds import Ed25519, Kind, Rsa
from tests.properties.weierstrass import NIST_CURVES, Ecdsa, Gost

LANES = 8
# After so many uses a key has the tables that it may get: P-256's in lanes come last, and GOST's
# early; the portable backend verifies every use.
USES_FOR_TABLES, USES_FOR_GOST_TABLES = 34, 4
# Fewer than lanes, lanes exactly, a rest, several trees of 32, a chunk of 128 with a rest.
BATCH_SIZES = (5, 8, 9, 16, 23, 40, 64, 140, 300)


class LaneForge:
    """Makes batches of each kind in turn, with hostile items in each lane in turn."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._ecdsa = [Ecdsa(random, bits) for bits in NIST_CURVES]
        rsa = [Rsa(random, bits) for bits in (2048, 3072, 4096)]
        self._quick = [Ed25519(random), *self._ecdsa, *rsa]
        self._gost = [
            Gost(random, oid, is_kazakh) for oid in CURVES_BY_OID for is_kazakh in (True, False)
        ]
        self._kinds = self._in_turn()
        lanes = enumerate((*self._quick, *self._gost))
        self._lanes = {kind.name: cycle(_rotated(place)) for place, kind in lanes}

    def _in_turn(self) -> Iterator[Kind]:
        """Yield all other kinds, then one of GOST's curves, and so on."""
        for curve in cycle(self._gost):
            yield from self._quick
            yield curve

    def first_batches(self) -> Iterator[tuple[Kind, verification_pb2.BatchVerifyRequest]]:
        """Yield a batch for each curve, after which the kernel has the tables of all known keys."""
        for kind in (*self._ecdsa, *self._gost):
            request = verification_pb2.BatchVerifyRequest()
            uses = USES_FOR_GOST_TABLES if isinstance(kind, Gost) else USES_FOR_TABLES
            for signer, item in enumerate(kind.of_each_key()):
                request.signers.add(public_key=item.spki)
                for _ in range(uses):
                    item.add_to(request, signer)
            yield kind, request

    def batch(self) -> tuple[Kind, tuple[int, ...], verification_pb2.BatchVerifyRequest]:
        """Return a batch's kind of key, its hostile items' places, and the request."""
        random, kind = self._random, next(self._kinds)
        lane = next(self._lanes[kind.name])
        size = max(random.choice(BATCH_SIZES), lane + 1)
        known = random.choice((1.0, 1.0, 0.5, 0.0))
        places = self._places(size, lane)
        request = verification_pb2.BatchVerifyRequest()
        signers: dict[bytes, int] = {}
        for spot in range(size):
            if spot in places:
                item = kind.drawn(kind.hostile)
            elif random.random() < known:
                item = kind.drawn(kind.known)
            else:
                item = kind.new()
            if item.spki not in signers:
                signers[item.spki] = len(signers)
                request.signers.add(public_key=item.spki)
            item.add_to(request, signers[item.spki])
        return kind, places, request

    def _places(self, size: int, lane: int) -> tuple[int, ...]:
        """Return where hostile items stand: one of this lane, or several, or all."""
        random = self._random
        of_lane = range(lane, size, LANES)
        return random.choice(
            (
                (random.choice(of_lane),),
                (random.choice(of_lane),),
                tuple(of_lane),
                tuple(sorted({random.choice(of_lane), *random.sample(range(size), 3)})),
                tuple(range(size)),
            )
        )


def _rotated(start: int) -> list[int]:
    return [(start + lane) % LANES for lane in range(LANES)]
