"""Rules of dual control: who is a second person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.runtime.errors import PermissionDenied

# Long enough for a second person on leave to come back, too short for what was forgotten to be
# approved by habit.
LAPSES_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who made a membership or a certificate; the approver is "" where it took one person, both are
    where `init` wrote it."""

    proposer: str = ""
    approver: str = ""


def check_is_second(
    approver: str,
    *,
    proposer: str,
    membership: Provenance | None,
    certificate: Provenance | None,
) -> None:
    """Raise PermissionDenied unless the approver is a second person, whom the proposer did not
    make: membership and certificate are the approver's own, the latter that they confirm with.

    One that is not there (any more) makes nobody a second person.
    """
    if approver == proposer:
        raise PermissionDenied()
    for made in (membership, certificate):
        if made is None or proposer in (made.proposer, made.approver):
            raise PermissionDenied()
