"""Rules of certificates: whom they bind, what they are worth at a time, who may ask for what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.x509.issuing import Usage
from services.runtime.access import Caller, Role
from services.runtime.errors import PermissionDenied

# A revoked certificate's signature is refused everywhere by then.
FRESH_FOR = timedelta(seconds=5)
# Larger than any certificate met; parsing is not free.
CERTIFICATE_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate that binds a subject, as the database keeps it."""

    fingerprint: str
    subject: str
    der: bytes
    serial_number: str
    not_before: datetime
    not_after: datetime
    usage: int
    own: bool
    create_time: datetime
    organization: str = ""
    service: str = ""
    revoke_time: datetime | None = None
    revocation_reason: int = 0

    @property
    def name(self) -> str:
        return f"{self.subject}/certificates/{self.fingerprint}"

    def revoked_at(self, at: datetime) -> bool:
        return self.revoke_time is not None and self.revoke_time <= at


def fingerprint_of(der: bytes) -> str:
    """What a certificate is named by: the lower-case hex SHA-256 of its DER."""
    return hashlib.sha256(der).hexdigest()


@dataclass(frozen=True, slots=True)
class Binding:
    """What of a certificate decides its status, without the certificate."""

    fingerprint: str
    subject: str
    not_before: datetime
    not_after: datetime
    usage: int
    own: bool
    revoke_time: datetime | None

    def revoked_at(self, at: datetime) -> bool:
        return self.revoke_time is not None and self.revoke_time <= at


def judge(certificate: StoredCertificate | Binding, at: datetime) -> Status:
    """What the certificate is worth for signing documents at a time.

    Revocation goes before the dates: who asks about a certificate that was
    revoked and has expired since must not read that it merely ran out.
    """
    if certificate.revoked_at(at):
        return Status.CERTIFICATE_STATUS_REVOKED
    if at < certificate.not_before:
        return Status.CERTIFICATE_STATUS_NOT_YET_VALID
    # notAfter is the last second in which it holds (RFC 5280, section 4.1.2.5).
    if at >= certificate.not_after + timedelta(seconds=1):
        return Status.CERTIFICATE_STATUS_EXPIRED
    if certificate.usage != Usage.SIGN:
        return Status.CERTIFICATE_STATUS_WRONG_USAGE
    return Status.CERTIFICATE_STATUS_GOOD


def check_may_issue(
    caller: Caller,
    *,
    subject: str,
    is_person: bool,
    renews: bool,
) -> None:
    """Raises PermissionDenied where the caller may not have this certificate issued.

    renews: whether the subject holds one of this usage and organization that is good.
    """
    if caller.has(Role.ROLE_OPERATOR):
        return
    if caller.has(Role.ROLE_REGISTRAR) and is_person:
        return
    if caller.has(Role.ROLE_CITIZEN) and caller.subject == subject and renews:
        return
    raise PermissionDenied()


def check_may_read(caller: Caller, *, subject: str, is_person: bool) -> None:
    """An organization's certificates are everyone's; a person's are theirs and the platform's."""
    if not is_person:
        return
    platform = (Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR, Role.ROLE_SERVICE)
    if caller.has(*platform) or (caller.has(Role.ROLE_CITIZEN) and caller.subject == subject):
        return
    raise PermissionDenied()


def check_may_revoke(
    caller: Caller, certificate: StoredCertificate | None, *, is_person: bool
) -> StoredCertificate:
    """The certificate, where the caller may revoke it; else PermissionDenied, the same for one
    that does not exist. A service's credential is revoked by operators only."""
    if certificate is not None:
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
