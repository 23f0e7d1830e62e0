"""Rules of subjects and memberships: what is valid, and who may read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum

from services.identity.events.event import Happening, IdentityEventBasis, IdentityEventKind
from services.identity.subjects.dual_control import LAPSES_AFTER, Provenance
from services.identity.subjects.iin_bin import InvalidNumber, check_bin, check_iin
from services.runtime.access import Caller, Role
from services.runtime.errors import InvalidArgument, PermissionDenied

# A name is shown on a phone and stands in a certificate.
NAME_LIMIT = 256

# The roles that a membership gives: in the platform's own organization, and in any other.
PLATFORM_ROLES = frozenset({Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR})
OTHER_ROLES = frozenset({Role.ROLE_OFFICER})
# Who may read every person.
READERS = (Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR, Role.ROLE_SERVICE)

PERSON, ORGANIZATION = "person", "organization"

_SUBJECT_NAME = re.compile(r"subjects/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Subject:
    """A person or an organization."""

    name: str
    kind: str
    number: str
    create_time: datetime
    update_time: datetime
    given_name: str = ""
    family_name: str = ""
    patronymic: str = ""
    birth_date: date | None = None
    display_name: str = ""

    @property
    def is_person(self) -> bool:
        return self.kind == PERSON


class MembershipState(IntEnum):
    """Whether a membership gives its role; MembershipState of the contract."""

    ACTIVE = 1
    PENDING = 2
    ENDED = 3
    ENDING = 4


@dataclass(frozen=True, slots=True)
class Membership:
    """A person's role in an organization."""

    organization: str
    person: str
    role: int
    # When it was added, or asked for.
    create_time: datetime
    # From when it gives its role; None while it waits for a second operator.
    begin_time: datetime | None = None
    # Who added or asked for it, and who approved that.
    proposer: str = ""
    approver: str = ""
    # Who asked for its removal and when, while that waits for a second operator.
    remove_proposer: str = ""
    remove_ask_time: datetime | None = None
    remove_time: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.organization}/memberships/{self.person.removeprefix('subjects/')}"

    @property
    def provenance(self) -> Provenance:
        return Provenance(self.proposer, self.approver)

    def state_at(self, now: datetime) -> MembershipState:
        """Return its state at a time: what waited for LAPSES_AFTER waits for nobody any more."""
        if self.remove_time is not None:
            return MembershipState.ENDED
        if self.begin_time is None:
            is_lapsed = now >= self.create_time + LAPSES_AFTER
            return MembershipState.ENDED if is_lapsed else MembershipState.PENDING
        if self.begin_time > now:
            return MembershipState.PENDING
        if self.remove_ask_time is not None and now < self.remove_ask_time + LAPSES_AFTER:
            return MembershipState.ENDING
        return MembershipState.ACTIVE

    def is_in_force_at(self, now: datetime) -> bool:
        """Return whether it gives its role at a time."""
        return self.state_at(now) in (MembershipState.ACTIVE, MembershipState.ENDING)


def happening_to_member(
    membership: Membership, kind: IdentityEventKind, basis: IdentityEventBasis, *officers: str
) -> Happening:
    """Return what happened to the membership, for the transparency log."""
    return Happening(
        kind=kind,
        basis=basis,
        subject=membership.person,
        organization=membership.organization,
        role=membership.role,
        officers=officers,
    )


@dataclass(frozen=True, slots=True)
class Details:
    """A subject's details as a request states them, unchecked."""

    kind: str
    number: str
    given_name: str = ""
    family_name: str = ""
    patronymic: str = ""
    # Year, month, day.
    birth_date: tuple[int, int, int] | None = None
    display_name: str = ""


def new_subject(details: Details, *, name: str, now: datetime) -> Subject:
    """Return the subject that the details describe. Raises InvalidArgument naming the field."""
    for field in ("given_name", "family_name", "patronymic", "display_name"):
        check_length(getattr(details, field), f"subject.{details.kind}.{field}")
    birth_date = None
    if details.kind == ORGANIZATION:
        try:
            check_bin(details.number)
        except InvalidNumber as error:
            raise InvalidArgument("subject.organization.bin", str(error)) from None
    else:
        try:
            born = check_iin(details.number)
        except InvalidNumber as error:
            raise InvalidArgument("subject.person.iin", str(error)) from None
        birth_date = check_birth_date(details.birth_date, born)
    return Subject(
        name=name,
        kind=details.kind,
        number=details.number,
        given_name=details.given_name,
        family_name=details.family_name,
        patronymic=details.patronymic,
        birth_date=birth_date,
        display_name=details.display_name,
        create_time=now,
        update_time=now,
    )


def check_length(text: str, field: str) -> None:
    """Raise InvalidArgument if a part of a name is longer than NAME_LIMIT."""
    if len(text) > NAME_LIMIT:
        raise InvalidArgument(field, f"longer than {NAME_LIMIT} characters")


def check_birth_date(stated: tuple[int, int, int] | None, born: date) -> date | None:
    """Return the stated date of birth, which must be that of the IIN. Raises InvalidArgument."""
    if stated is None:
        return None
    if stated != (born.year, born.month, born.day):
        raise InvalidArgument("subject.person.birth_date", "differs from the IIN's")
    return born


def check_role(role: int, *, is_platform: bool) -> None:
    """Raise InvalidArgument if the organization cannot give the role."""
    if role not in (PLATFORM_ROLES if is_platform else OTHER_ROLES):
        raise InvalidArgument("membership.role", "cannot be given in this organization")


def check_subject_name(name: str, field: str) -> str:
    """Return the name. Raises InvalidArgument if it is not of a subject's form."""
    if not is_subject_name(name):
        raise InvalidArgument(field, 'not of the form "subjects/{subject}"')
    return name


def is_subject_name(name: str) -> bool:
    """Return whether the name has the form "subjects/{uuid}"."""
    return _SUBJECT_NAME.fullmatch(name) is not None


def membership_key(name: str, field: str = "name") -> tuple[str, str]:
    """Return (organization, person) of a membership's name. Raises InvalidArgument."""
    parts = name.split("/")
    if len(parts) == 4 and parts[2] == "memberships":
        organization, person = f"subjects/{parts[1]}", f"subjects/{parts[3]}"
        if is_subject_name(organization) and is_subject_name(person):
            return organization, person
    raise InvalidArgument(field, 'not of the form "subjects/{subject}/memberships/{person}"')


def may_read_person(caller: Caller, name: str) -> bool:
    """Return whether the caller is the person as a citizen, or has one of the platform's roles; an
    officer reads no person, not even themselves."""
    if caller.has(*READERS):
        return True
    return caller.has(Role.ROLE_CITIZEN) and caller.subject == name


def check_may_read(caller: Caller, subject: Subject | None, name: str) -> None:
    """Raise PermissionDenied for a person whom the caller may not read, and alike for a subject
    that does not exist."""
    if subject is not None and not subject.is_person:
        return
    if not may_read_person(caller, name):
        raise PermissionDenied()


def check_may_resolve(caller: Caller, numbers: list[str]) -> None:
    """Raise PermissionDenied if a caller who may resolve only BINs asks for another number."""
    if caller.has(Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_OFFICER, Role.ROLE_SERVICE):
        return
    if any(number[4:5] not in ("4", "5", "6") for number in numbers):
        raise PermissionDenied()
