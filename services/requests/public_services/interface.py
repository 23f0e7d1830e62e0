"""What the requests service asks of the services below it, as protocols; clients.py fills them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from services.requests.model.service_requests import Proof
from services.requests.model.templates import OutputAttribute
from services.runtime.errors import InvalidArgument, Unavailable
from services.runtime.server import Call


class SubjectKind(Enum):
    """The kinds of subjects."""

    PERSON = "person"
    ORGANIZATION = "organization"


@dataclass(frozen=True, slots=True)
class SignatureParts:
    """A signature as a caller sent it."""

    # DER.
    certificate: bytes
    # The number of a qagazsyz.common.v1.SignatureAlgorithm.
    algorithm: int
    signature: bytes


class VerificationStatus(Enum):
    """The outcomes of a signature validation, by ETSI EN 319 102-1."""

    PASSED = "passed"
    FAILED = "failed"
    # Neither of the others: it could not be determined now.
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class DocumentType:
    """What of a document type is asked here."""

    issuers: frozenset[str]
    # By pointer.
    attributes: Mapping[str, OutputAttribute]


class Directory(Protocol):
    """Knows the subjects."""

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        """Return those of the names that exist. Raises Unavailable or DeadlineExceeded."""
        ...


class DocumentTypes(Protocol):
    """Knows the document types."""

    async def find_type(self, name: str, during: Call | None) -> DocumentType | None:
        """Return the type of that name, or None. Raises Unavailable or DeadlineExceeded."""
        ...


class Verifier(Protocol):
    """Verifies signatures and validates their signers' certificates."""

    async def verify(
        self, text: bytes, signature: SignatureParts, during: Call | None
    ) -> tuple[VerificationStatus, str]:
        """Return the outcome, and the subject whose certificate signed if it passed ("" if it
        belongs to no subject). Raises Unavailable or DeadlineExceeded."""
        ...


class Mandates(Protocol):
    """The registry, which ends mandates."""

    async def end_mandates(
        self, public_service: str, provider: str, during: Call | None
    ) -> datetime:
        """End all mandates of a service that were written up to now, and return until when. Raises
        Unavailable and DeadlineExceeded."""
        ...


async def check_signed_by(
    verifier: Verifier, text: bytes, signature: SignatureParts, signer: str, during: Call | None
) -> Proof:
    """Return the proof that this subject signed the text. Raises InvalidArgument if they did not,
    and Unavailable if that cannot be known now."""
    status, found = await verifier.verify(text, signature, during)
    if status is VerificationStatus.INDETERMINATE:
        raise Unavailable("the signature could not be verified now; retry")
    if status is VerificationStatus.FAILED:
        raise InvalidArgument("signature", "does not verify over the text that has to be signed")
    if found != signer:
        raise InvalidArgument("signature", "was made by somebody else")
    return Proof(signer, signature.certificate, signature.algorithm, signature.signature)
