"""IssueCertificate, RegisterCertificate, and what a second person makes of what they ask for.

Each act has two steps. `prepare` does what takes long, outside of a transaction: it reads the
PKCS#10 request, asks another authority, signs the certificate. `commit` runs in the transaction
that keeps the result, and decides once more, on what the database says then: a certificate that may
not be had alone after all is dropped, and waits for a second person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates import store
from services.identity.certificates.dual_control import (
    PENDING_LIMIT,
    Application,
    CertificateState,
    Facts,
    Wanted,
    basis_alone,
    check_is_pending,
    check_may_ask,
    check_may_decide,
    check_may_reject,
    missing,
)
from services.identity.certificates.issuance import Issuance, Order, check_key, requested_key
from services.identity.certificates.registration import Candidate, Registration
from services.identity.certificates.rules import (
    StoredCertificate,
    check_key_is_free,
    happening_to,
)
from services.identity.events.event import IdentityEventBasis, IdentityEventKind
from services.identity.events.recorder import EventRecorder
from services.identity.store import Taken
from services.identity.subjects.dual_control import LAPSES_AFTER, Provenance, check_is_second
from services.identity.subjects.rules import Membership, MembershipState, Subject
from services.identity.subjects.store import (
    get_membership,
    get_platform,
    get_subjects,
    lock_subject,
)
from services.identity.x509.certification_requests import CertificationRequest
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Caller, Role
from services.runtime.clock import Clock, Randomness, uuid7
from services.runtime.errors import AlreadyExists, FailedPrecondition, QuotaExceeded
from services.runtime.storage.database import Database

# Roles that the platform's own organization gives, in which somebody asks for a certificate.
_OFFICIAL_ROLES = (Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR)


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate that is to be had, as far as it is made outside of a transaction."""

    act: Order | Candidate
    usage: CertificateUsage
    # Fingerprint of its key.
    key: str
    # Of an order, the PKCS#10 request.
    request: CertificationRequest | None = None
    # None while it is not signed.
    certificate: StoredCertificate | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """The subject of a certificate, and what the platform has to know of it."""

    subject: Subject
    organization: Subject | None
    platform: str
    # The subject's membership of the platform's own organization, unless it has ended.
    membership: Membership | None
    # It gives its role now.
    is_in_force: bool

    @property
    def is_official(self) -> bool:
        return self.membership is not None

    @property
    def is_operator(self) -> bool:
        is_one = self.membership is not None and self.membership.role == Role.ROLE_OPERATOR
        return is_one and self.is_in_force

    def wants(self, usage: CertificateUsage, act: Order | Candidate | None = None) -> Wanted:
        """Return the certificate that somebody wants for the subject; act: unless it is of the
        person alone."""
        return Wanted(
            subject=self.subject.name,
            is_person=self.subject.is_person,
            usage=usage,
            organization=_organization(act),
            is_external=isinstance(act, Candidate),
        )


class Certification:
    """Certifies subjects, on one person's word or two people's."""

    def __init__(
        self,
        *,
        database: Database,
        issuance: Issuance,
        registration: Registration,
        events: EventRecorder,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._issuance = issuance
        self._registration = registration
        self._events = events
        self._clock = clock
        self._randomness = randomness

    # Asking

    async def prepare(self, act: Order | Candidate, caller: Caller) -> Draft:
        """Check what is asked for, and make the certificate if the caller may have it alone. Raises
        PermissionDenied, NotFound, InvalidArgument, FailedPrecondition or AlreadyExists."""
        async with self._database.reading() as connection:
            party = await find_party(
                connection, act.subject, caller, self._clock(), _organization(act)
            )
            # Nobody learns more of a subject for whom they may not ask.
            check_may_ask(caller, party.wants(_usage(act), act), is_official=party.is_official)
        draft = await self._draft(act, party)
        async with self._database.reading() as connection:
            _, basis = await self._decide(connection, draft, party, caller)
        return draft if basis is None else await self._signed(draft, party)

    async def commit(
        self, connection: AsyncConnection, draft: Draft, caller: Caller
    ) -> StoredCertificate | Application:
        """Store the certificate if the caller may have it alone, else what waits. Raises as
        prepare does."""
        await lock_subject(connection, draft.act.subject)
        party = await find_party(
            connection, draft.act.subject, caller, self._clock(), _organization(draft.act)
        )
        role, basis = await self._decide(connection, draft, party, caller)
        if basis is None or draft.certificate is None:
            return await self._wait(connection, draft, caller, role)
        making = await making_alone(connection, caller, basis)
        return await add_made(
            connection, draft.certificate, party, making, events=self._events, now=self._clock()
        )

    async def _draft(self, act: Order | Candidate, party: Party) -> Draft:
        if isinstance(act, Candidate):
            validated = await self._registration.validate(act, party.subject)
            return Draft(act, validated.usage, validated.key, certificate=validated)
        request = await self._issuance.read(act)
        return Draft(act, act.usage, requested_key(request), request=request)

    async def _signed(self, draft: Draft, party: Party) -> Draft:
        if draft.request is None or not isinstance(draft.act, Order):
            return draft
        certificate = await self._issuance.issue(
            draft.act, draft.request, party.subject, party.organization
        )
        return replace(draft, certificate=certificate)

    async def _decide(
        self, connection: AsyncConnection, draft: Draft, party: Party, caller: Caller
    ) -> tuple[int, IdentityEventBasis | None]:
        """Return the role in which the caller asks, and the basis on which they have it alone, None
        for two people. Raises PermissionDenied, FailedPrecondition or AlreadyExists."""
        wanted = party.wants(draft.usage, draft.act)
        role = check_may_ask(caller, wanted, is_official=party.is_official)
        await _check_can_be(connection, draft, party, self._clock())
        is_sealing_key = await store.is_managed(connection, draft.key) and await store.has_seal(
            connection, wanted.subject, draft.key
        )
        facts = await find_facts(connection, party, caller, role, is_sealing_key=is_sealing_key)
        return role, basis_alone(role, caller, wanted, facts, self._clock())

    async def _wait(
        self, connection: AsyncConnection, draft: Draft, caller: Caller, role: int
    ) -> Application:
        now = self._clock()
        await store.lapse_applications(connection, before=now - LAPSES_AFTER)
        if await store.count_pending(connection, caller.subject) >= PENDING_LIMIT:
            raise QuotaExceeded(
                caller.subject, f"{PENDING_LIMIT} certificates that you asked for wait already"
            )
        application = Application(
            id=str(uuid7(now, self._randomness)),
            subject=draft.act.subject,
            organization=_organization(draft.act),
            usage=draft.usage,
            request=draft.act.request if isinstance(draft.act, Order) else b"",
            der=draft.act.der if isinstance(draft.act, Candidate) else b"",
            chain=draft.act.intermediates if isinstance(draft.act, Candidate) else (),
            key=draft.key,
            proposer=caller.subject,
            proposer_role=role,
            proposer_organization=caller.organization,
            proposer_certificate=caller.certificate,
            create_time=now,
        )
        await store.add_application(connection, application)
        return application

    # Deciding on what waits

    async def prepare_approval(self, subject: str, application_id: str, caller: Caller) -> Draft:
        """Check that the caller may approve it, and make the certificate. Raises PermissionDenied,
        NotFound, FailedPrecondition or InvalidArgument."""
        async with self._database.reading() as connection:
            application, party = await self._approvable(connection, subject, application_id, caller)
        draft = await self._draft(_act(application), party)
        async with self._database.reading() as connection:
            await _check_can_be(connection, draft, party, self._clock())
        return await self._signed(draft, party)

    async def commit_approval(
        self, connection: AsyncConnection, draft: Draft, application_id: str, caller: Caller
    ) -> StoredCertificate:
        """Store the certificate that was approved. Raises as prepare_approval does."""
        await lock_subject(connection, draft.act.subject)
        application, party = await self._approvable(
            connection, draft.act.subject, application_id, caller
        )
        await _check_can_be(connection, draft, party, self._clock())
        await self._set_state(connection, application, CertificateState.ISSUED, caller)
        assert draft.certificate is not None  # noqa: S101 - prepare_approval makes it
        making = making_approved(application.proposer, caller.subject)
        return await add_made(
            connection, draft.certificate, party, making, events=self._events, now=self._clock()
        )

    async def reject(
        self, connection: AsyncConnection, subject: str, application_id: str, caller: Caller
    ) -> Application:
        """Reject what waits, unless it is rejected. Raises PermissionDenied, NotFound or
        FailedPrecondition."""
        now = self._clock()
        application = await store.get_application(connection, subject, application_id)
        if application is None:
            raise missing(caller)
        party = await find_party(connection, subject, caller, self._clock())
        check_may_reject(
            caller,
            subject=subject,
            is_person=party.subject.is_person,
            is_official=party.is_official,
        )
        if application.state is not CertificateState.REJECTED:
            check_is_pending(application.at(now))
            await self._set_state(connection, application, CertificateState.REJECTED, caller)
        return replace(application, state=CertificateState.REJECTED)

    async def _approvable(
        self, connection: AsyncConnection, subject: str, application_id: str, caller: Caller
    ) -> tuple[Application, Party]:
        """Return what waits, if the caller may approve it as things stand now. Raises
        PermissionDenied, NotFound or FailedPrecondition."""
        application = await store.get_application(connection, subject, application_id)
        if application is None:
            raise missing(caller)
        act = _act(application)
        party = await find_party(connection, act.subject, caller, self._clock(), _organization(act))
        await check_may_approve(
            connection, party, caller, proposer=application.proposer, now=self._clock()
        )
        check_is_pending(application.at(self._clock()))
        if not await may_still_ask(connection, application.caller, party, self._clock()):
            raise FailedPrecondition("NOT_PENDING", "who asked for it may not ask for it any more")
        return application, party

    async def _set_state(
        self,
        connection: AsyncConnection,
        application: Application,
        state: CertificateState,
        caller: Caller,
    ) -> None:
        changed = await store.decide_application(
            connection, application, state, decider=caller.subject, now=self._clock()
        )
        if not changed:
            # Another replica decided in this moment.
            check_is_pending(replace(application, state=CertificateState.ISSUED))


# Shared with phones, whose SIMs are certified by the same rules


@dataclass(frozen=True, slots=True)
class Making:
    """Who makes a certificate, and how many people it took."""

    basis: IdentityEventBasis
    made: Provenance
    # Who did it, as the log tells it.
    officers: tuple[str, ...]
    # Whose call makes it a certificate that counts.
    decider: str


async def making_alone(
    connection: AsyncConnection, caller: Caller, basis: IdentityEventBasis
) -> Making:
    """Return how the caller alone makes a certificate, on a basis of basis_alone."""
    if basis is not IdentityEventBasis.RENEWAL:
        return Making(basis, Provenance(caller.subject), (caller.subject,), caller.subject)
    renewed = await _find_certificate(connection, caller)
    assert renewed is not None  # noqa: S101 - what is renewed was found in this transaction
    # Who made the first one could otherwise pass as a stranger by renewing it.
    return Making(basis, Provenance(renewed.proposer, renewed.approver), (), caller.subject)


def making_approved(proposer: str, approver: str) -> Making:
    """Return how two people make a certificate."""
    made = Provenance(proposer, approver)
    return Making(IdentityEventBasis.APPROVED, made, (proposer, approver), approver)


async def add_made(
    connection: AsyncConnection,
    certificate: StoredCertificate,
    party: Party,
    making: Making,
    *,
    events: EventRecorder,
    now: datetime,
) -> StoredCertificate:
    """Store the certificate and its event. Raises AlreadyExists or FailedPrecondition."""
    await events.check_is_logged(connection)
    made = making.made
    added = replace(certificate, proposer=made.proposer, approver=made.approver)
    try:
        await store.add_certificate(connection, added)
    except Taken:
        raise AlreadyExists("the certificate is registered", "der") from None
    kind = IdentityEventKind.CERTIFIED if added.own else IdentityEventKind.CERTIFICATE_REGISTERED
    await events.record(connection, happening_to(added, kind, making.basis, *making.officers))
    if party.is_operator and making.decider != added.subject:
        await store.keep_second_operator(connection, now)
    return added


async def find_facts(
    connection: AsyncConnection,
    party: Party,
    caller: Caller,
    role: int,
    *,
    is_sealing_key: bool = False,
) -> Facts:
    """Return what the database says about a certificate that the caller wants in a role."""
    subject = party.subject.name
    return Facts(
        is_official=party.is_official,
        had_certificate=await store.has_certificate(connection, subject),
        confirmed_with=await _find_certificate(connection, caller),
        is_sealing_key=is_sealing_key,
        is_second_operator=party.is_operator
        and role == Role.ROLE_OPERATOR
        and caller.subject != subject
        and not await store.had_second_operator(connection, party.platform, caller.subject),
    )


async def check_may_approve(
    connection: AsyncConnection, party: Party, caller: Caller, *, proposer: str, now: datetime
) -> None:
    """Raise PermissionDenied unless the caller is a second person who approves for the subject."""
    check_may_decide(caller, is_person=party.subject.is_person, is_official=party.is_official)
    check_is_second(
        caller.subject,
        proposer=proposer,
        membership=await _membership_provenance(connection, party.platform, caller.subject, now),
        certificate=await find_provenance(connection, caller.subject, caller.certificate),
    )


async def find_party(
    connection: AsyncConnection,
    subject: str,
    caller: Caller,
    now: datetime,
    organization: str = "",
) -> Party:
    """Return the subject as a certificate's, which names the organization if one is given. Raises
    PermissionDenied, or NotFound for an operator, if the subject does not exist."""
    found = await get_subjects(connection, {subject, organization} - {""})
    if subject not in found:
        raise missing(caller)
    platform = await get_platform(connection)
    membership = await get_membership(connection, platform, subject)
    has_ended = membership is None or membership.state_at(now) is MembershipState.ENDED
    return Party(
        subject=found[subject],
        organization=found.get(organization),
        platform=platform,
        membership=None if has_ended else membership,
        is_in_force=membership is not None and membership.is_in_force_at(now),
    )


async def _check_can_be(
    connection: AsyncConnection, draft: Draft, party: Party, now: datetime
) -> None:
    """Raise FailedPrecondition or AlreadyExists if there cannot be this certificate, whoever asks
    for it."""
    act = draft.act
    if isinstance(act, Candidate):
        assert draft.certificate is not None  # noqa: S101 - it came with the act
        if await store.get_certificates(connection, [draft.certificate.fingerprint]):
            raise AlreadyExists("the certificate is registered", "der")
    elif act.organization and not await _is_member(connection, act.organization, act.subject, now):
        raise FailedPrecondition("NOT_A_MEMBER", "the person is not a member of the organization")
    await check_key(
        connection, draft.key, party.subject, draft.usage, issues=isinstance(act, Order)
    )
    # Who has the key proved it once: with the same request nobody else is certified meanwhile.
    since = now - LAPSES_AFTER
    for subject in await store.list_pending_subjects(connection, draft.key, since=since):
        check_key_is_free(subject, party.subject.name)


async def may_still_ask(
    connection: AsyncConnection, asker: Caller, party: Party, now: datetime
) -> bool:
    """Return whether who asked could ask now: still in the role, with a certificate that was not
    revoked since. A thief's requests end with the key that they were confirmed with.

    asker: in the one role that it was asked in.
    """
    organization = asker.organization
    for role in _OFFICIAL_ROLES:
        if asker.has(role):
            membership = await get_membership(connection, party.platform, asker.subject)
            if membership is None or membership.role != role or not membership.is_in_force_at(now):
                return False
    if asker.has(Role.ROLE_REGISTRAR) and party.is_official:
        return False
    # An information system is its organization, a person its member.
    is_member = asker.has(Role.ROLE_OFFICER) and asker.subject != organization
    if is_member and not await _is_member(connection, organization, asker.subject, now):
        return False
    certificate = await _find_certificate(connection, asker)
    return certificate is not None and not certificate.is_revoked_at(now)


async def _find_certificate(
    connection: AsyncConnection, caller: Caller
) -> StoredCertificate | None:
    """Return the certificate that the caller confirms with, or None."""
    return await store.get_certificate(connection, caller.subject, caller.certificate)


async def find_provenance(
    connection: AsyncConnection, subject: str, fingerprint: str
) -> Provenance | None:
    """Return who made the subject's certificate with that fingerprint, or None."""
    found = await store.get_certificate(connection, subject, fingerprint)
    return None if found is None else Provenance(found.proposer, found.approver)


async def _is_member(
    connection: AsyncConnection, organization: str, person: str, now: datetime
) -> bool:
    found = await get_membership(connection, organization, person)
    return found is not None and found.is_in_force_at(now)


async def _membership_provenance(
    connection: AsyncConnection, platform: str, person: str, now: datetime
) -> Provenance | None:
    """Return who made the person's membership of the platform's own organization; None if there is
    none in force."""
    found = await get_membership(connection, platform, person)
    return found.provenance if found is not None and found.is_in_force_at(now) else None


def _act(application: Application) -> Order | Candidate:
    """Return what was asked for."""
    if application.der:
        return Candidate(application.subject, application.der, application.chain)
    return Order(
        application.subject, application.organization, application.usage, application.request
    )


def _organization(act: Order | Candidate | None) -> str:
    return act.organization if isinstance(act, Order) else ""


def _usage(act: Order | Candidate) -> CertificateUsage:
    """Return the usage that is asked for; what registers says its own, which is not read yet."""
    return act.usage if isinstance(act, Order) else CertificateUsage.SIGN
