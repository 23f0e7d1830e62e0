"""Certificate revocation lists of external authorities (RFC 5280, sections 5 and 6.3).

A list is decoded and its signature verified once; after that, looking up a certificate costs one
dictionary access. Lists may be partitioned by distribution point, by kind of certificate and by
reason, may be indirect, and may be deltas: what a list covers is its scope, and it says nothing of
other certificates. crl_search.py puts several lists together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509

from services.identity.validation.evidence import UnusableEvidence, read_generalized_time
from services.identity.validation.interface import Chain, Issuer, Link, Revocation
from services.identity.x509.limits import CLOCK_SKEW, NAME_LIMIT_BYTES
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.revocation_urls import (
    ALL_REASONS,
    Reasons,
    comparable_name,
    general_names,
    urls_of,
)
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


class WrongSigner(UnusableEvidence):
    """A list under the issuer's name, or another's, that the issuer's key did not sign."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a list says that it covers (issuingDistributionPoint; RFC 5280, section 5.2.5)."""

    # The distribution point's names as they compare; empty for all points.
    names: frozenset[str] = frozenset()
    users: bool = True
    authorities: bool = True
    reasons: Reasons = ALL_REASONS
    # It has entries of other issuers too.
    indirect: bool = False


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list whose signature is valid."""

    this_update: datetime
    next_update: datetime
    scope: Scope
    # cRLNumber; None if it has none.
    number: int | None
    # The number of the list that a delta list changes; None for a complete list.
    base_number: int | None
    delta_urls: tuple[str, ...]
    # Expired certificates stay on it if they expired after this; None if it does not say.
    keeps_expired_since: datetime | None
    # The issuer's name, DER.
    name: bytes
    # The index of each serial number's entry: of the list's own issuer, and of others by name.
    _places: Mapping[int, int]
    _others: Mapping[tuple[str, int], int]
    _list: x509.CertificateRevocationList
    # The path of the certificate whose key signed it; None if that is the key of the issuer of the
    # certificates that the list was read for.
    signer: Chain | None = None

    def signed_by(self, signer: Chain) -> RevocationList:
        """Return the list as one that another key signed."""
        return replace(self, signer=signer)

    def is_current(self, now: datetime) -> bool:
        """Return whether its nextUpdate is ahead."""
        return now < self.next_update

    def reasons_for(self, link: Link) -> Reasons:
        """Return the reasons for which the list covers the certificate (section 6.3.3, b). Raises
        UnusableEvidence if it covers none."""
        scope = self.scope
        if not (scope.authorities if link.authority else scope.users):
            raise UnusableEvidence("covers other kinds of certificates")
        own = is_same_name(self.name, link.issuer.name)
        reasons: set[x509.ReasonFlags] = set()
        name = comparable_name(self.name) if any(each.issuers for each in link.points) else ""
        for point in link.points:
            if point.issuers:
                if name not in point.issuers or not scope.indirect:
                    continue
                names = point.names or point.issuers
            elif not own:
                continue
            else:
                names = point.names
            if not scope.names or not scope.names.isdisjoint(names):
                reasons |= point.reasons & scope.reasons
        if own and not scope.names:
            # The point that every certificate has: its issuer's own list (section 6.3.3).
            reasons |= scope.reasons
        elif own and comparable_name(self.name) in scope.names:
            reasons |= scope.reasons
        if not reasons:
            raise UnusableEvidence(
                "covers certificates that name another list" if own else "by another issuer"
            )
        return frozenset(reasons)

    def entry(self, link: Link) -> Revocation | None:
        """Return the certificate's entry, or None if it is not listed. Raises UnusableEvidence for
        an entry that cannot be used."""
        if is_same_name(self.name, link.issuer.name):
            place = self._places.get(link.serial_number)
        else:
            place = self._others.get((comparable_name(link.issuer.name), link.serial_number))
        return None if place is None else _revocation(self._list[place])

    def changes(self, base: RevocationList) -> bool:
        """Return whether this is a delta list that may be applied to the complete one (section
        6.3.3, c)."""
        return (
            self.base_number is not None
            and base.base_number is None
            and base.number is not None
            and self.number is not None
            and self.base_number <= base.number <= self.number
            and self.scope == base.scope
            and is_same_name(self.name, base.name)
            and self._key_identifier == base._key_identifier
        )

    @property
    def _key_identifier(self) -> bytes | None:
        """The authorityKeyIdentifier's key, by which the two lists must agree (section 5.2.4)."""
        try:
            found = self._list.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        except x509.ExtensionNotFound:
            return None
        return found.value.key_identifier


def read_crl(der: bytes, issuer: Issuer) -> RevocationList:
    """Read and verify a list by this issuer; takes about a microsecond for each entry. Raises
    UnusableEvidence, WrongSigner if another may have signed it."""
    try:
        parts = read_signed(der)
        name = issuer_name(parts.content)
        if not is_same_name(name, issuer.name):
            raise WrongSigner("by another issuer")
        if not issuer.signs_crls:
            raise WrongSigner("its issuer may not sign lists")
        found = x509.load_der_x509_crl(der)
        this_update, next_update = found.last_update_utc, found.next_update_utc
        if next_update is None:
            raise UnusableEvidence("has no nextUpdate")
        read = _read_extensions(found)
        has_other_issuers = _CERTIFICATE_ISSUER in parts.content
        if has_other_issuers and not read.scope.indirect:
            # The extension is critical, so no entry of the list may be used (section 5.3).
            raise UnusableEvidence("has entries of other issuers")
        if not parts.is_signed_by(issuer.spki):
            raise WrongSigner("its signature is not the issuer's")
        others: dict[tuple[str, int], int] = {}
        if has_other_issuers:
            places, others = _places_by_issuer(found, name)
        else:
            places = {entry.serial_number: place for place, entry in enumerate(found)}
    except UnusableEvidence:
        raise
    except Exception as error:  # whatever a parser makes of foreign bytes
        log_unforeseen("a revocation list", der, error)
        raise UnusableEvidence(f"cannot be read: {type(error).__name__}") from None
    return RevocationList(
        this_update=this_update,
        next_update=next_update,
        scope=read.scope,
        number=read.number,
        base_number=read.base_number,
        delta_urls=read.delta_urls,
        keeps_expired_since=read.keeps_expired_since,
        name=name,
        _places=places,
        _others=others,
        _list=found,
    )


def check_date(found: RevocationList, now: datetime) -> None:
    """Raise UnusableEvidence for a list from the future."""
    if found.this_update > now + CLOCK_SKEW:
        raise UnusableEvidence("dated in the future")


def _places_by_issuer(
    found: x509.CertificateRevocationList, name: bytes
) -> tuple[dict[int, int], dict[tuple[str, int], int]]:
    """Return the places of an indirect list's entries: an entry without certificateIssuer has that
    of the entry before it (section 5.3.3)."""
    own, others = {}, {}
    issuer: str | None = None
    for place, entry in enumerate(found):
        try:
            names = entry.extensions.get_extension_for_class(x509.CertificateIssuer).value
        except x509.ExtensionNotFound:
            pass
        else:
            directory = names.get_values_for_type(x509.DirectoryName)
            der = directory[0].public_bytes()
            issuer = None if is_same_name(der, name) else comparable_name(der)
        if issuer is None:
            own[entry.serial_number] = place
        else:
            others[issuer, entry.serial_number] = place
    return own, others


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
            elif isinstance(value, x509.CertificateIssuer):
                continue
            elif extension.critical:
                raise UnusableEvidence("an entry has an unknown critical extension")
    except UnusableEvidence:
        raise
    except Exception:
        # The certificate is revoked, even if the details cannot be read.
        return Revocation(since)
    return Revocation(since, reason)


@dataclass(slots=True)
class _Extensions:
    """What the list's extensions say, as in RevocationList."""

    scope: Scope = Scope()
    number: int | None = None
    base_number: int | None = None
    delta_urls: tuple[str, ...] = ()
    keeps_expired_since: datetime | None = None


def _read_extensions(found: x509.CertificateRevocationList) -> _Extensions:
    """Raises UnusableEvidence."""
    read = _Extensions()
    for extension in found.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            read.scope = _scope(value, found.issuer)
        elif isinstance(value, x509.CRLNumber):
            read.number = value.crl_number
        elif isinstance(value, x509.DeltaCRLIndicator):
            read.base_number = value.crl_number
        elif isinstance(value, x509.FreshestCRL):
            read.delta_urls = urls_of(n for point in value for n in point.full_name or ())
        elif extension.oid.dotted_string == oids.EXPIRED_CERTS_ON_CRL:
            read.keeps_expired_since = read_generalized_time(getattr(value, "value", b""))
        elif extension.critical and not isinstance(value, _KNOWN_EXTENSIONS):
            raise UnusableEvidence("has an unknown critical extension")
    return read


def _scope(point: x509.IssuingDistributionPoint, issuer: x509.Name) -> Scope:
    """Raises UnusableEvidence."""
    if point.only_contains_attribute_certs:
        raise UnusableEvidence("covers attribute certificates")
    names: frozenset[str] = frozenset()
    if point.full_name or point.relative_name:
        names = general_names(point.full_name, point.relative_name, issuer)
        if not names:
            raise UnusableEvidence("published under neither a URL nor a directory's name")
    some = point.only_some_reasons
    return Scope(
        names=names,
        users=not point.only_contains_ca_certs,
        authorities=not point.only_contains_user_certs,
        reasons=ALL_REASONS if some is None else frozenset(some) & ALL_REASONS,
        indirect=point.indirect_crl,
    )


def is_same_name(one: bytes, other: bytes) -> bool:
    """Return whether two names are equal, DER; False for long ones of different encoding, which
    would take long to prepare, and that before the list's signature is verified."""
    if one == other:
        return True
    if max(len(one), len(other)) > NAME_LIMIT_BYTES:
        return False
    return bool(asn1.Name.load(one) == asn1.Name.load(other))


def issuer_name(content: bytes) -> bytes:
    """Return the issuer in a TBSCertList as its bytes stand there. Raises MalformedDer."""
    fields = Reader(content).sequence()
    if fields.next_tag() == INTEGER:
        fields.any()
    fields.value(SEQUENCE)
    tag, _, name = fields.any()
    if tag != SEQUENCE:
        raise MalformedDer("not a name")
    return name
