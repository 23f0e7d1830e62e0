"""Requests to act on behalf, parsed, and checked as far as needs no other service."""

from __future__ import annotations

from qagazsyz.common.v1 import signatures_pb2
from services.registry.delegation.verification import SignedDelegation
from services.registry.documents.interface import SignedStatement
from services.runtime.errors import InvalidArgument

READ_LIMIT, READ_DEFAULT = 1_000, 100


def parse_delegation(delegation: signatures_pb2.Delegation) -> SignedDelegation:
    """Parse a delegation, unverified. Raises InvalidArgument."""
    return SignedDelegation(
        parse_signed_text(delegation.mandate, "delegation.mandate"),
        parse_signed_text(delegation.statement, "delegation.statement"),
    )


def parse_signed_text(signed: signatures_pb2.SignedText, field: str) -> SignedStatement:
    """Parse a signed text, unverified. Raises InvalidArgument naming what is missing."""
    for name in ("text", "certificate", "algorithm", "signature"):
        if not getattr(signed, name):
            raise InvalidArgument(f"{field}.{name}", "is required")
    return SignedStatement(
        certificate=signed.certificate,
        algorithm=signed.algorithm,
        signature=signed.signature,
        statement=signed.text,
    )


def check_limit(limit: int) -> int:
    """Return how many to return. Raises InvalidArgument."""
    if limit < 0:
        raise InvalidArgument("limit", "must not be negative")
    return min(limit or READ_DEFAULT, READ_LIMIT)
