"""Where a certificate says that its revocation can be looked up."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from services.identity.x509.inspection import extension


def ocsp_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URLs of OCSP responders (RFC 5280, section 4.2.2.1), each once."""
    access = extension(certificate, x509.AuthorityInformationAccess)
    return _urls(
        description.access_location
        for description in access or ()
        if description.access_method == AuthorityInformationAccessOID.OCSP
    )


def crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URLs of full lists by the issuer itself, each once: partitioned by reason, or by
    another issuer, a list is left out (RFC 5280, section 4.2.1.13)."""
    points = extension(certificate, x509.CRLDistributionPoints)
    return _urls(
        name
        for point in points or ()
        if point.reasons is None and point.crl_issuer is None
        for name in point.full_name or ()
    )


def _urls(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return tuple(dict.fromkeys(found))
