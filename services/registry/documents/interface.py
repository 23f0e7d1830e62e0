"""The services that the registry depends on, as protocols: a Verifier and a Directory of subjects.

clients.py fills both by calls to signing and identity, and batches those of many callers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from services.runtime.errors import InvalidArgument
from services.runtime.server import Call


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A signature to verify, and the statement that it should be over."""

    certificate: bytes
    # The number of a qagazsyz.common.v1.SignatureAlgorithm.
    algorithm: int
    signature: bytes
    statement: bytes


class VerificationStatus(Enum):
    """The outcomes of a signature validation, by ETSI EN 319 102-1."""

    PASSED = "passed"
    FAILED = "failed"
    # Neither of the others: it could not be determined now.
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """The outcome for one signature and its signer's certificate."""

    status: VerificationStatus
    # If passed: the subject whose certificate it is, "" if it belongs to no subject.
    signer: str = ""
    # If failed: why, for the caller to read.
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Officer:
    """A person, and the organization that they act for or claim to act for."""

    organization: str
    person: str


class SubjectKind(Enum):
    """The kinds of subjects."""

    PERSON = "person"
    ORGANIZATION = "organization"


class Verifier(Protocol):
    """Verifies signatures and validates their signers' certificates."""

    async def verify(
        self, items: Sequence[SignedStatement], during: Call | None
    ) -> list[VerificationResult]:
        """Return a result for each item, in order. Raises Unavailable or DeadlineExceeded."""
        ...


class Directory(Protocol):
    """Knows the subjects, and the officers of organizations."""

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        """Return those of the names that exist. Raises Unavailable or DeadlineExceeded."""
        ...

    async def find_officers(
        self, people: Collection[Officer], during: Call | None
    ) -> frozenset[Officer]:
        """Return those who are the organization's officers. Raises as find_subjects."""
        ...

    async def find_organizations(
        self, people: Collection[str], during: Call | None
    ) -> Mapping[str, frozenset[str]]:
        """Return the organizations that each person is or was an officer of.

        Raises as find_subjects.
        """
        ...


class Operators(Protocol):
    """Knows whether an act takes two operators, and who may be the second."""

    async def second_existed(self, during: Call | None) -> bool:
        """Return whether the platform ever had a second operator.

        Raises Unavailable or DeadlineExceeded.
        """
        ...

    async def may_approve(
        self, proposer: str, approver: str, certificate: str, during: Call | None
    ) -> bool:
        """Return whether the approver is a second operator, whom the proposer did not make.

        certificate: the one that the approver confirms with, lower-case hex SHA-256 of its DER.
        Raises as second_existed.
        """
        ...


async def check_organizations(
    directory: Directory, named: Mapping[str, str], during: Call | None
) -> None:
    """Check that every field of a request names an organization that exists.

    named: the organization's name by the field's path. Raises InvalidArgument, Unavailable and
    DeadlineExceeded.
    """
    found = await directory.find_subjects(set(named.values()), during)
    for field, name in named.items():
        if found.get(name) is not SubjectKind.ORGANIZATION:
            raise InvalidArgument(field, "there is no such organization")
