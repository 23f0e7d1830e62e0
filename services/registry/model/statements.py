"""The statement of a document, which its issuer signs.

A signature covers the content's hash together with the document's subjects, type and issuer, so
that signed content cannot be filed under another subject or type, or by another organization
(documents.proto, DocumentSignature). A statement of version 1 does not name its issuer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from qagazsyz.canonical_texts import format_seconds
from services.registry.log.canonical_json import canonical_json

# How long version 1 is taken after the registry first started with version 2.
VERSION_1_LASTS = timedelta(days=90)


class StatementVersion(Enum):
    """Numbered as DocumentSignature.statement_version, and as the statement's own `v`."""

    WITHOUT_ISSUER = 1
    WITH_ISSUER = 2


def encode_statement(
    *,
    version: StatementVersion,
    issuer: str,
    content_sha256: bytes,
    document_type: str,
    media_type: str,
    subjects: Sequence[str],
    expire_time: datetime | None,
) -> bytes:
    """Return the statement as canonical JSON (RFC 8785), the text that is signed.

    issuer: not in version 1. expire_time: in whole seconds; None if the document never expires.
    """
    members: dict[str, Any] = {
        "v": version.value,
        "content_sha256": content_sha256.hex(),
        "document_type": document_type,
        "media_type": media_type,
        "subjects": list(subjects),
    }
    if version is StatementVersion.WITH_ISSUER:
        members["issuer"] = issuer
    if expire_time is not None:
        members["expire_time"] = format_seconds(expire_time)
    return canonical_json(members)


def statement_key(issuer: str, statement: bytes) -> bytes:
    """Return the 32 bytes that identify an issuer's statement in all its versions.

    statement: in version 1, so that keys stored before version 2 stay.
    """
    return hashlib.sha256(issuer.encode() + b"\x00" + statement).digest()


def may_omit_issuer(issuer: str, signer: str, organizations: Collection[str]) -> bool:
    """Return whether a signature over a statement of version 1 can be meant for this issuer only.

    organizations: the ones that the signer is, or is or was an officer of. A seal is its own
    organization's, which is thereby bound like an issuer that the statement names.
    """
    return signer == issuer or all(each == issuer for each in organizations)
