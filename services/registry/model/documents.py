"""Documents: their values, their states, and who may read and download them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.registry.model.accesses import Access
from services.registry.model.statements import StatementVersion
from services.runtime.access import Caller, Role
from services.runtime.clock import Randomness
from services.runtime.errors import FailedPrecondition

# Crockford's Base32, without the letters I, L, O and U.
_CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Letters that people type for similar digits.
_CODE_MISREADINGS = str.maketrans("OIL", "011")
# 80 bits: no guessing, no collisions.
CODE_LENGTH = 16
_CODE_GROUP = 4
_CODE = re.compile(f"[{_CODE_ALPHABET}]{{{CODE_LENGTH}}}")


class DocumentState(IntEnum):
    """Numbered as qagazsyz.registry.v1.DocumentState."""

    ACTIVE = 1
    REVOKED = 2
    EXPIRED = 3
    ERASED = 4


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over the document's statement."""

    # X.509, DER.
    certificate: bytes
    # The number of a qagazsyz.common.v1.SignatureAlgorithm, which signing alone interprets.
    algorithm: int
    signature: bytes
    # The subject whose certificate it is; "" while unverified, or if it belongs to no subject.
    signer: str
    statement_version: StatementVersion = StatementVersion.WITH_ISSUER


@dataclass(frozen=True, slots=True)
class Document:
    """A registered document, without its content. Erasure empties what is marked with *."""

    name: str
    document_type: str
    issuer: str
    subjects: tuple[str, ...]
    subject_salts: tuple[bytes, ...]  # *
    title: str  # *
    media_type: str
    size_bytes: int
    content_sha256: bytes  # *
    content_salt: bytes  # *
    signatures: tuple[Signature, ...]  # *
    verification_code: str
    log_index: int
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None = None
    revoke_reason: str = ""
    revoke_index: int | None = None
    erase_time: datetime | None = None
    erase_citation: str = ""
    erase_index: int | None = None

    def state(self, now: datetime) -> DocumentState:
        """Return its state: erased before revoked before expired."""
        if self.erase_time is not None:
            return DocumentState.ERASED
        if self.revoke_time is not None:
            return DocumentState.REVOKED
        if self.expire_time is not None and self.expire_time <= now:
            return DocumentState.EXPIRED
        return DocumentState.ACTIVE


def is_issuer(caller: Caller, document: Document) -> bool:
    """Return whether the caller acts for the organization that issued it."""
    return caller.has(Role.ROLE_OFFICER) and caller.organization == document.issuer


def is_subject(caller: Caller, document: Document) -> bool:
    """Return whether the caller, acting for themselves, is one of its subjects."""
    return caller.has(Role.ROLE_CITIZEN) and caller.subject in document.subjects


def may_read(caller: Caller, document: Document, access: Access | None, now: datetime) -> bool:
    """Return whether the caller may see the document without its content (GetDocument, GetReceipt).

    access: the record of the look-up that the caller named, if any.
    """
    return caller.has(Role.ROLE_AUDITOR) or may_download(caller, document, access, now)


def may_download(caller: Caller, document: Document, access: Access | None, now: datetime) -> bool:
    """Return whether the caller may see the content: those who may read, but auditors."""
    if is_subject(caller, document) or is_issuer(caller, document):
        return True
    return (
        caller.has(Role.ROLE_OFFICER)
        and access is not None
        and access.opens(document.name, caller.organization, now)
    )


def erased_error() -> FailedPrecondition:
    """Return the refusal of what an erased document no longer allows."""
    return FailedPrecondition("DOCUMENT_ERASED", "the document has been erased")


def make_verification_code(randomness: Randomness) -> str:
    """Return a new code: 16 letters and digits."""
    number = int.from_bytes(randomness(CODE_LENGTH * 5 // 8), "big")
    return "".join(_CODE_ALPHABET[number >> 5 * i & 31] for i in range(CODE_LENGTH))


def format_verification_code(code: str) -> str:
    """Return the code in groups of four with hyphens, as people read it."""
    return "-".join(code[i : i + _CODE_GROUP] for i in range(0, CODE_LENGTH, _CODE_GROUP))


def parse_verification_code(text: str) -> str | None:
    """Return the code in a text that a person typed, None for any other text."""
    # A longer text has more than separators too much.
    if len(text) > 2 * CODE_LENGTH:
        return None
    code = text.upper().replace("-", "").replace(" ", "").translate(_CODE_MISREADINGS)
    return code if _CODE.fullmatch(code) else None
