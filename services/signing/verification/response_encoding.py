"""The bytes of verification's answers, put together by hand.

A batch's verdicts leave the kernel as they stand in the answer: the packed
field of an enum whose numbers are below 128 is one byte for each item. To make
a protobuf list of them first would cost more than some of the verifications.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from google.rpc import status_pb2

from services.signing.verification.signers import SignerResult
from signatures.algorithms import Verdict
from signatures.fields import MalformedFields, length_delimited

# Field number * 8 + wire type, of the messages in verification.proto.
_VERDICTS = b"\x0a"  # BatchVerifyResponse.verdicts = 1, packed
_SIGNERS = b"\x12"  # BatchVerifyResponse.signers = 2, and VerifyResponse.signer = 2
_VALID_COUNT = b"\x18"  # BatchVerifyResponse.valid_count = 3
_VERDICT = b"\x08"  # VerifyResponse.verdict = 1
_SEQUENCE = b"\x08"  # StreamVerifyResponse.sequence = 1
_BATCH = b"\x12"  # StreamVerifyResponse.batch = 2
_ERROR = b"\x1a"  # StreamVerifyResponse.error = 3

_REQUEST_BATCH = 1  # StreamVerifyRequest.batch
# Every client writes a batch in one part.
_PARTS_LIMIT = 100

# A signer that was not judged: a SignerResult without anything in it.
_NOT_JUDGED = _SIGNERS + b"\x00"
# Signers that come again and again have their few bytes made once; about 10 MB.
_KEPT_SIGNERS = 50_000


def verify_response(verdict: int, signer: SignerResult) -> bytes:
    """A VerifyResponse."""
    return _VERDICT + bytes([verdict]) + _signer(signer)


def batch_verify_response(
    verdicts: bytes, signer_count: int, judged: Mapping[int, SignerResult]
) -> bytes:
    """A BatchVerifyResponse: a byte for each item, and each signer's result, if it was judged."""
    parts = []
    if verdicts:
        parts += [_VERDICTS, _varint(len(verdicts)), verdicts]
    if judged:
        signers = [_NOT_JUDGED] * signer_count
        for index, result in judged.items():
            signers[index] = _signer(result)
        parts += signers
    else:
        parts.append(_NOT_JUDGED * signer_count)
    if valid := count_valid(verdicts):
        parts += [_VALID_COUNT, _varint(valid)]
    return b"".join(parts)


def count_valid(verdicts: bytes) -> int:
    """How many items are VALID."""
    return verdicts.count(Verdict.VALID)


def stream_response(sequence: int, answer: bytes | status_pb2.Status) -> bytes:
    """A StreamVerifyResponse around a BatchVerifyResponse's bytes, or an error."""
    place = _SEQUENCE + _varint(sequence) if sequence else b""
    if isinstance(answer, bytes):
        return b"".join((place, _BATCH, _varint(len(answer)), answer))
    error = answer.SerializeToString()
    return b"".join((place, _ERROR, _varint(len(error)), error))


def batch_of_stream_request(request: bytes) -> bytes | None:
    """The BatchVerifyRequest's bytes in a StreamVerifyRequest's, or None where it has none.

    Raises MalformedFields where the bytes are no such message.
    """
    parts = []
    for number, start, stop in length_delimited(request):
        if number == _REQUEST_BATCH:
            parts.append(request[start:stop])
            if len(parts) > _PARTS_LIMIT:
                raise MalformedFields("a batch in too many parts")
    # A message that comes in parts is merged, which putting its bytes together does.
    return b"".join(parts) if parts else None


@lru_cache(maxsize=_KEPT_SIGNERS)
def _signer(result: SignerResult) -> bytes:
    subject = result.subject.encode()
    body = _VERDICT + bytes([result.status]) if result.status else b""
    if subject:
        body += b"\x12" + _varint(len(subject)) + subject
    return _SIGNERS + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
