"""Where a certificate says that its revocation can be looked up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from services.identity.x509.inspection import extension
from services.identity.x509.limits import NAME_LIMIT_BYTES

Reasons = frozenset[x509.ReasonFlags]
# What a list without onlySomeReasons covers (RFC 5280, section 6.3.3).
ALL_REASONS: Reasons = frozenset(x509.ReasonFlags) - {
    x509.ReasonFlags.unspecified,
    x509.ReasonFlags.remove_from_crl,
}


@dataclass(frozen=True, slots=True)
class DistributionPoint:
    """One of a certificate's cRLDistributionPoints (RFC 5280, section 4.2.1.13)."""

    # Its names as they compare (general_names); empty if it has none.
    names: frozenset[str]
    urls: tuple[str, ...]
    reasons: Reasons
    # Who signs its lists if not the certificate's issuer: names as they compare.
    issuers: frozenset[str]


def ocsp_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URLs of OCSP responders (RFC 5280, section 4.2.2.1), each once."""
    access = extension(certificate, x509.AuthorityInformationAccess)
    return urls_of(
        description.access_location
        for description in access or ()
        if description.access_method == AuthorityInformationAccessOID.OCSP
    )


def distribution_points(certificate: x509.Certificate) -> tuple[DistributionPoint, ...]:
    """Return where the certificate's revocation lists are published."""
    return _points(certificate, extension(certificate, x509.CRLDistributionPoints))


def delta_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URLs of delta lists (freshestCRL; RFC 5280, section 4.2.1.15), each once."""
    points = extension(certificate, x509.FreshestCRL)
    return urls_of(name for point in points or () for name in point.full_name or ())


def general_names(
    full_name: Iterable[x509.GeneralName] | None,
    relative: x509.RelativeDistinguishedName | None,
    issuer: x509.Name,
) -> frozenset[str]:
    """Return a DistributionPointName's URLs and directory names as they compare.

    relative: what is appended to the issuer's name to make a directory name.
    """
    names = {
        f"url:{name.value}"
        for name in full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    }
    directory = [name.value for name in full_name or () if isinstance(name, x509.DirectoryName)]
    if relative is not None:
        directory.append(x509.Name([*issuer.rdns, relative]))
    return frozenset(names | {comparable_name(name.public_bytes()) for name in directory})


def comparable_name(der: bytes) -> str:
    """Return a directory name (DER) so that equal names give equal texts (RFC 5280, section 7.1). A
    long one, which would take long to prepare, is equal to its own bytes only."""
    if len(der) > NAME_LIMIT_BYTES:
        return f"bytes:{der.hex()}"
    return f"name:{asn1.Name.load(der).hashable}"


def urls_of(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    """Return the URLs among the names, each once."""
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return tuple(dict.fromkeys(found))


def _points(
    certificate: x509.Certificate, points: Iterable[x509.DistributionPoint] | None
) -> tuple[DistributionPoint, ...]:
    found = []
    for point in points or ():
        issuers = [n.value for n in point.crl_issuer or () if isinstance(n, x509.DirectoryName)]
        if point.crl_issuer and not issuers:
            continue
        # A relative name is appended to the list issuer's name, if one is named (4.2.1.13).
        base = issuers[0] if len(issuers) == 1 else certificate.issuer
        found.append(
            DistributionPoint(
                general_names(point.full_name, point.relative_name, base)
                if point.full_name or point.relative_name
                else frozenset(),
                urls_of(point.full_name or ()),
                ALL_REASONS if point.reasons is None else frozenset(point.reasons) & ALL_REASONS,
                frozenset(comparable_name(name.public_bytes()) for name in issuers),
            )
        )
    return tuple(found)
