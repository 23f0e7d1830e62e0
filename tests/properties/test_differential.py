"""Kernel and portable backend agree on every input, and a batch on what its items get alone."""

from __future__ import annotations

from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Verdict
from signatures.gost.curves import CURVES_BY_OID
from signatures.portable import PortableBackend
from tests.properties.forge import Forge, Sample, ecdsa_samples, gost_samples, samples
from tests.properties.questions import difference, question
from tests.unit.signatures.builders import contract_algorithm
from tests.work_queues import verify_together

native = pytest.importorskip("signatures.native", reason="the native kernel is not built")

PORTABLE = PortableBackend()
KERNELS = [native.KernelBackend(threads=1), native.KernelBackend(threads=2)]


def disagreement(random: Random, request: bytes, single: bool = False) -> str:
    """Return how the backends differ over one request, to be read; empty if they do not."""
    kernel = random.choice(KERNELS)
    asked = question(random, PORTABLE, request, single)
    return difference(asked, {"portable": asked.ask(PORTABLE), "kernel": asked.ask(kernel)})


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
    assert disagreement(random, forge.wire(forge.batch().SerializeToString())) == ""


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
        assert disagreement(random, forge.wire(single.SerializeToString()), single=True) == ""


@settings(max_examples=30, deadline=None)
@given(request=st.binary(max_size=60))
def test_arbitrary_bytes_are_taken_or_refused_by_both(request: bytes) -> None:
    assert disagreement(Random(0), request) == ""
    assert disagreement(Random(0), request, single=True) == ""


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
