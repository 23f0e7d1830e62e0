"""Rules of signing in: what a certificate's holder becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.identity.certificates.rules import StoredCertificate
from services.identity.subjects.rules import Membership, Subject
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import CALLER_AUDIENCE, INTERNAL_AUDIENCE, Role
from services.runtime.errors import PermissionDenied, Unauthenticated


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says of its holder."""

    subject: str
    organization: str
    roles: tuple[int, ...]
    # Lower-case hex SHA-256 of the certificate that the holder signed in with.
    certificate: str
    audience: str = CALLER_AUDIENCE


def grant(
    *,
    certificate: StoredCertificate,
    holder: Subject | None,
    organization: str,
    memberships: Mapping[str, Membership],
    platform: str,
) -> Grant:
    """Return what the holder of a valid certificate becomes, with that certificate.

    organization: the one that the challenge names, or "". memberships: the holder's, by
    organization. Raises Unauthenticated for a certificate that may not be used to sign in,
    PermissionDenied for an organization that the holder is not a member of.
    """
    if certificate.service:
        if organization:
            raise PermissionDenied()
        name = f"services/{certificate.service}"
        return Grant(name, "", (Role.ROLE_SERVICE,), certificate.fingerprint, INTERNAL_AUDIENCE)
    if holder is None:
        raise Unauthenticated("the certificate may not be used to sign in")
    if not holder.is_person:
        return _grant_system(certificate, holder, organization, platform)
    if organization and organization != platform:
        membership = memberships.get(organization)
        if membership is None or membership.role != Role.ROLE_OFFICER:
            raise PermissionDenied()
        return Grant(holder.name, organization, (Role.ROLE_OFFICER,), certificate.fingerprint)
    roles = [int(Role.ROLE_CITIZEN)]
    own = memberships.get(platform)
    if own is not None:
        roles.append(own.role)
    elif organization:
        raise PermissionDenied()
    return Grant(holder.name, "", tuple(roles), certificate.fingerprint)


def _grant_system(
    certificate: StoredCertificate, holder: Subject, organization: str, platform: str
) -> Grant:
    """Return an information system's grant. Raises Unauthenticated for an organization's seal and
    for the time-stamping authority."""
    if certificate.usage is not CertificateUsage.AUTHENTICATE:
        raise Unauthenticated("the certificate may not be used to sign in")
    if organization not in ("", holder.name) or holder.name == platform:
        raise PermissionDenied()
    return Grant(holder.name, holder.name, (Role.ROLE_OFFICER,), certificate.fingerprint)
