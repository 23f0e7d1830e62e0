"""Validating certificates of external authorities: the interface, and the values that it returns.

The status answers "may it sign documents?". An authentication-only certificate is WRONG_USAGE even
if it is valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from services.identity.x509.inspection import has_expired
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.revocation_urls import DistributionPoint

# Characters of a refusal's reason; refusals are kept by the ten thousand.
REASON_LIMIT = 200


class CertificateStatus(IntEnum):
    """CertificateStatus of the contract: a certificate's status at a time."""

    GOOD = 1
    REVOKED = 2
    EXPIRED = 3
    NOT_YET_VALID = 4
    UNTRUSTED = 5
    MALFORMED = 6
    UNKNOWN = 7
    WRONG_USAGE = 8


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority as the certificates that it issued see it: its name and its key, both DER."""

    name: bytes
    spki: bytes
    # Whether it may sign revocation lists (keyUsage cRLSign, or keyUsage absent).
    signs_crls: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One certificate of a path and its issuer: what revocation is looked up for."""

    # SHA-256 of the certificate's DER.
    fingerprint: bytes
    serial_number: int
    issuer: Issuer
    not_after: datetime
    authority: bool
    # Where the certificate itself says that its revocation is published.
    ocsp_urls: tuple[str, ...]
    points: tuple[DistributionPoint, ...]
    delta_urls: tuple[str, ...]
    # Put into the trust folder by an operator, who withdraws it by taking the file out.
    operator_trusted: bool
    # SHA-256 of the trust anchor's DER.
    anchor: bytes = b""
    # A responder's certificate with id-pkix-ocsp-nocheck (RFC 6960, section 4.2.2.2.1).
    ocsp_nocheck: bool = False

    @property
    def crl_urls(self) -> tuple[str, ...]:
        """The URLs of the lists that it names, each once."""
        return tuple(dict.fromkeys(url for point in self.points for url in point.urls))

    @property
    def may_lack_sources(self) -> bool:
        """True for an operator's certificate without a URL: it counts as not revoked if no list in
        the trust folder is of its issuer."""
        return self.operator_trusted and not self.ocsp_urls and not self.points


@dataclass(frozen=True, slots=True)
class Chain:
    """A path that is valid from the first date to the last, both included."""

    # The leaf first; the anchor is not a link.
    links: tuple[Link, ...]
    valid_from: datetime
    valid_until: datetime
    # Whether documents may be signed with the leaf.
    signs: bool

    def covers(self, at: datetime) -> bool:
        """Return whether it is valid at the time, revocation aside."""
        return self.valid_from <= at and not has_expired(self.valid_until, at)


@dataclass(frozen=True, slots=True)
class Refused:
    """No path: MALFORMED, EXPIRED, NOT_YET_VALID or UNTRUSTED, and why, for tests and the log."""

    status: CertificateStatus
    reason: str

    @classmethod
    def because(cls, status: CertificateStatus, reason: object) -> Refused:
        """Make a refusal whose reason is cut to REASON_LIMIT: it may quote the certificate."""
        return cls(status, str(reason)[:REASON_LIMIT])


@dataclass(frozen=True, slots=True)
class Revocation:
    """Since when a certificate is revoked, and why. The time is the invalidity date if the
    authority gives an earlier one: since then the key may have been compromised (RFC 5280,
    section 5.3.2)."""

    time: datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Finding:
    """A certificate's revocation as far as known: revoked, not revoked, or unknown and why.

    proven_until: it was not revoked at any time up to this, even if it is unknown now: a list or an
    answer from then says so (EN 319 102-1, section 5.2.8.3). None if there is no such proof.
    """

    known: bool
    fresh_until: datetime
    revoked: Revocation | None = None
    why: str = ""
    proven_until: datetime | None = None

    def is_known_at(self, at: datetime) -> bool:
        """Return whether the certificate's revocation at the time is known."""
        return self.known or (self.proven_until is not None and at <= self.proven_until)


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """A status, since when the certificate is revoked, and how long the answer may be reused."""

    status: CertificateStatus
    fresh_until: datetime
    revoke_time: datetime | None = None
    # From when to when it would be GOOD, revocation aside. None if the answer is for the requested
    # time only.
    valid_from: datetime | None = None
    valid_until: datetime | None = None


class ExternalValidator(Protocol):
    """Validates certificates of authorities that are trusted beside the platform's own."""

    async def validate(
        self, der: bytes, intermediates: Sequence[bytes], *, at: datetime
    ) -> ValidationResult:
        """Validate one certificate at a time. WRONG_USAGE is returned only if it is otherwise
        valid. intermediates: issuers that came with it, DER."""
        ...

    async def validate_many(
        self, certificates: Mapping[str, bytes], *, at: datetime
    ) -> dict[str, ValidationResult]:
        """Validate certificates for documents at a time; results stand under the keys (the
        certificates' fingerprints). WRONG_USAGE is returned without looking up revocation."""
        ...

    async def find_chain(
        self, der: bytes, intermediates: Sequence[bytes], *, at: datetime
    ) -> Chain | Refused:
        """Return the certificate's path at a time, revocation aside. intermediates: as for
        validate."""
        ...

    async def find_revocations(self, chain: Chain) -> list[Finding]:
        """Return the finding on each link, the leaf first."""
        ...

    async def find_stampers(self) -> Sequence[bytes]:
        """Return the certificates (DER) that an operator trusts to stamp the time: for tokens that
        come without one."""
        ...
