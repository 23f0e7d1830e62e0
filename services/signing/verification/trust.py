"""Rules of trust: what a certificate's status and roles make of a signature that verifies.

Pure: identity's answers go in, verdicts come out. Whether the signature verifies is the backend's
question, and which certificates to trust is identity's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from signatures.algorithms import Verdict


class TrustPolicy(IntEnum):
    """How much a request asks of its signers."""

    UNSPECIFIED = 0
    CERTIFICATE = 1
    SIGNATURE_ONLY = 2


class CertificateStatus(IntEnum):
    """Whether a certificate may sign documents, and why not."""

    UNSPECIFIED = 0
    GOOD = 1
    REVOKED = 2
    EXPIRED = 3
    NOT_YET_VALID = 4
    UNTRUSTED = 5
    MALFORMED = 6
    UNKNOWN = 7
    WRONG_USAGE = 8


class CertificateRole(IntEnum):
    """What a certificate's holder may do for an organization."""

    UNSPECIFIED = 0
    INDIVIDUAL = 1
    LEGAL_ENTITY = 2
    FIRST_HEAD = 3
    MAY_SIGN = 4
    MAY_SIGN_FINANCIAL = 5
    HUMAN_RESOURCES = 6
    EMPLOYEE = 7
    INFORMATION_SYSTEM = 8


# Statuses that may differ at another time.
_DEPENDS_ON_TIME = frozenset(
    {
        CertificateStatus.GOOD,
        CertificateStatus.REVOKED,
        CertificateStatus.EXPIRED,
        CertificateStatus.NOT_YET_VALID,
    }
)


@dataclass(frozen=True, slots=True)
class CheckedCertificate:
    """Identity's answer about one certificate."""

    status: CertificateStatus
    # The subject that the certificate binds; empty if the platform does not know it.
    subject: str = ""
    revoke_time: datetime | None = None
    # Until when the answer may be cached; None: not at all.
    fresh_until: datetime | None = None
    # If both are set, the answer also tells the status at other times.
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def is_fresh(self, now: datetime) -> bool:
        """Return whether the answer may still be used."""
        return self.fresh_until is not None and now < self.fresh_until

    def status_at(self, at: datetime) -> CertificateStatus | None:
        """Return the status at another time, or None if this answer does not tell."""
        if self.status not in _DEPENDS_ON_TIME:
            return self.status
        if self.valid_from is None or self.valid_until is None:
            return None
        if self.revoke_time is not None and at >= self.revoke_time:
            return CertificateStatus.REVOKED
        if at < self.valid_from:
            return CertificateStatus.NOT_YET_VALID
        if at > self.valid_until:
            return CertificateStatus.EXPIRED
        return CertificateStatus.GOOD


@dataclass(frozen=True, slots=True)
class HolderRoles:
    """The organization and roles that a certificate names and where its key is, or that they could
    not be found out."""

    bin: str = ""
    # Numbers of CertificateRole, and of roles newer than this service.
    roles: frozenset[int] = frozenset()
    known: bool = True
    # The key is on a SIM card.
    on_sim: bool = False


@dataclass(frozen=True, slots=True)
class RoleRequirement:
    """The role that every signer must hold: any of these, in that organization if one is named, by
    a key on a SIM card if that is asked."""

    roles: frozenset[int]
    bin: str = ""
    on_sim: bool = False

    def is_met_by(self, holder: HolderRoles) -> bool:
        """Return whether the certificate names such a role."""
        if self.on_sim and not holder.on_sim:
            return False
        return not self.roles.isdisjoint(holder.roles) and self.bin in ("", holder.bin)


@dataclass(frozen=True, slots=True)
class SignerResult:
    """What the response says about a signer; UNSPECIFIED if its certificate was not checked."""

    status: CertificateStatus = CertificateStatus.UNSPECIFIED
    subject: str = ""


NOT_CHECKED = SignerResult()


def verdict_for(status: CertificateStatus) -> Verdict:
    """Return the verdict of a signature that verifies, by the status of its certificate."""
    if status is CertificateStatus.GOOD:
        return Verdict.VALID
    if status is CertificateStatus.UNKNOWN:
        return Verdict.INDETERMINATE
    return Verdict.UNTRUSTED_SIGNER
