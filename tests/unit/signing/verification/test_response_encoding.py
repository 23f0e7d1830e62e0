"""Responses encoded by hand are those that protobuf makes."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from qagazsyz.signing.v1 import verification_pb2
from services.signing.verification.response_encoding import (
    batch_of_stream_request,
    batch_verify_response,
    stream_response,
    verify_response,
)
from services.signing.verification.trust import CertificateStatus, SignerResult
from signatures.algorithms import Verdict
from signatures.fields import MalformedFields

results = st.builds(SignerResult, st.sampled_from(CertificateStatus), st.text(max_size=200))
verdict_numbers = st.sampled_from([int(verdict) for verdict in Verdict])


@given(verdict_numbers, results)
def test_a_single_response_is_protobufs(verdict: int, signer: SignerResult) -> None:
    answer = verification_pb2.VerifyResponse.FromString(verify_response(verdict, signer))
    assert answer.verdict == verdict
    assert answer.HasField("signer")
    assert int(answer.signer.certificate_status) == signer.status
    assert answer.signer.subject == signer.subject


@given(
    st.lists(verdict_numbers, max_size=400),
    st.integers(0, 300),
    st.dictionaries(st.integers(0, 299), results),
)
def test_a_batchs_response_is_protobufs(
    verdicts: list[int], signer_count: int, checked: dict[int, SignerResult]
) -> None:
    checked = {index: result for index, result in checked.items() if index < signer_count}
    data = batch_verify_response(bytes(verdicts), signer_count, checked)
    answer = verification_pb2.BatchVerifyResponse.FromString(data)
    assert list(answer.verdicts) == verdicts
    assert answer.valid_count == verdicts.count(1)
    assert len(answer.signers) == signer_count
    for index, signer in enumerate(answer.signers):
        expected = checked.get(index, SignerResult())
        assert int(signer.certificate_status) == expected.status
        assert signer.subject == expected.subject


@given(st.integers(0, 2**40), st.lists(verdict_numbers, max_size=300))
def test_a_streams_response_is_protobufs(sequence: int, verdicts: list[int]) -> None:
    batch = batch_verify_response(bytes(verdicts), 0, {})
    answer = verification_pb2.StreamVerifyResponse.FromString(stream_response(sequence, batch))
    assert answer.sequence == sequence
    assert answer.WhichOneof("result") == "batch"
    assert list(answer.batch.verdicts) == verdicts
    error = status_pb2.Status(code=3, message="bad" * len(verdicts))
    answer = verification_pb2.StreamVerifyResponse.FromString(stream_response(sequence, error))
    assert answer.error == error


@given(st.binary(max_size=300))
def test_a_streams_request_is_unwrapped_as_protobuf_does(data: bytes) -> None:
    try:
        message = verification_pb2.StreamVerifyRequest.FromString(data)
    except DecodeError:
        message = None
    try:
        found = batch_of_stream_request(data)
        # The wrapper lets the batch through unread: who takes it decodes it.
        batch = verification_pb2.BatchVerifyRequest.FromString(found or b"")
    except (DecodeError, MalformedFields):
        assert message is None
        return
    assert message is not None
    assert (found is not None) == message.HasField("batch")
    assert batch == message.batch


def test_a_batch_that_comes_in_two_parts_is_merged() -> None:
    one = verification_pb2.StreamVerifyRequest(
        batch=verification_pb2.BatchVerifyRequest(items=[verification_pb2.SignedItem(signer=1)])
    ).SerializeToString()
    merged = batch_of_stream_request(one + one)
    assert merged is not None
    assert len(verification_pb2.BatchVerifyRequest.FromString(merged).items) == 2


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff"])
def test_a_truncated_request_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedFields):
        batch_of_stream_request(data)


def test_a_batch_in_too_many_parts_is_refused() -> None:
    with pytest.raises(MalformedFields):
        batch_of_stream_request(b"\x0a\x00" * 1_000)
