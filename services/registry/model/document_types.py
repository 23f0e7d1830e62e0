"""Document types: their issuers, and the laws that allow look-ups without consent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from qagazsyz.canonical_texts import format_microseconds
from services.registry.log.canonical_json import canonical_json
from services.registry.model.attributes import Attribute, check_attributes
from services.registry.model.consents import check_purpose
from services.runtime.errors import FailedPrecondition, InvalidArgument

# Far more than any type needs; they bound a type's row and answer.
ISSUERS_LIMIT = 1_000
LEGAL_BASES_LIMIT = 1_000
DISPLAY_NAMES_LIMIT = 50
DISPLAY_NAME_LENGTH = 200
CITATION_LENGTH = 500
# As long as a membership or a certificate waits for its second person.
LAPSES_AFTER = timedelta(days=7)

_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# The part of BCP 47 that languages here need: "kk", "kk-Latn", "ru-KZ".
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """A law that allows an organization to look up documents of the type without consent."""

    organization: str
    purpose: str
    citation: str
    expire_time: datetime | None

    def covers(self, organization: str, purpose: str, now: datetime) -> bool:
        """Return whether it allows the organization's look-up for that purpose, now."""
        return (
            self.organization == organization
            and self.purpose == purpose
            and (self.expire_time is None or now < self.expire_time)
        )


@dataclass(frozen=True, slots=True)
class PendingLegalBases:
    """All legal bases of a type, as one operator wants them; another has yet to approve them."""

    legal_bases: tuple[LegalBasis, ...]
    proposer: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class DocumentType:
    """A type of documents. Its etag changes with each update."""

    name: str
    display_names: Mapping[str, str]
    issuers: tuple[str, ...]
    legal_bases: tuple[LegalBasis, ...]
    attributes: tuple[Attribute, ...] = ()
    etag: str = ""
    pending: PendingLegalBases | None = None

    def pending_at(self, now: datetime) -> PendingLegalBases | None:
        """Return the legal bases that wait for a second operator at that time, unless lapsed."""
        if self.pending is None or now >= self.pending.create_time + LAPSES_AFTER:
            return None
        return self.pending

    def attribute(self, pointer: str) -> Attribute | None:
        """Return the attribute that the type declares at a JSON pointer, or None."""
        return next((each for each in self.attributes if each.pointer == pointer), None)

    def citation_for(self, organization: str, purpose: str, now: datetime) -> str:
        """Return the citation of a law that covers the organization's look-up, or ""."""
        for basis in self.legal_bases:
            if basis.covers(organization, purpose, now):
                return basis.citation
        return ""


@dataclass(frozen=True, slots=True)
class TypeChange:
    """A type as it was created or updated, for its entry in the log."""

    document_type: str
    time: datetime
    # SHA-256 of type_json.
    type_sha256: bytes
    issuers: Sequence[str]
    # The members of each, as in type_json.
    legal_bases: Sequence[Mapping[str, Any]]
    log_index: int = -1


def has_new_bases(document_type: DocumentType, present: tuple[LegalBasis, ...]) -> bool:
    """Return whether the type has legal bases beside those present."""
    return any(each not in present for each in document_type.legal_bases)


def await_second(
    document_type: DocumentType, present: tuple[LegalBasis, ...], proposer: str, now: datetime
) -> DocumentType:
    """Return the type with the present legal bases that it keeps, while its new ones wait.

    Those that it leaves out end at once: that only stops something.
    """
    return replace(
        document_type,
        legal_bases=tuple(each for each in document_type.legal_bases if each in present),
        pending=PendingLegalBases(document_type.legal_bases, proposer, now),
    )


def approve(document_type: DocumentType, pending: PendingLegalBases) -> DocumentType:
    """Return the type with the legal bases that waited."""
    return replace(document_type, legal_bases=pending.legal_bases, pending=None)


def not_pending() -> FailedPrecondition:
    """Return the refusal of an approval for which nothing waits."""
    return FailedPrecondition("NOT_PENDING", "no legal bases wait for a second operator")


def name_of(document_type_id: str) -> str:
    """Return the name of the type with that id. Raises InvalidArgument for a malformed id."""
    if not _ID.fullmatch(document_type_id):
        raise InvalidArgument(
            "document_type_id", "must be lower-case letters, digits and hyphens, a letter first"
        )
    return f"documentTypes/{document_type_id}"


def check_document_type(document_type: DocumentType, field: str = "document_type") -> None:
    """Check everything in a type but whether its organizations exist. Raises InvalidArgument."""
    _check_display_names(document_type.display_names, f"{field}.display_names")
    if len(document_type.issuers) > ISSUERS_LIMIT:
        raise InvalidArgument(f"{field}.issuers", f"more than {ISSUERS_LIMIT}")
    if len(document_type.legal_bases) > LEGAL_BASES_LIMIT:
        raise InvalidArgument(f"{field}.legal_bases", f"more than {LEGAL_BASES_LIMIT}")
    for index, issuer in enumerate(document_type.issuers):
        if issuer in document_type.issuers[:index]:
            raise InvalidArgument(f"{field}.issuers[{index}]", "named twice")
    for index, basis in enumerate(document_type.legal_bases):
        where = f"{field}.legal_bases[{index}]"
        if not basis.organization:
            raise InvalidArgument(f"{where}.organization", "is required")
        check_purpose(basis.purpose, f"{where}.purpose")
        if not basis.citation.strip():
            raise InvalidArgument(f"{where}.citation", "is required")
        if len(basis.citation) > CITATION_LENGTH:
            raise InvalidArgument(f"{where}.citation", f"longer than {CITATION_LENGTH}")
        # It must not be mistaken for another basis of an access.
        if basis.citation == "issuer" or basis.citation.startswith("consents/"):
            raise InvalidArgument(f"{where}.citation", "not a citation of a law")

    check_attributes(document_type.attributes, f"{field}.attributes")
    for index, attribute in enumerate(document_type.attributes):
        _check_display_names(attribute.display_names, f"{field}.attributes[{index}].display_names")


def _check_display_names(names: Mapping[str, str], field: str) -> None:
    if len(names) > DISPLAY_NAMES_LIMIT:
        raise InvalidArgument(field, f"more than {DISPLAY_NAMES_LIMIT}")
    for language, name in names.items():
        if not _LANGUAGE.fullmatch(language):
            raise InvalidArgument(field, "a key is not a BCP 47 language tag")
        if not name or len(name) > DISPLAY_NAME_LENGTH:
            raise InvalidArgument(field, f"a name is empty or longer than {DISPLAY_NAME_LENGTH}")


def etag_of(document_type: DocumentType) -> str:
    """Return the etag: a hash over the type's content."""
    content: list[object] = [
        document_type.name,
        sorted(document_type.display_names.items()),
        document_type.issuers,
        _bases_content(document_type.legal_bases),
        [
            [
                attribute.pointer,
                attribute.kind,
                attribute.is_required,
                sorted(attribute.display_names.items()),
            ]
            for attribute in document_type.attributes
        ],
    ]
    pending = document_type.pending
    if pending is not None:
        content.append(
            [
                _bases_content(pending.legal_bases),
                pending.proposer,
                format_microseconds(pending.create_time),
            ]
        )
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def change_of(document_type: DocumentType, time: datetime) -> TypeChange:
    """Return the change that made the type what it is."""
    return TypeChange(
        document_type=document_type.name,
        time=time,
        type_sha256=hashlib.sha256(type_json(document_type)).digest(),
        issuers=document_type.issuers,
        legal_bases=[_legal_basis_members(basis) for basis in document_type.legal_bases],
    )


def type_json(document_type: DocumentType) -> bytes:
    """Return the type as canonical JSON (RFC 8785), whose hash stands in the log: the members of
    the contract's DocumentType by their names there, but for the etag."""
    return canonical_json(
        {
            "name": document_type.name,
            "display_names": dict(document_type.display_names),
            "issuers": list(document_type.issuers),
            "legal_bases": [_legal_basis_members(basis) for basis in document_type.legal_bases],
            "attributes": [
                {
                    "pointer": attribute.pointer,
                    "kind": attribute.kind.name.lower(),
                    "required": attribute.is_required,
                    "display_names": dict(attribute.display_names),
                }
                for attribute in document_type.attributes
            ],
        }
    )


def _legal_basis_members(basis: LegalBasis) -> dict[str, Any]:
    members = {
        "organization": basis.organization,
        "purpose": basis.purpose,
        "citation": basis.citation,
    }
    if basis.expire_time is not None:
        members["expire_time"] = format_microseconds(basis.expire_time)
    return members


def _bases_content(legal_bases: tuple[LegalBasis, ...]) -> list[list[str]]:
    return [
        [
            basis.organization,
            basis.purpose,
            basis.citation,
            format_microseconds(basis.expire_time) if basis.expire_time else "",
        ]
        for basis in legal_bases
    ]
