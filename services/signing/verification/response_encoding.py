"""Encode verification's responses by hand, as protobuf would.

The kernel returns a batch's verdicts as the response has them: a packed enum field whose numbers
are below 128 is one byte an item. Making a protobuf list of them first would cost more than some of
the verifications. Property tests compare the bytes with protobuf's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from google.rpc import status_pb2

from services.signing.verification.trust import SignerResult
from signatures.algorithms import Verdict
from signatures.fields import MalformedFields, length_delimited

# Tags (field number * 8 + wire type) of the messages in verification.proto.
_VERDICTS = b"\x0a"  # BatchVerifyResponse.verdicts = 1, packed
_SIGNERS = b"\x12"  # BatchVerifyResponse.signers = 2, and VerifyResponse.signer = 2
_VALID_COUNT = b"\x18"  # BatchVerifyResponse.valid_count = 3
_VERDICT = b"\x08"  # VerifyResponse.verdict = 1
_SEQUENCE = b"\x08"  # StreamVerifyResponse.sequence = 1
_BATCH = b"\x12"  # StreamVerifyResponse.batch = 2
_ERROR = b"\x1a"  # StreamVerifyResponse.error = 3

_REQUEST_BATCH = 1  # StreamVerifyRequest.batch
# Clients write a batch in one part; protobuf lets a message come in several.
_PARTS_LIMIT = 100

# An empty SignerResult: the signer's certificate was not checked.
_NOT_CHECKED = _SIGNERS + b"\x00"
# LRU cache of encoded signers; about 10 MB.
_SIGNERS_CACHE_SIZE = 50_000


def verify_response(verdict: int, signer: SignerResult) -> bytes:
    """Encode a VerifyResponse."""
    return _VERDICT + bytes([verdict]) + _signer(signer)


def batch_verify_response(
    verdicts: bytes, signer_count: int, results: Mapping[int, SignerResult]
) -> bytes:
    """Encode a BatchVerifyResponse: a byte an item, and the result of each checked signer."""
    parts = []
    if verdicts:
        parts += [_VERDICTS, _varint(len(verdicts)), verdicts]
    if results:
        signers = [_NOT_CHECKED] * signer_count
        for index, result in results.items():
            signers[index] = _signer(result)
        parts += signers
    else:
        parts.append(_NOT_CHECKED * signer_count)
    if valid := count_valid(verdicts):
        parts += [_VALID_COUNT, _varint(valid)]
    return b"".join(parts)


def count_valid(verdicts: bytes) -> int:
    """Count the VALID items."""
    return verdicts.count(Verdict.VALID)


def stream_response(sequence: int, answer: bytes | status_pb2.Status) -> bytes:
    """Encode a StreamVerifyResponse around a BatchVerifyResponse's bytes, or an error."""
    place = _SEQUENCE + _varint(sequence) if sequence else b""
    if isinstance(answer, bytes):
        return b"".join((place, _BATCH, _varint(len(answer)), answer))
    error = answer.SerializeToString()
    return b"".join((place, _ERROR, _varint(len(error)), error))


def batch_of_stream_request(request: bytes) -> bytes | None:
    """Return the BatchVerifyRequest's bytes in a StreamVerifyRequest, or None without a batch.

    Raises MalformedFields if the bytes cannot be parsed.
    """
    parts = []
    for number, start, stop in length_delimited(request):
        if number == _REQUEST_BATCH:
            parts.append(request[start:stop])
            if len(parts) > _PARTS_LIMIT:
                raise MalformedFields("a batch in too many parts")
    # Concatenating the parts of a message merges them, by protobuf's rules.
    return b"".join(parts) if parts else None


@lru_cache(maxsize=_SIGNERS_CACHE_SIZE)
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
