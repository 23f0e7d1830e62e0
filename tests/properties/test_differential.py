"""Kernel and portable backend agree on every input, and a batch on what its items get alone."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Verdict
from signatures.backend import Backend, Batch, MalformedRequest
from signatures.gost.curves import CURVES_BY_OID
from signatures.portable import PortableBackend
from tests.properties.forge import Forge, Sample, ecdsa_samples, gost_samples, samples
from tests.unit.signatures.builders import contract_algorithm
from tests.work_queues import verify_together

native = pytest.importorskip("signatures.native", reason="the native kernel is not built")

# What `make fuzz` verifies at least, and where it begins: another start gives other inputs.
LONG_RUN_ITEMS = 200_000
LONG_RUN_SEED = int(os.environ.get("SEED", "1"))

PORTABLE = PortableBackend()
KERNELS = [native.KernelBackend(threads=1), native.KernelBackend(threads=2)]


def _parse(backend: Backend, request: bytes, single: bool) -> Batch | None:
    try:
        return backend.parse_single(request) if single else backend.parse_batch(request)
    except MalformedRequest:
        return None


def _seen(batch: Batch) -> tuple[object, ...]:
    counts = batch.item_count, batch.signer_count, batch.trust_policy, batch.at
    return (*counts, batch.named_signers())


def _answer(
    batch: Batch, keys: list[tuple[int, bytes | None]], doubts: list[int], cuts: list[int]
) -> bytes:
    for index, spki in keys:
        batch.set_key(index, spki)
    for index in doubts:
        batch.set_trust(index, Verdict.UNTRUSTED_SIGNER)
    places = [0, *cuts, batch.item_count]
    parts = [batch.verify(start, stop) for start, stop in pairwise(places)]
    return b"".join(parts)


def disagreements(random: Random, request: bytes, single: bool = False) -> list[str]:
    """What the backends say differently of one request; as text, to be read."""
    kernel = random.choice(KERNELS)
    expected, found = _parse(PORTABLE, request, single), _parse(kernel, request, single)
    if expected is None or found is None:
        return [] if expected is found else [f"only one takes {request.hex()}"]
    if _seen(expected) != _seen(found):
        return [f"read differently: {request.hex()}"]
    every = [sample for group in samples().values() for sample in group]
    keys = [
        (index, random.choice((None, b"", random.choice(every).spki)))
        for index, field, _ in expected.named_signers()
        if field == 3 or random.random() < 0.2
    ]
    count = expected.item_count
    cuts = sorted(random.randrange(count + 1) for _ in range(random.choice((0, 0, 2))))
    doubts = [index for index in range(expected.signer_count) if random.random() < 0.02]
    answers = _answer(expected, keys, doubts, cuts), _answer(found, keys, doubts, cuts)
    return [
        f"item {place}: {Verdict(a).name} and {Verdict(b).name} for {request.hex()} with {keys}"
        for place, (a, b) in enumerate(zip(*answers, strict=True))
        if a != b
    ]


def test_what_the_forge_starts_from_holds() -> None:
    request = verification_pb2.BatchVerifyRequest()
    for group in samples().values():
        for sample in group:
            if not sample.message.startswith(b"salt"):
                request.items.add(
                    signer=len(request.signers),
                    algorithm=contract_algorithm(sample.algorithm),
                    message=sample.message,
                    signature=sample.signature,
                )
                request.signers.add(public_key=sample.spki)
    count = len(request.items)
    for backend in (*KERNELS, PORTABLE):
        batch = backend.parse_batch(request.SerializeToString())
        assert batch.verify(0, count) == bytes([Verdict.VALID]) * count


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_batch_gets_the_same_verdicts_from_both_backends(seed: int) -> None:
    random = Random(seed)
    forge = Forge(random)
    assert disagreements(random, forge.wire(forge.batch().SerializeToString())) == []


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_single_request_gets_the_same_verdict_from_both_backends(seed: int) -> None:
    random = Random(seed)
    forge = Forge(random)
    batch = forge.batch()
    for item in batch.items[:10]:
        single = verification_pb2.VerifyRequest(item=item, trust_policy=batch.trust_policy)
        if item.signer < len(batch.signers):
            single.signer.CopyFrom(batch.signers[item.signer])
        assert disagreements(random, forge.wire(single.SerializeToString()), single=True) == []


@settings(max_examples=30, deadline=None)
@given(request=st.binary(max_size=60))
def test_arbitrary_bytes_are_taken_or_refused_by_both(request: bytes) -> None:
    assert disagreements(Random(0), request) == []
    assert disagreements(Random(0), request, single=True) == []


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_batch_returns_exactly_what_its_items_get_alone(seed: int) -> None:
    kernel = KERNELS[0]
    request = Forge(Random(seed)).batch()
    together = kernel.parse_batch(request.SerializeToString())
    alone = kernel.parse_batch(request.SerializeToString())
    singly = b"".join(alone.verify(place, place + 1) for place in range(len(request.items)))
    assert together.verify(0, len(request.items)) == singly
    assert verify_together(kernel, [alone, together, alone]) == [singly, singly, singly]


NIST_CURVES = {
    "P-256": (ec.SECP256R1(), 2, 32),
    "P-384": (ec.SECP384R1(), 3, 48),
    "P-521": (ec.SECP521R1(), 4, 64),
}


@pytest.mark.parametrize("curve", [*CURVES_BY_OID, *NIST_CURVES])
def test_a_key_that_comes_again_is_verified_as_at_its_first_use(curve: str) -> None:
    # The kernel makes tables of a key's multiples at its third use: new keys, and each thrice.
    random = Random(curve)
    made: list[Sample] = (
        ecdsa_samples(random, *NIST_CURVES[curve])
        if curve in NIST_CURVES
        else gost_samples(random, curve)
    )
    forge, request = Forge(random), verification_pb2.BatchVerifyRequest()
    for sample in made:
        spoiled = forge.bend(sample.message), forge.bend(sample.signature)
        for message, signature in (
            (sample.message, sample.signature),
            (spoiled[0], sample.signature),
            (sample.message, spoiled[1]),
        ):
            item = request.items.add(signer=len(request.signers))
            item.algorithm = contract_algorithm(sample.algorithm)
            item.message, item.signature = message, signature
        request.signers.add(public_key=sample.spki)
    wire = request.SerializeToString()
    batch, places = KERNELS[0].parse_batch(wire), list(range(len(request.items)))
    expected = PORTABLE.parse_batch(wire).verify(0, len(places))
    for _ in range(2):
        random.shuffle(places)
        assert [batch.verify(place, place + 1)[0] for place in places] == [
            expected[place] for place in places
        ], wire.hex()


@pytest.mark.long
@pytest.mark.skipif("LONG_RUN" not in os.environ, reason="make fuzz runs it")
def test_two_hundred_thousand_mutated_items_and_no_disagreement() -> None:
    random = Random(LONG_RUN_SEED)
    forge = Forge(random)
    items, requests, started = 0, 0, time.monotonic()
    while items < LONG_RUN_ITEMS:
        batch = forge.batch()
        assert disagreements(random, forge.wire(batch.SerializeToString())) == []
        items += len(batch.items)
        requests += 1
    seconds = time.monotonic() - started
    print(f"{items:,} items in {requests:,} requests, 0 disagreements, {seconds:.0f} s")
