"""Verify receipts offline, with the log's verifier key alone.

A receipt proves that the transparency log has an entry about a document, a consent or an access.
Personal data stands in the entry as commitments, SHA-256(salt || value); the receipt opens those
that its holder may know. verify_receipt checks, in this order: the log's signature on the
checkpoint, the inclusion path from the entry to the checkpoint's root, each opening, and the
content, if given.

An entry says its version. Of one that is newer than this module the inclusion is verified, and its
meaning left to a newer one: `is_newer` says so, and no opening is read.

A receipt does not prove that the document is still in force (call CheckDocument), nor that all
callers are shown the same log (witnesses' cosignatures and `qagazsyz log follow` do).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from qagazsyz import merkle, notes
from qagazsyz.registry.v1 import receipts_pb2

# The versions of entries that are understood here.
ENTRY_VERSIONS = (1, 2)
SALT_BYTES = 32
# An entry's length stands in two bytes (C2SP tlog-tiles, entry bundles).
ENTRY_LIMIT_BYTES = 2**16 - 1

# "content_sha256", "subjects[0]", "officer".
_FIELD = re.compile(r"([a-z][a-z0-9_]*)(?:\[(0|[1-9][0-9]{0,4})\])?", re.ASCII)
# The field of a registration's entry that commits to its content.
_CONTENT_FIELD = "content_sha256"


class ReceiptError(Exception):
    """Base of all errors of a receipt."""


class MalformedReceipt(ReceiptError):
    """The entry is not a canonical JSON object, or is too long."""


class WrongCheckpoint(ReceiptError):
    """The checkpoint is malformed, or not signed by the log."""


class NotCosigned(ReceiptError):
    """Fewer of the witnesses have cosigned the checkpoint than are asked for."""


class NotIncluded(ReceiptError):
    """The inclusion path does not lead from the entry to the checkpoint's root."""


class WrongOpening(ReceiptError):
    """An opening does not match the commitment that it names."""


class WrongContent(ReceiptError):
    """The content is not the registered one, or the receipt does not open its commitment."""


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt proves."""

    entry: Mapping[str, Any]
    log_index: int
    tree_size: int
    root_hash: bytes
    # Committed values by field: "subjects[0]" → the subject's name in UTF-8.
    openings: Mapping[str, bytes]
    # Whether content was given and compared.
    content_verified: bool
    # Names of the witnesses that cosigned, with the times in POSIX seconds.
    witnesses: Mapping[str, int]

    @property
    def is_newer(self) -> bool:
        """Whether the entry is of a version that is newer than this module, which then does not
        know what it means."""
        return _is_newer(self.entry)


def verify_receipt(
    receipt: receipts_pb2.Receipt,
    verifier_key: str | notes.VerifierKey,
    content: bytes | None = None,
    *,
    witnesses: Sequence[notes.VerifierKey] = (),
    cosignatures: int = 0,
) -> VerifiedReceipt:
    """Verify a receipt with the log's verifier key (as /log/key returns it).

    cosignatures: how many of the witnesses have to have cosigned its checkpoint.

    Raises a ReceiptError that says what is wrong, and NoteError if the verifier key is malformed.
    """
    key = (
        verifier_key
        if isinstance(verifier_key, notes.VerifierKey)
        else notes.VerifierKey.parse(verifier_key)
    )
    entry = parse_entry(receipt.entry)
    checkpoint, times = _verify_checkpoint(receipt.checkpoint, key, witnesses)
    if len(times) < cosignatures:
        raise NotCosigned(f"{len(times)} of the witnesses cosigned, {cosignatures} are asked for")
    try:
        merkle.verify_inclusion(
            merkle.leaf_hash(receipt.entry),
            receipt.log_index,
            checkpoint.tree_size,
            receipt.inclusion_path,
            checkpoint.root_hash,
        )
    except merkle.ProofError as error:
        raise NotIncluded(f"the log does not hold this entry there: {error}") from None
    openings = {} if _is_newer(entry) else _verify_openings(entry, receipt.openings)
    if content is not None and _is_newer(entry):
        raise WrongContent("the entry is of a newer version, whose content cannot be compared here")
    if content is not None:
        _verify_content(openings, content)
    return VerifiedReceipt(
        entry=entry,
        log_index=receipt.log_index,
        tree_size=checkpoint.tree_size,
        root_hash=checkpoint.root_hash,
        openings=openings,
        content_verified=content is not None,
        witnesses=times,
    )


def commitment(salt: bytes, value: bytes) -> str:
    """Return the commitment to a value: SHA-256(salt || value) in lower-case hex."""
    return hashlib.sha256(salt + value).hexdigest()


def parse_entry(data: bytes) -> dict[str, Any]:
    """Parse a log entry. Raises MalformedReceipt if it is no canonical JSON object (RFC 8785)."""
    if len(data) > ENTRY_LIMIT_BYTES:
        raise MalformedReceipt("the entry is too long")
    try:
        members = json.loads(data)
        canonical = rfc8785.dumps(members)
    # RecursionError: nested too deep. All other errors of both parsers are ValueErrors.
    except (ValueError, RecursionError):
        raise MalformedReceipt("the entry is no JSON") from None
    # Each entry has one encoding, so that two parsers cannot read it differently.
    if canonical != data or not isinstance(members, dict):
        raise MalformedReceipt("the entry is no canonical JSON object (RFC 8785)")
    return members


def _is_newer(entry: Mapping[str, Any]) -> bool:
    version = entry.get("v")
    return isinstance(version, int | float) and version > max(ENTRY_VERSIONS)


def _verify_checkpoint(
    data: bytes, key: notes.VerifierKey, witnesses: Sequence[notes.VerifierKey]
) -> tuple[notes.Checkpoint, dict[str, int]]:
    try:
        checkpoint = notes.open_checkpoint(data, key)
        verified = notes.Note.parse(data).verify(witnesses)
    except notes.NoteError as error:
        raise WrongCheckpoint(str(error)) from None
    times = {witness.name: time for witness, time in verified.items() if time is not None}
    return checkpoint, times


def _verify_openings(
    entry: Mapping[str, Any], openings: Sequence[receipts_pb2.Opening]
) -> dict[str, bytes]:
    opened: dict[str, bytes] = {}
    for opening in openings:
        if len(opening.salt) != SALT_BYTES:
            raise WrongOpening(f"the salt of {opening.field!r} has not {SALT_BYTES} bytes")
        if opening.field in opened:
            raise WrongOpening(f"{opening.field!r} is opened twice")
        if _committed(entry, opening.field) != commitment(opening.salt, opening.value):
            raise WrongOpening(f"{opening.field!r} is not what the entry commits to")
        opened[opening.field] = opening.value
    return opened


def _committed(entry: Mapping[str, Any], field: str) -> Any:
    match = _FIELD.fullmatch(field)
    if match is None:
        raise WrongOpening(f"{field!r} names no field of an entry")
    value = entry.get(match[1])
    if match[2] is None:
        return value
    position = int(match[2])
    return value[position] if isinstance(value, list) and position < len(value) else None


def _verify_content(openings: Mapping[str, bytes], content: bytes) -> None:
    expected = openings.get(_CONTENT_FIELD)
    if expected is None:
        raise WrongContent("the receipt does not open the content's hash")
    if hashlib.sha256(content).digest() != expected:
        raise WrongContent("the content is not the registered one")
