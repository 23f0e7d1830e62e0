"""Certificate revocation lists of external authorities (RFC 5280, sections 5 and 6.3).

A list is decoded and its signature verified once; after that, looking up a certificate costs one
dictionary access. Only full lists by the issuer itself are accepted. Delta CRLs, indirect CRLs and
lists partitioned by reason say less than they seem to, so the certificate's status is then
unknown, never good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509

from services.identity.validation.evidence import UnusableEvidence, read_generalized_time
from services.identity.validation.interface import Issuer, Link, Revocation
from services.identity.x509.limits import CLOCK_SKEW, NAME_LIMIT_BYTES
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.signed_data import read_signed
from services.identity.x509.unforeseen import log_unforeseen
from signatures import oids
from signatures.der import INTEGER, SEQUENCE, MalformedDer, Reader, encode_oid

# certificateIssuer (RFC 5280, section 5.3.3), critical, as its bytes stand in an entry.
_CERTIFICATE_ISSUER = encode_oid(oids.CERTIFICATE_ISSUER) + b"\x01\x01\xff"
_KNOWN_EXTENSIONS = (
    x509.AuthorityKeyIdentifier,
    x509.CRLNumber,
    x509.IssuerAlternativeName,
    x509.FreshestCRL,
    x509.AuthorityInformationAccess,
)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list whose signature by its issuer is valid."""

    this_update: datetime
    next_update: datetime
    # The index of each serial number's entry.
    _places: dict[int, int]
    _list: x509.CertificateRevocationList
    # Which kinds of certificates it covers, and the URLs where it is published, if it says so.
    _users: bool
    _authorities: bool
    _published_at: frozenset[str]
    # Expired certificates stay on it if they expired after this; None if it does not say.
    keeps_expired_since: datetime | None

    def find(self, link: Link, now: datetime) -> Revocation | None:
        """Return the certificate's revocation, or None if it is not listed. Raises
        UnusableEvidence."""
        if self.this_update > now + CLOCK_SKEW:
            raise UnusableEvidence("dated in the future")
        if now >= self.next_update:
            raise UnusableEvidence("out of date")
        if not (self._authorities if link.authority else self._users):
            raise UnusableEvidence("covers other kinds of certificates")
        if self._published_at and self._published_at.isdisjoint(link.crl_urls):
            # A partition that does not cover this certificate (section 6.3.3, b 2 i).
            raise UnusableEvidence("covers certificates that name another list")
        place = self._places.get(link.serial_number)
        if place is None:
            return None
        return _revocation(self._list[place])


def read_crl(der: bytes, issuer: Issuer) -> RevocationList:
    """Read and verify the issuer's list; takes about a microsecond for each entry. Raises
    UnusableEvidence."""
    if not issuer.signs_crls:
        raise UnusableEvidence("its issuer may not sign lists")
    try:
        parts = read_signed(der)
        if not _is_same_name(_issuer_name(parts.content), issuer.name):
            raise UnusableEvidence("by another issuer")
        if _CERTIFICATE_ISSUER in parts.content:
            # The list is indirect, whether or not it is marked so. The extension is critical, so
            # no entry of the list may be used (section 5.3).
            raise UnusableEvidence("has entries of other issuers")
        found = x509.load_der_x509_crl(der)
        this_update, next_update = found.last_update_utc, found.next_update_utc
        if next_update is None:
            raise UnusableEvidence("has no nextUpdate")
        users, authorities, published_at, keeps = _extensions(found)
        if not parts.is_signed_by(issuer.spki):
            raise UnusableEvidence("its signature is not the issuer's")
        places = {entry.serial_number: place for place, entry in enumerate(found)}
    except UnusableEvidence:
        raise
    except Exception as error:  # whatever a parser makes of foreign bytes
        log_unforeseen("a revocation list", der, error)
        raise UnusableEvidence(f"cannot be read: {type(error).__name__}") from None
    return RevocationList(
        this_update=this_update,
        next_update=next_update,
        _places=places,
        _list=found,
        _users=users,
        _authorities=authorities,
        _published_at=published_at,
        keeps_expired_since=keeps,
    )


def _revocation(entry: Any) -> Revocation:
    """Read an entry. Raises UnusableEvidence for a critical extension that is unknown, and for a
    date that cannot be read."""
    try:
        since, reason = entry.revocation_date_utc, RevocationReason.UNSPECIFIED
    except Exception:
        raise UnusableEvidence("an entry's date cannot be read") from None
    try:
        for extension in entry.extensions:
            value = extension.value
            if isinstance(value, x509.CRLReason):
                reason = RevocationReason.of(value.reason)
            elif isinstance(value, x509.InvalidityDate):
                since = min(since, value.invalidity_date_utc)
            elif extension.critical:
                raise UnusableEvidence("an entry has an unknown critical extension")
    except UnusableEvidence:
        raise
    except Exception:
        # The certificate is revoked, even if the details cannot be read.
        return Revocation(since)
    return Revocation(since, reason)


def _extensions(
    found: x509.CertificateRevocationList,
) -> tuple[bool, bool, frozenset[str], datetime | None]:
    """Return RevocationList's last four fields. Raises UnusableEvidence."""
    users = authorities = True
    published_at: frozenset[str] = frozenset()
    keeps = None
    for extension in found.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            users, authorities, published_at = _distribution_point(value)
        elif isinstance(value, x509.DeltaCRLIndicator):
            raise UnusableEvidence("a delta CRL")
        elif extension.oid.dotted_string == oids.EXPIRED_CERTS_ON_CRL:
            keeps = read_generalized_time(getattr(value, "value", b""))
        elif extension.critical and not isinstance(value, _KNOWN_EXTENSIONS):
            raise UnusableEvidence("has an unknown critical extension")
    return users, authorities, published_at, keeps


def _distribution_point(
    point: x509.IssuingDistributionPoint,
) -> tuple[bool, bool, frozenset[str]]:
    """Return whether the list covers users and authorities, and where it is published. Raises
    UnusableEvidence."""
    if point.indirect_crl or point.only_some_reasons is not None:
        raise UnusableEvidence("indirect, or for some reasons only")
    if point.only_contains_attribute_certs:
        raise UnusableEvidence("covers attribute certificates")
    if point.relative_name is not None:
        raise UnusableEvidence("published under a relative name")
    names = point.full_name or []
    published_at = frozenset(
        name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)
    )
    if names and not published_at:
        raise UnusableEvidence("published under no URL")
    return not point.only_contains_ca_certs, not point.only_contains_user_certs, published_at


def _is_same_name(one: bytes, other: bytes) -> bool:
    """Return whether two names are equal, DER; False for long ones of different encoding, which
    would take long to prepare, and that before the list's signature is verified."""
    if one == other:
        return True
    if max(len(one), len(other)) > NAME_LIMIT_BYTES:
        return False
    return bool(asn1.Name.load(one) == asn1.Name.load(other))


def _issuer_name(content: bytes) -> bytes:
    """Return the issuer in a TBSCertList as its bytes stand there. Raises MalformedDer."""
    fields = Reader(content).sequence()
    if fields.next_tag() == INTEGER:
        fields.any()
    fields.value(SEQUENCE)
    tag, _, name = fields.any()
    if tag != SEQUENCE:
        raise MalformedDer("not a name")
    return name
