"""Who exists: people by IIN, organizations by BIN, and who acts for whom. Rules, no SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from services.identity.subjects.iin_bin import InvalidNumber, check_bin, check_iin
from services.runtime.access import Caller, Role
from services.runtime.errors import InvalidArgument, PermissionDenied

# A name is shown on a phone and stands in a certificate.
NAME_LIMIT = 256

# Given by membership: of the platform's own organization, and of any other.
PLATFORM_ROLES = frozenset({Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR})
OTHER_ROLES = frozenset({Role.ROLE_OFFICER})
# May read every person.
READERS = (Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR, Role.ROLE_SERVICE)

PERSON, ORGANIZATION = "person", "organization"
# What an update may change; a number never changes.
CHANGEABLE = {
    "person.given_name": "given_name",
    "person.family_name": "family_name",
    "person.patronymic": "patronymic",
    "person.birth_date": "birth_date",
    "organization.display_name": "display_name",
}
IMMUTABLE = {"name", "person.iin", "organization.bin", "create_time", "update_time"}


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


@dataclass(frozen=True, slots=True)
class Membership:
    """A person's role in an organization."""

    organization: str
    person: str
    role: int
    create_time: datetime

    @property
    def name(self) -> str:
        return f"{self.organization}/memberships/{self.person.removeprefix('subjects/')}"


@dataclass(frozen=True, slots=True)
class Details:
    """What a request says of a subject, before it is checked."""

    kind: str
    number: str
    given_name: str = ""
    family_name: str = ""
    patronymic: str = ""
    birth_date: tuple[int, int, int] | None = None
    display_name: str = ""
    fields: frozenset[str] = field(default_factory=frozenset)


def check_details(details: Details) -> date | None:
    """The date of birth, if stated. Raises InvalidArgument, naming the field."""
    for name in ("given_name", "family_name", "patronymic", "display_name"):
        if len(getattr(details, name)) > NAME_LIMIT:
            raise InvalidArgument(
                f"subject.{details.kind}.{name}", f"longer than {NAME_LIMIT} characters"
            )
    if details.kind == ORGANIZATION:
        try:
            check_bin(details.number)
        except InvalidNumber as error:
            raise InvalidArgument("subject.organization.bin", str(error)) from None
        return None
    try:
        born = check_iin(details.number)
    except InvalidNumber as error:
        raise InvalidArgument("subject.person.iin", str(error)) from None
    return check_birth_date(details.birth_date, born)


def check_birth_date(stated: tuple[int, int, int] | None, born: date) -> date | None:
    """The stated date, which must be that of the IIN. Raises InvalidArgument."""
    if stated is None:
        return None
    if stated != (born.year, born.month, born.day):
        raise InvalidArgument("subject.person.birth_date", "differs from the IIN's")
    return born


def check_role(role: int, *, is_platform: bool) -> None:
    """Raises InvalidArgument where the organization cannot give the role."""
    if role not in (PLATFORM_ROLES if is_platform else OTHER_ROLES):
        raise InvalidArgument("membership.role", "cannot be given in this organization")


def may_read_person(caller: Caller, name: str) -> bool:
    """A person is read by themselves and the platform's roles; an officer reads nobody."""
    if caller.has(*READERS):
        return True
    return caller.has(Role.ROLE_CITIZEN) and caller.subject == name


def check_reader(caller: Caller, subject: Subject | None, name: str) -> None:
    """Raises PermissionDenied, the same for a person who is not the caller's and for nobody."""
    if subject is not None and not subject.is_person:
        return
    if not may_read_person(caller, name):
        raise PermissionDenied()


def check_resolver(caller: Caller, numbers: list[str]) -> None:
    """Raises PermissionDenied where one who resolves BINs only asks for anything else."""
    if caller.has(Role.ROLE_OPERATOR, Role.ROLE_REGISTRAR, Role.ROLE_OFFICER, Role.ROLE_SERVICE):
        return
    if any(number[4:5] not in ("4", "5", "6") for number in numbers):
        raise PermissionDenied()
