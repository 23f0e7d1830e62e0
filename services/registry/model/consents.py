"""Consents: a subject allows one organization to look up documents, for a purpose and a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.runtime.access import Caller, Role
from services.runtime.errors import InvalidArgument

# consents.proto, Consent.expire_time.
DEFAULT_LIFETIME = timedelta(days=90)

# "mortgage-application": lower-case letters, digits and hyphens (consents.proto).
_PURPOSE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Consent:
    """A subject's consent. The salts are of its commitments in the log."""

    name: str
    subject: str
    organization: str
    document_type: str
    purpose: str
    purpose_text: str
    create_time: datetime
    expire_time: datetime
    grant_salt: bytes
    grant_index: int = -1
    withdraw_time: datetime | None = None
    withdraw_salt: bytes = b""
    withdraw_index: int | None = None
    # Of the purpose's text; empty where the entry is of version 1, which has no such member.
    grant_text_salt: bytes = b""
    withdraw_text_salt: bytes = b""

    def covers(
        self, *, subject: str, organization: str, document_type: str, purpose: str, now: datetime
    ) -> bool:
        """Return whether it allows exactly this look-up, now."""
        return (
            self.subject == subject
            and self.organization == organization
            and self.document_type == document_type
            and self.purpose == purpose
            and self.withdraw_time is None
            and now < self.expire_time
        )


def check_purpose(purpose: str, field: str) -> str:
    """Return the purpose, if it is a code. Raises InvalidArgument naming the field."""
    if not _PURPOSE.fullmatch(purpose):
        raise InvalidArgument(field, "must be lower-case letters, digits and hyphens, at most 64")
    return purpose


def check_expire_time(asked: datetime | None, now: datetime, field: str) -> datetime:
    """Return the consent's end, 90 days from now if none was asked for. Raises InvalidArgument."""
    if asked is None:
        return now + DEFAULT_LIFETIME
    if asked <= now:
        raise InvalidArgument(field, "must be in the future")
    if asked > _a_year_after(now):
        raise InvalidArgument(field, "more than a year from now")
    return asked


def _a_year_after(now: datetime) -> datetime:
    """Return the same day of the next year; after 29 February, 1 March."""
    try:
        return now.replace(year=now.year + 1)
    except ValueError:
        return now.replace(year=now.year + 1, month=3, day=1)


def may_read(caller: Caller, consent: Consent) -> bool:
    """Return whether the caller may see it: its subject, its organization, and auditors."""
    return (
        caller.has(Role.ROLE_AUDITOR)
        or (caller.has(Role.ROLE_CITIZEN) and caller.subject == consent.subject)
        or (caller.has(Role.ROLE_OFFICER) and caller.organization == consent.organization)
    )


def may_withdraw(caller: Caller, consent: Consent) -> bool:
    """Return whether the caller may withdraw it: its subject alone."""
    return caller.has(Role.ROLE_CITIZEN) and caller.subject == consent.subject
