"""What identity tells of certificates, memberships and phones, as the log's readers keep it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class IdentityEventKind(IntEnum):
    """Numbered as qagazsyz.identity.v1.IdentityEventKind."""

    CERTIFIED = 1
    CERTIFICATE_REGISTERED = 2
    CERTIFICATE_REVOKED = 3
    MEMBERSHIP_ADDED = 4
    MEMBERSHIP_REMOVED = 5
    PHONE_ACTIVATED = 6
    PHONE_ENDED = 7


class IdentityEventBasis(IntEnum):
    """Numbered as qagazsyz.identity.v1.IdentityEventBasis."""

    RENEWAL = 1
    ALONE = 2
    APPROVED = 3
    INIT = 4


@dataclass(frozen=True, slots=True)
class IdentityEvent:
    """One event. Its salts are of its entry's commitments: of the subject, of the certificate if
    there is one, and of each officer in turn."""

    number: int
    kind: IdentityEventKind
    basis: IdentityEventBasis
    time: datetime
    # The certificate's or the phone's holder or the membership's person; "services/{service}" for a
    # credential of one of the platform's own services.
    subject: str
    # The organization that the certificate or the membership names, or "".
    organization: str
    # SHA-256 of the certificate's DER, of a phone's SIM's; empty for a membership.
    fingerprint: bytes
    # Number of the membership's qagazsyz.common.v1.Role; 0 for a certificate and a phone.
    role: int
    # Who did it: two where it took two people; none at a renewal, at init, and where a SIM's
    # signature for another holder or the end of its certificate ended a phone.
    officers: tuple[str, ...]
    salts: tuple[bytes, ...]
    log_index: int = -1

    @property
    def is_of_membership(self) -> bool:
        """Whether it is about a membership, not a certificate."""
        return self.kind in (
            IdentityEventKind.MEMBERSHIP_ADDED,
            IdentityEventKind.MEMBERSHIP_REMOVED,
        )

    @property
    def is_of_phone(self) -> bool:
        """Whether it is about a phone; its certificate has events of its own."""
        return self.kind in (IdentityEventKind.PHONE_ACTIVATED, IdentityEventKind.PHONE_ENDED)

    @property
    def told_basis(self) -> str:
        """How many people it took, as the log tells it."""
        if self.basis is IdentityEventBasis.ALONE and not self.officers:
            return "phone"
        if self.basis is IdentityEventBasis.ALONE:
            return "holder" if self.officers == (self.subject,) else "registrar"
        return self.basis.name.lower()


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """A certificate or a membership as identity keeps it."""

    subject: str
    organization: str
    # SHA-256 of the certificate's DER; empty for a membership.
    fingerprint: bytes
    role: int
    # Whether it was revoked or removed.
    is_ended: bool
