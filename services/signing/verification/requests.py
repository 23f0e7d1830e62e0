"""Parse the requests of VerificationService, beyond what the backend parses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.message import DecodeError

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.common.v1.certificates_pb2 import RequiredRole
from qagazsyz.signing.v1 import verification_pb2
from services.runtime.errors import InvalidArgument
from services.signing.verification.trust import CertificateRole, RoleRequirement, TrustPolicy
from signatures.backend import Batch
from signatures.fields import MalformedFields, length_delimited

# The contract's limits.
ITEMS_LIMIT = 10_000
SIGNERS_LIMIT = 10_000

# Up to about this size, protobuf decodes a request faster than Python walks its fields; a typical
# one in a third of the time.
DECODED_BYTES = 64 * 1024

_SIGNER = verification_pb2.VerifyRequest.SIGNER_FIELD_NUMBER
_ITEM = verification_pb2.VerifyRequest.ITEM_FIELD_NUMBER
_TIME_STAMP = verification_pb2.VerifyRequest.TIME_STAMP_FIELD_NUMBER
_SIGNATURE = verification_pb2.SignedItem.SIGNATURE_FIELD_NUMBER

_BIN = re.compile(r"[0-9]{12}")
_ROLES: frozenset[int] = frozenset(CertificateRole) - {CertificateRole.UNSPECIFIED}
# The contract: the roles that sign for an organization, if the request names no role.
_SIGNING_ROLES = frozenset({CertificateRole.FIRST_HEAD, CertificateRole.MAY_SIGN})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ParsedTrust:
    """How a request wants its signers checked."""

    policy: TrustPolicy
    # None: now.
    at: datetime | None
    role: RoleRequirement | None


@dataclass(frozen=True, slots=True)
class StampedSignature:
    """A time-stamp token, and the signature that it should be over."""

    token: bytes
    signature: bytes


def malformed() -> InvalidArgument:
    """Return the error for bytes that cannot be parsed."""
    return InvalidArgument("", "the bytes are no message of this method")


def check_counts(batch: Batch, *, prefix: str = "") -> None:
    """Raise InvalidArgument for more items or signers than the contract allows."""
    if batch.item_count > ITEMS_LIMIT:
        raise InvalidArgument(f"{prefix}items", f"more than {ITEMS_LIMIT:,}")
    if batch.signer_count > SIGNERS_LIMIT:
        raise InvalidArgument(f"{prefix}signers", f"more than {SIGNERS_LIMIT:,}")


def parse_trust(batch: Batch, *, prefix: str = "") -> ParsedTrust:
    """Parse trust_policy, at and required_role. Raises InvalidArgument.

    prefix: the path of the batch in the request, for the error's field.
    """
    try:
        policy = TrustPolicy(batch.trust_policy)
    except ValueError:
        raise InvalidArgument(f"{prefix}trust_policy", "unknown policy") from None
    try:
        at = parse_time(*batch.at) if batch.at is not None else None
    except ValueError:
        raise InvalidArgument(f"{prefix}at", "not a valid time") from None
    asked = batch.required_role
    role = _parse_role(asked, policy, f"{prefix}required_role") if asked is not None else None
    return ParsedTrust(policy, at, role)


def _parse_role(asked: RequiredRole, policy: TrustPolicy, field: str) -> RoleRequirement:
    if policy is TrustPolicy.SIGNATURE_ONLY:
        raise InvalidArgument(field, "not with TRUST_POLICY_SIGNATURE_ONLY, which checks no role")
    if asked.bin and not _BIN.fullmatch(asked.bin):
        raise InvalidArgument(f"{field}.bin", "not twelve digits")
    if len(asked.roles) > len(_ROLES) or any(role not in _ROLES for role in asked.roles):
        raise InvalidArgument(f"{field}.roles", "unknown role")
    return RoleRequirement(frozenset(asked.roles) or _SIGNING_ROLES, asked.bin, asked.on_sim)


def parse_time(seconds: int, nanos: int) -> datetime:
    """Return a Timestamp's time, to the microsecond. Raises ValueError out of its range."""
    if not 0 <= nanos < 1_000_000_000:
        raise ValueError("nanos")
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise ValueError("seconds") from None


def find_stamped_signature(
    request: bytes, *, decoded_bytes: int = DECODED_BYTES
) -> StampedSignature | None:
    """Return a VerifyRequest's time-stamp and the signature under it, or None without one.

    The backend has parsed the request, but gives neither. Up to decoded_bytes, protobuf decodes it
    again. Of a larger one, whose copy may take 20 MiB and milliseconds of the event loop, only the
    fields' lengths are walked. Raises InvalidArgument if signer or item is missing.
    """
    if len(request) > decoded_bytes:
        return _walk(request)
    try:
        message = verification_pb2.VerifyRequest.FromString(request)
    except DecodeError:
        raise malformed() from None
    for field in ("signer", "item"):
        if not message.HasField(field):
            raise InvalidArgument(field, "is required")
    if not message.time_stamp:
        return None
    return StampedSignature(message.time_stamp, message.item.signature)


def _walk(request: bytes) -> StampedSignature | None:
    # As in protobuf, the last of several values counts, and the parts of one item are merged.
    token, signature = b"", b""
    has_signer = False
    items: list[tuple[int, int]] = []
    try:
        for number, start, stop in length_delimited(request):
            if number == _SIGNER:
                has_signer = True
            elif number == _ITEM:
                items.append((start, stop))
            elif number == _TIME_STAMP:
                token = request[start:stop]
        for field, is_set in (("signer", has_signer), ("item", bool(items))):
            if not is_set:
                raise InvalidArgument(field, "is required")
        if not token:
            return None
        for item in items:
            for number, start, stop in length_delimited(request, *item):
                if number == _SIGNATURE:
                    signature = request[start:stop]
    except MalformedFields:
        raise malformed() from None
    return StampedSignature(token, signature)


def encode_batch(texts: Sequence[signatures_pb2.SignedText]) -> bytes:
    """Return the request that verifies each text by its own signer, for the backend."""
    request = verification_pb2.BatchVerifyRequest()
    for index, each in enumerate(texts):
        request.signers.add(certificate=each.certificate)
        request.items.add(
            signer=index, algorithm=each.algorithm, message=each.text, signature=each.signature
        )
    return request.SerializeToString()
