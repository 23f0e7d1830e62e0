"""Rules of certificates: whom they bind, their status at a time, and who may ask for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.identity.certificates.managed_keys import certified_key
from services.identity.events.event import Happening, IdentityEventBasis, IdentityEventKind
from services.identity.subjects.rules import Subject
from services.identity.validation.interface import CertificateStatus
from services.identity.x509.inspection import fingerprint_of, has_expired
from services.identity.x509.issuing import Holder
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Caller, Role
from services.runtime.errors import FailedPrecondition, NotFound, PermissionDenied

# The names of the platform's own services begin so.
SERVICES = "services/"
# How long a service's credential signs in after it was renewed: replicas and copies of its file
# take the new one meanwhile.
RENEWED_SIGNS_IN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate that binds a subject to a key; the row of the database."""

    fingerprint: str
    # Empty for the credential of a service.
    subject: str
    der: bytes
    # Lower-case hex.
    serial_number: str
    not_before: datetime
    not_after: datetime
    usage: CertificateUsage
    # Issued by the platform's own authority.
    own: bool
    create_time: datetime
    # The organization that an employee may sign for.
    organization: str = ""
    # The service whose credential it is.
    service: str = ""
    # Fingerprint of its key, by which it is told whose the key is.
    key: str = ""
    # Who asked for it and who approved that, as subjects; "" where no second person did, both where
    # `init` wrote it. A renewed one has those of the certificate that it renews.
    proposer: str = ""
    approver: str = ""
    revoke_time: datetime | None = None
    revocation_reason: RevocationReason = RevocationReason.UNSPECIFIED
    # From when on a service's credential signs in no more; None if it was not renewed.
    sign_in_end_time: datetime | None = None

    @classmethod
    def of(
        cls,
        certificate: x509.Certificate,
        *,
        subject: str,
        usage: CertificateUsage,
        own: bool,
        now: datetime,
        organization: str = "",
        service: str = "",
    ) -> StoredCertificate:
        """Make the row of a new certificate."""
        der = certificate.public_bytes(Encoding.DER)
        return cls(
            key=certified_key(der),
            fingerprint=fingerprint_of(der),
            subject=subject,
            der=der,
            serial_number=f"{certificate.serial_number:x}",
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            usage=usage,
            own=own,
            organization=organization,
            service=service,
            create_time=now,
        )

    @property
    def name(self) -> str:
        return f"{self.holder}/certificates/{self.fingerprint}"

    @property
    def holder(self) -> str:
        """Whose key it certifies: the subject's, or "services/{service}"."""
        return self.subject or f"{SERVICES}{self.service}"

    def is_revoked_at(self, at: datetime) -> bool:
        return self.revoke_time is not None and self.revoke_time <= at

    def signs_in_at(self, at: datetime) -> bool:
        """Return whether its holder may sign in and confirm acts with it, as far as this platform
        knows: not revoked here, within its dates, and not renewed a while ago."""
        has_ended = self.sign_in_end_time is not None and self.sign_in_end_time <= at
        return (
            self.not_before <= at <= self.not_after and not self.is_revoked_at(at) and not has_ended
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """The part of a StoredCertificate that decides its status."""

    fingerprint: str
    subject: str
    not_before: datetime
    not_after: datetime
    usage: CertificateUsage
    own: bool
    revoke_time: datetime | None

    def is_revoked_at(self, at: datetime) -> bool:
        return self.revoke_time is not None and self.revoke_time <= at


def status_at(certificate: StoredCertificate | Binding, at: datetime) -> CertificateStatus:
    """Return the certificate's status for signing documents at a time.

    Revocation goes before the dates: of a certificate that was revoked and has expired since, a
    caller must not read that it merely expired.
    """
    if certificate.is_revoked_at(at):
        return CertificateStatus.REVOKED
    if at < certificate.not_before:
        return CertificateStatus.NOT_YET_VALID
    if has_expired(certificate.not_after, at):
        return CertificateStatus.EXPIRED
    if certificate.usage is not CertificateUsage.SIGN:
        return CertificateStatus.WRONG_USAGE
    return CertificateStatus.GOOD


def check_key_is_free(certified_for: str | None, holder: str) -> None:
    """Raise FailedPrecondition if the key is certified for another than the holder: whoever signs
    with it could be either."""
    if certified_for not in (None, holder):
        raise FailedPrecondition("KEY_IS_CERTIFIED", "the key is certified for another subject")


def may_certify_managed_key(subject: Subject, usage: CertificateUsage) -> bool:
    """Return whether the certificate may be over a managed key: only an organization's seal, which
    cannot sign in."""
    return usage is CertificateUsage.SIGN and not subject.is_person


def holder_of(subject: Subject, organization: Subject | None) -> Holder:
    """Return whom the certificate names: the subject, for the organization if one is given."""
    if not subject.is_person:
        return Holder(
            common_name=subject.display_name,
            organization_name=subject.display_name,
            bin=subject.number,
        )
    return Holder(
        common_name=f"{subject.family_name} {subject.given_name}",
        surname=subject.family_name,
        patronymic=subject.patronymic,
        iin=subject.number,
        organization_name=organization.display_name if organization else "",
        bin=organization.number if organization else "",
    )


def happening_to(
    certificate: StoredCertificate,
    kind: IdentityEventKind,
    basis: IdentityEventBasis,
    *officers: str,
) -> Happening:
    """Return what happened to the certificate, for the transparency log."""
    return Happening(
        kind=kind,
        basis=basis,
        subject=certificate.holder,
        organization=certificate.organization,
        fingerprint=bytes.fromhex(certificate.fingerprint),
        officers=officers,
    )


# Who may do what


def check_may_read(caller: Caller, *, subject: str, is_person: bool) -> None:
    """Raise PermissionDenied for a person's certificates, unless the caller is that person or has
    one of the platform's roles; an organization's are public."""
    if not is_person:
        return
    platform = (Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR, Role.ROLE_SERVICE)
    if caller.has(*platform) or (caller.has(Role.ROLE_CITIZEN) and caller.subject == subject):
        return
    raise PermissionDenied()


def check_may_renew(
    caller: Caller, current: StoredCertificate | None, now: datetime
) -> StoredCertificate:
    """Return the credential that the call is confirmed with if it is the calling service's own and
    signs in now. Raises PermissionDenied."""
    if (
        current is None
        or not current.service
        or current.service != caller.service
        or current.fingerprint != caller.certificate
        or not current.signs_in_at(now)
    ):
        raise PermissionDenied()
    return current


def check_key_is_new(certified_for: str | None) -> None:
    """Raise FailedPrecondition if the key is certified, for the service itself too: a renewal with
    the same key would outlive a theft."""
    if certified_for is not None:
        raise FailedPrecondition("KEY_IS_CERTIFIED", "the key has a certificate: make a new one")


def check_may_revoke(
    caller: Caller, certificate: StoredCertificate | None, *, is_person: bool
) -> StoredCertificate:
    """Return the certificate if the caller may revoke it; only operators revoke a service's.

    Raises PermissionDenied, alike for a certificate that does not exist; an operator gets NotFound
    for that.
    """
    if certificate is None:
        if caller.has(Role.ROLE_OPERATOR):
            raise NotFound("the certificate does not exist")
        raise PermissionDenied()
    if caller.has(Role.ROLE_OPERATOR):
        return certificate
    if not certificate.service:
        if caller.has(Role.ROLE_REGISTRAR) and is_person:
            return certificate
        if caller.has(Role.ROLE_CITIZEN) and certificate.subject == caller.subject:
            return certificate
        if caller.has(Role.ROLE_OFFICER) and caller.organization in (
            certificate.subject,
            certificate.organization,
        ):
            return certificate
    raise PermissionDenied()
