"""Where a certificate says that its revocation can be asked about."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from services.identity.x509.inspection import extension


def responders(certificate: x509.Certificate) -> tuple[str, ...]:
    """Addresses of OCSP responders (RFC 5280, section 4.2.2.1), each once."""
    access = extension(certificate, x509.AuthorityInformationAccess)
    return _addresses(
        description.access_location
        for description in access or ()
        if description.access_method == AuthorityInformationAccessOID.OCSP
    )


def lists(certificate: x509.Certificate) -> tuple[str, ...]:
    """Addresses of full lists by the issuer itself: none of those for some reasons only, none of
    an indirect one (RFC 5280, section 4.2.1.13)."""
    points = extension(certificate, x509.CRLDistributionPoints)
    return _addresses(
        name
        for point in points or ()
        if point.reasons is None and point.crl_issuer is None
        for name in point.full_name or ()
    )


def _addresses(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return tuple(dict.fromkeys(found))
