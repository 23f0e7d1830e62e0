"""The statement of a document, which its issuer signs.

A signature covers the content's hash together with the document's subjects and type, so that signed
content cannot be filed under another subject or type (documents.proto, DocumentSignature).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.registry.log.canonical_json import canonical_json

STATEMENT_VERSION = 1


def encode_statement(
    *,
    content_sha256: bytes,
    document_type: str,
    media_type: str,
    subjects: Sequence[str],
    expire_time: datetime | None,
) -> bytes:
    """Return the statement as canonical JSON (RFC 8785), the text that is signed.

    expire_time: in whole seconds; None if the document never expires.
    """
    members: dict[str, Any] = {
        "v": STATEMENT_VERSION,
        "content_sha256": content_sha256.hex(),
        "document_type": document_type,
        "media_type": media_type,
        "subjects": list(subjects),
    }
    if expire_time is not None:
        members["expire_time"] = format_seconds(expire_time)
    return canonical_json(members)


def statement_key(issuer: str, statement: bytes) -> bytes:
    """Return the 32 bytes that identify a statement of an issuer: SHA-256 over both."""
    return hashlib.sha256(issuer.encode() + b"\x00" + statement).digest()


def format_seconds(moment: datetime) -> str:
    """Return the time as RFC 3339, UTC, in whole seconds: "2027-01-31T00:00:00Z"."""
    # isoformat, unlike strftime, writes years before 1000 with four digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def format_microseconds(moment: datetime) -> str:
    """Return the time as RFC 3339, UTC, in microseconds: "2027-01-31T00:00:00.000000Z"."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
