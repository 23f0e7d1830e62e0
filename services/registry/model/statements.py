"""What an issuer signs: the statement of a document, and what makes two of them the same.

A signature covers not the content alone but the content's hash together with
whom it is about and what type it is of, so that nobody can file signed content
under another subject or another type (documents.proto, DocumentSignature).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.registry.log.canonical_json import canonical_json

STATEMENT_VERSION = 1


def statement(
    *,
    content_sha256: bytes,
    document_type: str,
    media_type: str,
    subjects: Sequence[str],
    expire_time: datetime | None,
) -> bytes:
    """The statement as canonical JSON (RFC 8785), which every signature of a document is over.

    expire_time must be in whole seconds, or None where the document never expires.
    """
    members: dict[str, Any] = {
        "v": STATEMENT_VERSION,
        "content_sha256": content_sha256.hex(),
        "document_type": document_type,
        "media_type": media_type,
        "subjects": list(subjects),
    }
    if expire_time is not None:
        members["expire_time"] = in_seconds(expire_time)
    return canonical_json(members)


def statement_key(issuer: str, statement: bytes) -> bytes:
    """The 32 bytes that the same statement by the same issuer always has, and no other."""
    return hashlib.sha256(issuer.encode() + b"\x00" + statement).digest()


def in_seconds(moment: datetime) -> str:
    """The time in RFC 3339, UTC, whole seconds: "2027-01-31T00:00:00Z"."""
    # isoformat, unlike strftime, writes years before 1000 with four digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def in_microseconds(moment: datetime) -> str:
    """The same to the microsecond, for when something happened."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
