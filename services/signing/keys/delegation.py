"""What a provider's key seals on behalf of an applicant: rules over the two signed texts.

The registry verifies both as well. They are verified here again, because a key is asked for by a
mandate and not by a service: whoever held the registry's credential could otherwise seal anything.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import rfc8785

from qagazsyz.canonical_texts import TextError
from qagazsyz.request_texts import Mandate, RequestStatement, check_delegation, may_sign
from services.runtime.errors import InvalidArgument, PermissionDenied
from services.runtime.intake.signed_texts import parse_text

DOCUMENT_MEMBERS = frozenset(
    {"v", "content_sha256", "document_type", "issuer", "media_type", "subjects"}
)


@dataclass(frozen=True, slots=True)
class SealOrder:
    """A document's statement, and the texts that it is to be sealed for; signers not verified."""

    document: bytes
    mandate: Mandate
    statement: RequestStatement


def parse_order(document: bytes, mandate: bytes, statement: bytes) -> SealOrder:
    """Parse the three texts. Raises InvalidArgument naming the one that is not of its form."""
    return SealOrder(
        document,
        parse_text(Mandate.parse, mandate, "delegation.mandate.text"),
        parse_text(RequestStatement.parse, statement, "delegation.statement.text"),
    )


def check_order(order: SealOrder, *, platform: str, now: datetime) -> None:
    """Check what the texts alone tell. Raises InvalidArgument if the document's statement is none
    of version 2, PermissionDenied if the texts do not belong together or are not for now."""
    mandate, statement = order.mandate, order.statement
    try:
        check_delegation(mandate, statement, platform=platform, now=now)
    except TextError:
        raise PermissionDenied from None
    if not mandate.key or mandate.time_limit_days:
        raise PermissionDenied
    members = _document_members(order.document)
    if (
        members["issuer"] != mandate.provider
        or members["document_type"] != mandate.output
        or members["subjects"] != [statement.applicant]
    ):
        raise PermissionDenied


def check_signers(
    order: SealOrder, approver: str, applicant: str, officers: Collection[str]
) -> None:
    """Check who signed: the mandate an officer, the statement the applicant, or at the office an
    officer who is not the applicant. Raises PermissionDenied.

    officers: those of the two who are the provider's.
    """
    if approver not in officers or not may_sign(order.statement, applicant, officers):
        raise PermissionDenied


def _document_members(document: bytes) -> dict[str, object]:
    """Return the members of a document's statement. Raises InvalidArgument unless it is canonical
    JSON of exactly the members of version 2, without an expiry."""
    refusal = InvalidArgument("statement", "not the statement of a document, version 2")
    try:
        members = json.loads(document)
        is_canonical = rfc8785.dumps(members) == document
    # RecursionError: nested too deep. All other errors of both are ValueErrors.
    except (ValueError, RecursionError):
        raise refusal from None
    if not is_canonical or not isinstance(members, dict) or members.keys() != DOCUMENT_MEMBERS:
        raise refusal
    if members["v"] != 2 or not isinstance(members["subjects"], list):
        raise refusal
    return members
