"""What CRLs and OCSP answers, the evidence of revocation, have in common."""

from __future__ import annotations

from datetime import datetime

from asn1crypto.core import GeneralizedTime


class UnusableEvidence(Exception):
    """An OCSP answer or a CRL that says nothing about the certificate; its text says why."""


def read_generalized_time(der: bytes) -> datetime:
    """Return the time of a GeneralizedTime, DER. Raises ValueError."""
    moment: datetime = GeneralizedTime.load(der, strict=True).native
    return moment
