"""What the lists at hand say of one certificate, put together (RFC 5280, section 6.3.3).

Complete lists that are current add up until all reasons are covered; a delta list is applied to the
complete list that it changes. A certificate that any list revokes is revoked: also a list that is
out of date, since only a hold is ever taken back. A list from the certificate's own time proves
that it was not revoked until then (EN 319 102-1, section 5.2.8.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509

from services.identity.validation.crl import RevocationList, check_date
from services.identity.validation.evidence import UnusableEvidence
from services.identity.validation.interface import Link, Revocation
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.revocation_urls import ALL_REASONS

# An authority that publishes delta lists expects them to be read: without a current one, its
# complete list serves for so long.
BASE_LIMIT = timedelta(hours=1)


@dataclass(slots=True)
class ListEvidence:
    """What the lists that were added say of one certificate."""

    link: Link
    # How long after the time in question a list must have been made to say something of it.
    grace: timedelta
    revoked: Revocation | None = None
    # The reasons that current lists cover.
    reasons: set[x509.ReasonFlags] = field(default_factory=set)
    fresh_until: datetime | None = None
    proven_until: datetime | None = None
    whys: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether current lists cover the certificate for all reasons."""
        return self.reasons >= ALL_REASONS

    def add(self, found: RevocationList, deltas: Sequence[RevocationList], now: datetime) -> None:
        """Add a complete list, and the delta lists that may belong to it. Raises
        UnusableEvidence."""
        if found.base_number is not None:
            raise UnusableEvidence("a delta CRL")
        check_date(found, now)
        reasons = found.reasons_for(self.link)
        entry = found.entry(self.link)
        if reasons >= ALL_REASONS and entry is None:
            self._prove(found)
        if not found.is_current(now):
            if entry is not None and entry.reason is not RevocationReason.CERTIFICATE_HOLD:
                self._revoke(entry)
            raise UnusableEvidence("out of date")
        delta = _newest(deltas, found, now)
        fresh_until = found.next_update
        if delta is not None:
            changed = delta.entry(self.link)
            if changed is not None:
                is_removed = changed.reason is RevocationReason.REMOVE_FROM_CRL
                entry = None if is_removed else changed
            fresh_until = min(fresh_until, delta.next_update)
        if entry is not None:
            self._revoke(entry)
        elif delta is None and (self.link.delta_urls or found.delta_urls):
            fresh_until = min(fresh_until, found.this_update + BASE_LIMIT)
            if now >= fresh_until:
                raise UnusableEvidence("older than its authority's delta CRL, which is not at hand")
        self.fresh_until = min(self.fresh_until or fresh_until, fresh_until)
        if entry is None:
            check_still_covered(self.link, found.keeps_expired_since, now)
        self.reasons |= reasons

    def _revoke(self, entry: Revocation) -> None:
        if self.revoked is None or entry.time < self.revoked.time:
            self.revoked = entry

    def _prove(self, found: RevocationList) -> None:
        until = proof_until(self.link, found.this_update, found.keeps_expired_since, self.grace)
        if until is not None and (self.proven_until is None or until > self.proven_until):
            self.proven_until = until


def proof_until(
    link: Link, this_update: datetime, keeps_expired_since: datetime | None, grace: timedelta
) -> datetime | None:
    """Return up to when evidence that does not name the certificate as revoked proves that it was
    not; None if it may have dropped the certificate."""
    try:
        check_still_covered(link, keeps_expired_since, this_update)
    except UnusableEvidence:
        return None
    return this_update - grace


def check_still_covered(
    link: Link, keeps_expired_since: datetime | None, updated: datetime
) -> None:
    """Raise UnusableEvidence for a certificate that had expired and may have been dropped.

    Not being listed proves nothing then, unless the authority says since when it keeps expired
    ones (RFC 5280, section 3.3; RFC 6960, section 4.4.4).
    """
    if updated <= link.not_after:
        return
    if keeps_expired_since is None or keeps_expired_since > link.not_after:
        raise UnusableEvidence("the certificate has expired, so it may have been dropped")


def _newest(
    deltas: Iterable[RevocationList], base: RevocationList, now: datetime
) -> RevocationList | None:
    usable = []
    for delta in deltas:
        try:
            check_date(delta, now)
        except UnusableEvidence:
            continue
        if delta.is_current(now) and delta.changes(base):
            usable.append(delta)
    return max(usable, key=lambda delta: delta.number or 0, default=None)
