"""A message's own fields are found where protobuf finds them."""

from __future__ import annotations

import tracemalloc

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from qagazsyz.signing.v1 import verification_pb2
from signatures.fields import MalformedFields, length_delimited
from signatures.portable import ENTRIES_LIMIT, PortableBackend


@given(st.binary(max_size=60))
@example(b"\x0b\x0c")
@example(b"\x0b\x13\x0c\x14")
@example(b"\x0b")
@example(b"\x0c")
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
@example(b"\x82\x80\x80\x80\x80\x00\x00")
@example(b"\x00\x00")
def test_what_protobuf_takes_is_taken(data: bytes) -> None:
    # Of a message without fields, Empty, upb takes a field of number 0 too; of no other.
    try:
        Duration.FromString(data)
    except DecodeError:
        return
    for _, start, stop in length_delimited(data):
        assert 0 <= start <= stop <= len(data)


@given(st.lists(st.sampled_from(["signers", "items"]), max_size=50))
def test_fields_are_found_in_order(names: list[str]) -> None:
    data = b""
    for name in names:
        request = verification_pb2.BatchVerifyRequest()
        getattr(request, name).add()
        data += request.SerializeToString()
    numbers = [number for number, _, _ in length_delimited(data)]
    assert numbers == [1 if name == "signers" else 2 for name in names]


def test_too_many_entries_are_counted_and_not_decoded() -> None:
    request = b"\x12\x00" * 1_000_000
    tracemalloc.start()
    batch = PortableBackend().parse_batch(request)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert batch.item_count > ENTRIES_LIMIT
    assert peak < 1_000_000


def test_a_field_that_is_cut_off_is_refused() -> None:
    for data in (b"\x0a\x05ab", b"\x09\x00", b"\x00\x00", b"\x0f\x00", b"\x80"):
        try:
            list(length_delimited(data))
        except MalformedFields:
            continue
        raise AssertionError(data)
