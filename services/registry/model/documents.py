"""Documents: what one is, what state it is in, and who may come to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.registry.model.accesses import Access
from services.runtime.access import Caller, Role
from services.runtime.clock import Randomness

# Crockford's alphabet: no letter that is taken for a digit or another letter.
_CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# What people write for what they see.
_CODE_MISREADINGS = str.maketrans("OIL", "011")
# 80 bits: a code can be neither guessed nor met twice by chance.
CODE_LENGTH = 16
_CODE_GROUP = 4
_CODE = re.compile(f"[{_CODE_ALPHABET}]{{{CODE_LENGTH}}}")


class DocumentState(IntEnum):
    """qagazsyz.registry.v1.DocumentState."""

    ACTIVE = 1
    REVOKED = 2
    EXPIRED = 3
    ERASED = 4


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over the document's statement, and whose it was found to be."""

    certificate: bytes
    algorithm: int
    signature: bytes
    signer: str


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
        """Its state: what was done to it last, or whether its time is over."""
        if self.erase_time is not None:
            return DocumentState.ERASED
        if self.revoke_time is not None:
            return DocumentState.REVOKED
        if self.expire_time is not None and self.expire_time <= now:
            return DocumentState.EXPIRED
        return DocumentState.ACTIVE


def is_issuer(caller: Caller, document: Document) -> bool:
    """Whether the caller acts for the organization that issued it."""
    return caller.has(Role.ROLE_OFFICER) and caller.organization == document.issuer


def is_subject(caller: Caller, document: Document) -> bool:
    """Whether the document is about the caller, who acts for themselves."""
    return caller.has(Role.ROLE_CITIZEN) and caller.subject in document.subjects


def may_read(caller: Caller, document: Document, access: Access | None, now: datetime) -> bool:
    """Whether the caller may see what the document says of itself (GetDocument, GetReceipt).

    access: the look-up that the caller named, if any.
    """
    return caller.has(Role.ROLE_AUDITOR) or may_download(caller, document, access, now)


def may_download(caller: Caller, document: Document, access: Access | None, now: datetime) -> bool:
    """Whether the caller may see the content: those who may read, but auditors."""
    if is_subject(caller, document) or is_issuer(caller, document):
        return True
    return (
        caller.has(Role.ROLE_OFFICER)
        and access is not None
        and access.opens(document.name, caller.organization, now)
    )


def make_verification_code(randomness: Randomness) -> str:
    """A new code: 16 letters and digits."""
    number = int.from_bytes(randomness(CODE_LENGTH * 5 // 8), "big")
    return "".join(_CODE_ALPHABET[number >> 5 * i & 31] for i in range(CODE_LENGTH))


def show_verification_code(code: str) -> str:
    """The code as people read it: in fours, with hyphens."""
    return "-".join(code[i : i + _CODE_GROUP] for i in range(0, CODE_LENGTH, _CODE_GROUP))


def read_verification_code(text: str) -> str | None:
    """The code that somebody typed, or None where it can be none."""
    # Longer ones are not worth the work.
    if len(text) > 2 * CODE_LENGTH:
        return None
    code = text.upper().replace("-", "").replace(" ", "").translate(_CODE_MISREADINGS)
    return code if _CODE.fullmatch(code) else None
