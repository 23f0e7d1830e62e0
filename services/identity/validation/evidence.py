"""What CRLs and OCSP answers, the evidence of revocation, have in common."""

from __future__ import annotations

from datetime import datetime

from asn1crypto.core import GeneralizedTime


class UnusableEvidence(Exception):
    """An OCSP answer or a CRL that says nothing about the certificate; its text says why."""


def read_generalized_time(der: bytes) -> datetime:
    """Return the time of a GeneralizedTime with its zone, DER. Raises ValueError."""
    moment = GeneralizedTime.load(der, strict=True).native
    # asn1crypto reads local times too, and the year 0, which compare with no other time.
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("a time without a zone, or of the year 0")
    return moment
