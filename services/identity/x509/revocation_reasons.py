"""Revocation reasons: the one table between the contract's numbers and RFC 5280's CRLReason.

The contract's number is that of RFC 5280 (section 5.3.1) plus one, and 0 for "unspecified", since
a protobuf enum begins with 0. The database keeps the contract's number.
"""

from __future__ import annotations

from enum import IntEnum

from cryptography import x509


class RevocationReason(IntEnum):
    """RevocationReason of the contract, and those that only other authorities give."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 2
    CA_COMPROMISE = 3
    AFFILIATION_CHANGED = 4
    SUPERSEDED = 5
    CESSATION_OF_OPERATION = 6
    # Not in the contract.
    CERTIFICATE_HOLD = 7
    REMOVE_FROM_CRL = 9
    PRIVILEGE_WITHDRAWN = 10
    AA_COMPROMISE = 11

    @classmethod
    def of(cls, flag: x509.ReasonFlags | None) -> RevocationReason:
        """Return the reason in an entry of a CRL or in an OCSP answer; UNSPECIFIED if it has none
        (RFC 5280, section 5.3.1)."""
        return cls.UNSPECIFIED if flag is None else cls[flag.name.upper()]

    @property
    def flag(self) -> x509.ReasonFlags:
        """The reason as cryptography names it."""
        return x509.ReasonFlags[self.name.lower()]

    @property
    def asn1_name(self) -> str:
        """The reason as asn1crypto names it."""
        return self.name.lower()

    @property
    def keeps_key_trusted(self) -> bool:
        """Whether signatures from before the revocation still count (RFC 3161, section 4): the
        reason does not suggest that the key was compromised. UNSPECIFIED may hide anything."""
        return self in _KEY_TRUSTED


_KEY_TRUSTED = frozenset(
    {
        RevocationReason.AFFILIATION_CHANGED,
        RevocationReason.SUPERSEDED,
        RevocationReason.CESSATION_OF_OPERATION,
    }
)
