"""What acts on behalf ask of the other services, as protocols; clients.py fills them by calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.registry.delegation.verification import SignedDelegation
from services.runtime.server import Call


@dataclass(frozen=True, slots=True)
class PersonNames:
    """The names of a person; the patronymic may be empty."""

    family_name: str
    given_name: str
    patronymic: str


class People(Protocol):
    """Knows people by their names and numbers."""

    async def find_names(self, subject: str, during: Call | None) -> PersonNames | None:
        """Return the person's names, None if there is no such person. Raises Unavailable or
        DeadlineExceeded."""
        ...

    async def find_by_iin(self, iin: str, during: Call | None) -> str:
        """Return the subject with the IIN, "" if there is none. Raises as find_names, and
        InvalidArgument for what is no IIN."""
        ...


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature that signing made with a provider's key."""

    signature: bytes
    # The number of a qagazsyz.common.v1.SignatureAlgorithm.
    algorithm: int


class Sealer(Protocol):
    """Seals documents' statements under mandates, which it verifies itself."""

    async def seal(self, statement: bytes, signed: SignedDelegation, during: Call | None) -> Seal:
        """Return the seal. Raises PermissionDenied, FailedPrecondition if the key cannot sign, and
        Unavailable or DeadlineExceeded."""
        ...
