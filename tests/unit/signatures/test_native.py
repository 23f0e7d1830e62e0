"""The kernel as Python sees it: its interface, its limits, and what a hostile batch may cost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Verdict
from signatures.backend import MalformedRequest
from signatures.portable import PortableBackend
from tests.work_queues import verify_together

native = pytest.importorskip("signatures.native", reason="the native kernel is not built")

KERNEL = native.KernelBackend()
ED25519 = signatures_pb2.SIGNATURE_ALGORITHM_ED25519
ML_DSA_87 = signatures_pb2.SIGNATURE_ALGORITHM_ML_DSA_87
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SOURCES = Path(__file__).parents[3] / "signatures" / "kernel"

# A batch with bad signatures may cost this much of what its items cost one by one (issue's figure).
HOSTILE_LIMIT = 2.2


def request(count: int, bad: frozenset[int] = frozenset()) -> bytes:
    """So many Ed25519 signatures by one key, those in `bad` over another message."""
    made = verification_pb2.BatchVerifyRequest()
    made.signers.add(public_key=SPKI)
    for place in range(count):
        message = place.to_bytes(8, "big")
        signature = KEY.sign(b"another" if place in bad else message)
        item = made.items.add(message=message, signature=signature)
        item.algorithm = ED25519
    return made.SerializeToString()


def test_the_kernel_has_a_version() -> None:
    assert native.VERSION.count(".") == 2


@pytest.mark.parametrize("wire", [b"\x12", b"\x0a\x03\x1a\x01\xff", b"\x0c", b"\x00\x01"])
def test_bytes_that_are_no_request_are_refused(wire: bytes) -> None:
    with pytest.raises(MalformedRequest):
        KERNEL.parse_batch(wire)
    with pytest.raises(MalformedRequest):
        KERNEL.parse_single(wire)


@pytest.mark.parametrize("count", [1, 3, 4, 33, 257])
@pytest.mark.parametrize("threads", [1, 2])
def test_each_bad_signature_is_found_wherever_it_is(count: int, threads: int) -> None:
    backend = native.KernelBackend(threads=threads)
    for bad in ({0}, {count - 1}, set(range(0, count, 7)), set(range(count))):
        verdicts = backend.parse_batch(request(count, frozenset(bad))).verify(0, count)
        assert {place for place in range(count) if verdicts[place] != Verdict.VALID} == bad


def test_parts_of_a_batch_are_verified_by_several_threads_at_once() -> None:
    batch = KERNEL.parse_batch(request(800, frozenset({7, 555})))
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda start: batch.verify(start, start + 50), range(0, 800, 50)))
    assert b"".join(parts) == batch.verify(0, 800)
    assert b"".join(parts).count(Verdict.INVALID_SIGNATURE) == 2


def test_several_requests_are_verified_in_one_call() -> None:
    batches = [KERNEL.parse_batch(request(count, frozenset({0}))) for count in (1, 5, 0, 2)]
    answers = verify_together(KERNEL, batches)
    assert [len(answer) for answer in answers] == [1, 5, 0, 2]
    assert answers == [batch.verify(0, batch.item_count) for batch in batches]


def test_items_past_the_contract_s_limit_are_counted_and_not_kept() -> None:
    batch = KERNEL.parse_batch(b"\x12\x00" * 10_001 + b"\x0a\x00" * 10_002)
    assert (batch.item_count, batch.signer_count) == (10_001, 10_002)
    assert batch.verify(9_999, 10_000) == bytes([Verdict.UNKNOWN_SIGNER])
    with pytest.raises(IndexError):
        batch.verify(10_000, 10_001)


def test_a_request_takes_its_keys_before_verification_only() -> None:
    made = verification_pb2.BatchVerifyRequest()
    made.signers.add(key_version="keys/a/versions/1")
    item = made.items.add(message=b"a", signature=KEY.sign(b"a"))
    item.algorithm = ED25519
    batch = KERNEL.parse_batch(made.SerializeToString())
    batch.set_key(0, b"junk")
    batch.set_key(0, SPKI)
    assert batch.verify(0, 1) == bytes([Verdict.VALID])
    with pytest.raises(ValueError, match="already"):
        batch.set_key(0, None)
    with pytest.raises(IndexError):
        batch.set_key(1, SPKI)


def test_a_signature_that_holds_is_worth_what_its_signer_is() -> None:
    batch = KERNEL.parse_batch(request(5, frozenset({2})))
    batch.set_trust(0, Verdict.UNTRUSTED_SIGNER)
    untrusted, invalid = Verdict.UNTRUSTED_SIGNER, Verdict.INVALID_SIGNATURE
    assert list(batch.verify(0, 5)) == [untrusted, untrusted, invalid, untrusted, untrusted]
    with pytest.raises(ValueError, match="99"):
        batch.set_trust(0, 99)


def test_more_keys_than_the_cache_holds_are_verified_all_the_same() -> None:
    # Large keys fill the cache's generations several times over; the first key comes back at last.
    made = verification_pb2.BatchVerifyRequest()
    for number in range(20_000):
        # SubjectPublicKeyInfo of ML-DSA-87, any 2,592 bytes being a key.
        key = number.to_bytes(4, "big") + bytes(2588)
        made.signers.add(
            public_key=bytes.fromhex("30820a32300b060960864801650304031303820a2100") + key
        )
    for start in range(0, 20_000, 10_000):
        part = verification_pb2.BatchVerifyRequest(signers=made.signers[start : start + 10_000])
        for index in range(10_000):
            part.items.add(
                signer=index, message=b"", algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ML_DSA_87
            )
        batch = KERNEL.parse_batch(part.SerializeToString())
        assert batch.verify(0, 10_000) == bytes([Verdict.MALFORMED_SIGNATURE]) * 10_000
    batch = KERNEL.parse_batch(request(10))
    assert batch.verify(0, 10) == bytes([Verdict.VALID]) * 10


def test_a_hostile_batch_costs_little_more_than_its_items_alone() -> None:
    count = 400

    def cost(wire: bytes, alone: bool) -> float:
        best = float("inf")
        for _ in range(5):
            batch = KERNEL.parse_batch(wire)
            started = time.thread_time()
            if alone:
                for place in range(count):
                    batch.verify(place, place + 1)
            else:
                batch.verify(0, count)
            best = min(best, time.thread_time() - started)
        return best

    singly = cost(request(count), alone=True)
    for bad in (range(0, count, 100), range(0, count, 10), range(0, count, 4), range(count)):
        assert cost(request(count, frozenset(bad)), alone=False) < HOSTILE_LIMIT * singly


def test_the_kernel_has_unsafe_code_at_its_entry_points_only() -> None:
    assert 'unsafe_code = "deny"' in (SOURCES / "Cargo.toml").read_text()
    allowed = [
        path.name
        for path in (SOURCES / "src").rglob("*.rs")
        if "allow(unsafe_code" in path.read_text()
    ]
    assert set(allowed) <= {"entries.rs"}


def test_a_queue_refuses_items_that_a_batch_does_not_have_and_batches_of_others() -> None:
    queue = KERNEL.queue()
    batch = KERNEL.parse_batch(request(3, frozenset()))
    for start, stop in ((0, 4), (2, 1)):
        with pytest.raises(IndexError):
            queue.put([(batch, start, stop)], None)
    with pytest.raises(TypeError):
        queue.put([(PortableBackend().parse_batch(b""), 0, 0)], None)
    queue.close()
