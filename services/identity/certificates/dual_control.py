"""Rules of dual control: how many people a certificate takes, and who may be which of them.

Certificates give their holder's name to whoever has the key, so one person alone makes none over
another's name, except a person's first. The rule as a whole stands in certificates.proto, at
IssueCertificate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from services.identity.certificates.rules import StoredCertificate
from services.identity.events.event import IdentityEventBasis
from services.identity.subjects.dual_control import LAPSES_AFTER
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Caller, Role
from services.runtime.errors import FailedPrecondition, NotFound, PermissionDenied

# Applications of one proposer that may wait at a time: nobody fills the list that others have to
# read.
PENDING_LIMIT = 100


class CertificateState(IntEnum):
    """What became of a certificate that was asked for; CertificateState of the contract."""

    PENDING = 1
    ISSUED = 2
    REVOKED = 3
    REJECTED = 4
    LAPSED = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """The certificate that somebody wants a subject to have."""

    subject: str
    is_person: bool
    usage: CertificateUsage
    # The organization that the person is to sign for, or "".
    organization: str = ""
    # It is an external authority's, and is registered.
    is_external: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says about a certificate that is wanted, at the moment of the decision."""

    # The subject has a membership of the platform's own organization: active, pending or ending.
    is_official: bool = False
    # The subject has, or had, a certificate, in whatever state.
    had_certificate: bool = False
    # The certificate that the caller confirms with, if it is stored.
    confirmed_with: StoredCertificate | None = None
    # The key is managed and certified as the seal of this organization, which was not revoked.
    is_sealing_key: bool = False
    # The subject is an operator, and none but the caller ever had a certificate.
    is_second_operator: bool = False


@dataclass(frozen=True, slots=True)
class Application:
    """A certificate that waits, or waited, for a second person; the row of the database."""

    # UUIDv7: in the order of creation.
    id: str
    subject: str
    organization: str
    usage: CertificateUsage
    # Of what is to be issued: PKCS#10, DER; else empty.
    request: bytes
    # Of what is to be registered: the certificate, DER; else empty.
    der: bytes
    # The issuers that came with it, DER.
    chain: tuple[bytes, ...]
    # Fingerprint of its key.
    key: str
    # Who asked, in which role, for which organization, with which certificate.
    proposer: str
    proposer_role: int
    proposer_organization: str
    proposer_certificate: str
    create_time: datetime
    state: CertificateState = CertificateState.PENDING
    # Who approved or rejected it, and when.
    decider: str = ""
    decide_time: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.subject}/certificateRequests/{self.id}"

    @property
    def caller(self) -> Caller:
        """Who asked, in the one role that it was asked in."""
        return Caller(
            subject=self.proposer,
            organization=self.proposer_organization,
            roles=frozenset({self.proposer_role}),
            certificate=self.proposer_certificate,
        )

    def at(self, now: datetime) -> Application:
        """Return it as it stands at a time: what waited for LAPSES_AFTER has lapsed."""
        if self.state is CertificateState.PENDING and now >= self.create_time + LAPSES_AFTER:
            return replace(self, state=CertificateState.LAPSED)
        return self


def check_may_ask(caller: Caller, wanted: Wanted, *, is_official: bool) -> int:
    """Return the role in which the caller may ask for the certificate, alone or not. Raises
    PermissionDenied."""
    if caller.has(Role.ROLE_OPERATOR):
        return int(Role.ROLE_OPERATOR)
    if caller.has(Role.ROLE_REGISTRAR) and wanted.is_person and not is_official:
        return int(Role.ROLE_REGISTRAR)
    if caller.has(Role.ROLE_CITIZEN) and wanted.is_person and caller.subject == wanted.subject:
        return int(Role.ROLE_CITIZEN)
    # Another authority's certificate is registered for an organization by operators.
    is_officer = caller.has(Role.ROLE_OFFICER) and caller.organization == wanted.subject
    if is_officer and not wanted.is_person and not wanted.is_external:
        return int(Role.ROLE_OFFICER)
    raise PermissionDenied()


def basis_alone(
    role: int, caller: Caller, wanted: Wanted, facts: Facts, now: datetime
) -> IdentityEventBasis | None:
    """Return on which basis the caller gets the certificate alone; None if it takes two people.

    role: that of check_may_ask.
    """
    if _renews(caller, wanted, facts.confirmed_with, now):
        return IdentityEventBasis.RENEWAL
    if role in (Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR):
        is_first = wanted.is_person and not facts.had_certificate
        if is_first and (not facts.is_official or facts.is_second_operator):
            return IdentityEventBasis.ALONE
    is_seal = not wanted.is_person and wanted.usage is CertificateUsage.SIGN
    if is_seal and not wanted.is_external and facts.is_sealing_key:
        return IdentityEventBasis.ALONE
    return None


def _renews(
    caller: Caller, wanted: Wanted, confirmed_with: StoredCertificate | None, now: datetime
) -> bool:
    """Return whether a citizen or an information system renews the certificate that it confirms
    with: its key's holder asks, whoever else holds the token."""
    if confirmed_with is None or wanted.is_external:
        return False
    is_own = caller.subject == wanted.subject == confirmed_with.subject
    is_holder = caller.has(Role.ROLE_CITIZEN) if wanted.is_person else caller.has(Role.ROLE_OFFICER)
    is_same = (confirmed_with.usage, confirmed_with.organization) == (
        wanted.usage,
        wanted.organization,
    )
    is_good = confirmed_with.own and confirmed_with.signs_in_at(now)
    return is_own and is_holder and is_same and is_good


def check_may_decide(caller: Caller, *, is_person: bool, is_official: bool) -> None:
    """Raise PermissionDenied if the caller's roles let them approve no certificate of the subject:
    operators do for every one, registrars for people who are not the platform's own."""
    if caller.has(Role.ROLE_OPERATOR):
        return
    if caller.has(Role.ROLE_REGISTRAR) and is_person and not is_official:
        return
    raise PermissionDenied()


def check_may_reject(caller: Caller, *, subject: str, is_person: bool, is_official: bool) -> None:
    """Raise PermissionDenied unless the caller could approve it, or is its holder: the person, or
    an officer of the organization."""
    if caller.has(Role.ROLE_CITIZEN) and caller.subject == subject:
        return
    if caller.has(Role.ROLE_OFFICER) and caller.organization == subject:
        return
    check_may_decide(caller, is_person=is_person, is_official=is_official)


def check_is_pending(application: Application) -> None:
    """Raise FailedPrecondition if it was decided or has lapsed; application: as at() has it."""
    if application.state is not CertificateState.PENDING:
        raise FailedPrecondition("NOT_PENDING", "the certificate waits for nobody any more")


def missing(caller: Caller) -> NotFound | PermissionDenied:
    """Return the refusal of what does not exist: only operators are told so."""
    if caller.has(Role.ROLE_OPERATOR):
        return NotFound("it does not exist")
    return PermissionDenied()


def listed_subject(caller: Caller) -> str | None:
    """Return whose waiting certificates the caller lists: a citizen's own, an officer's
    organization's; None for all. Raises PermissionDenied."""
    if caller.has(Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR):
        return None
    if caller.has(Role.ROLE_OFFICER):
        return caller.organization
    if caller.has(Role.ROLE_CITIZEN):
        return caller.subject
    raise PermissionDenied()
