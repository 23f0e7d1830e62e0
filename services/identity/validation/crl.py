"""Certificate revocation lists of outside authorities (RFC 5280, sections 5 and 6.3).

A list is decoded and its signature checked once; after that a certificate costs
one look into a dictionary. Taken are full lists by the issuer itself. Deltas,
indirect lists and lists for some reasons only say less than they seem to, and
are not taken: the certificate's status is then unknown, never good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509

from services.identity.validation.ocsp_client import (
    REASONS,
    SKEW,
    Revoked,
    Unusable,
    generalized_time,
)
from services.identity.validation.paths import Issuer, Link
from services.identity.x509.issuing import UNREADABLE
from services.identity.x509.signed_data import signed
from signatures.der import INTEGER, SEQUENCE, MalformedDer, Reader, encode_oid

_EXPIRED_ON_LIST = "2.5.29.60"
# certificateIssuer (RFC 5280, section 5.3.3), as its bytes stand in an entry.
_CERTIFICATE_ISSUER = encode_oid("2.5.29.29") + b"\x01\x01\xff"
_KNOWN = (
    x509.AuthorityKeyIdentifier,
    x509.CRLNumber,
    x509.IssuerAlternativeName,
    x509.FreshestCRL,
    x509.AuthorityInformationAccess,
)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list whose signature by its issuer holds."""

    this_update: datetime
    next_update: datetime
    # Where each serial number stands in the list.
    _places: dict[int, int]
    _list: x509.CertificateRevocationList
    # Kinds of certificates that it is about, and the addresses that it is published at, if it says.
    _users: bool
    _authorities: bool
    _published_at: frozenset[str]
    # Certificates that expired since are still on it; None where it says nothing.
    keeps_expired_since: datetime | None

    def find(self, link: Link, now: datetime) -> Revoked | None:
        """Since when the certificate is revoked, or None if it is not. Raises Unusable."""
        if self.this_update > now + SKEW:
            raise Unusable("of a time to come")
        if now >= self.next_update:
            raise Unusable("out of date")
        if not (self._authorities if link.authority else self._users):
            raise Unusable("about other kinds of certificates")
        if self._published_at and self._published_at.isdisjoint(link.lists):
            # A part of the list that this certificate is not on (section 6.3.3, b 2 i).
            raise Unusable("a list of other certificates")
        place = self._places.get(link.serial_number)
        if place is None:
            return None
        return _revoked(self._list[place])


def read(der: bytes, issuer: Issuer) -> RevocationList:
    """The issuer's list. Raises Unusable. Takes about a microsecond for each entry."""
    if not issuer.signs_lists:
        raise Unusable("its issuer may sign no lists")
    try:
        parts = signed(der)
        name = _issuer_name(parts.content)
        if name != issuer.name and asn1.Name.load(name) != asn1.Name.load(issuer.name):
            raise Unusable("of another issuer")
        if _CERTIFICATE_ISSUER in parts.content:
            # Entries of another issuer: of an indirect list, whether it says so or not. It is
            # critical, and none of the list is to be used (section 5.3).
            raise Unusable("with entries of other issuers")
        found = x509.load_der_x509_crl(der)
        next_update = found.next_update_utc
        if next_update is None:
            raise Unusable("without the time of the next")
        users, authorities, published_at, keeps = _extensions(found)
        if not parts.holds(issuer.spki):
            raise Unusable("its signature does not hold")
        places = {entry.serial_number: place for place, entry in enumerate(found)}
    except (*UNREADABLE, KeyError) as error:
        raise Unusable(f"cannot be read: {error}") from None
    return RevocationList(
        this_update=found.last_update_utc,
        next_update=next_update,
        _places=places,
        _list=found,
        _users=users,
        _authorities=authorities,
        _published_at=published_at,
        keeps_expired_since=keeps,
    )


def _revoked(entry: Any) -> Revoked:
    """What an entry says. Raises Unusable where it says more that cannot be passed over."""
    since, reason = entry.revocation_date_utc, 0
    try:
        for extension in entry.extensions:
            value = extension.value
            if isinstance(value, x509.CRLReason):
                reason = REASONS[value.reason]
            elif isinstance(value, x509.InvalidityDate):
                since = min(since, value.invalidity_date_utc)
            elif extension.critical:
                raise Unusable("an entry with a critical extension that is not known")
    except (*UNREADABLE, KeyError):
        # It is revoked, whatever more is said of it.
        return Revoked(since, 0)
    return Revoked(since, reason)


def _extensions(
    found: x509.CertificateRevocationList,
) -> tuple[bool, bool, frozenset[str], datetime | None]:
    users = authorities = True
    published_at: frozenset[str] = frozenset()
    keeps = None
    for extension in found.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_some_reasons is not None:
                raise Unusable("indirect, or for some reasons only")
            if value.only_contains_attribute_certs:
                raise Unusable("about attribute certificates")
            users = not value.only_contains_ca_certs
            authorities = not value.only_contains_user_certs
            if value.relative_name is not None:
                raise Unusable("published under a relative name")
            names = value.full_name or []
            published_at = frozenset(
                name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)
            )
            if names and not published_at:
                raise Unusable("published where nobody can ask")
        elif isinstance(value, x509.DeltaCRLIndicator):
            raise Unusable("a delta")
        elif extension.oid.dotted_string == _EXPIRED_ON_LIST:
            keeps = generalized_time(getattr(value, "value", b""))
        elif extension.critical and not isinstance(value, _KNOWN):
            raise Unusable("a critical extension that is not known")
    return users, authorities, published_at, keeps


def _issuer_name(content: bytes) -> bytes:
    """The issuer in a TBSCertList as its bytes stand there. Raises MalformedDer."""
    fields = Reader(content).sequence()
    if fields.next_tag() == INTEGER:
        fields.any()
    fields.value(SEQUENCE)
    tag, _, name = fields.any()
    if tag != SEQUENCE:
        raise MalformedDer("no name")
    return name
