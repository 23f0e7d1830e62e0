"""Requests about subjects, parsed: what a subject is to be, and what an update changes."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from qagazsyz.identity.v1 import subjects_pb2 as pb
from services.identity.subjects.iin_bin import check_iin, is_twelve_digits
from services.identity.subjects.rules import (
    ORGANIZATION,
    PERSON,
    Details,
    Subject,
    check_birth_date,
    check_length,
)
from services.runtime.errors import InvalidArgument
from services.runtime.intake.update_masks import ALL, changed_paths

# Items in one request of a batch method.
BATCH_LIMIT = 1_000
# The column of each field that an update may change.
CHANGEABLE = {
    "person.given_name": "given_name",
    "person.family_name": "family_name",
    "person.patronymic": "patronymic",
    "person.birth_date": "birth_date",
    "organization.display_name": "display_name",
}


def check_batch(items: Sized, field: str) -> None:
    """Raise InvalidArgument for more than BATCH_LIMIT items."""
    if len(items) > BATCH_LIMIT:
        raise InvalidArgument(field, f"more than {BATCH_LIMIT:,}")


def to_numbers(request: pb.ResolveSubjectsRequest) -> list[str]:
    """Return the numbers to resolve. Raises InvalidArgument naming the first malformed one."""
    numbers = list(request.numbers)
    check_batch(numbers, "numbers")
    for index, number in enumerate(numbers):
        if not is_twelve_digits(number):
            raise InvalidArgument(f"numbers[{index}]", "not twelve digits")
    return numbers


def to_details(subject: pb.Subject) -> Details:
    """Return the details of a subject to be created, unchecked. Raises InvalidArgument if it is
    neither a person nor an organization."""
    match subject.WhichOneof("kind"):
        case "person":
            person = subject.person
            return Details(
                kind=PERSON,
                number=person.iin,
                given_name=person.given_name,
                family_name=person.family_name,
                patronymic=person.patronymic,
                birth_date=_birth_date(person),
            )
        case "organization":
            return Details(
                kind=ORGANIZATION,
                number=subject.organization.bin,
                display_name=subject.organization.display_name,
            )
        case _:
            raise InvalidArgument("subject.kind", "a person or an organization is required")


def to_changes(request: pb.UpdateSubjectRequest, subject: Subject) -> dict[str, Any]:
    """Return the new values by column. Raises InvalidArgument for a field that cannot change."""
    stated = request.subject
    kind = stated.WhichOneof("kind")
    if kind is not None and kind != subject.kind:
        raise InvalidArgument(f"subject.{kind}", "the subject is of another kind")
    own = [path for path in CHANGEABLE if path.startswith(f"{subject.kind}.")]
    paths = changed_paths(stated, request.update_mask, updatable=own)
    if not request.update_mask.paths or {ALL, subject.kind} & set(request.update_mask.paths):
        _check_number_unchanged(request, subject)
    part = stated.person if subject.is_person else stated.organization
    values: dict[str, Any] = {}
    for path in paths:
        column = CHANGEABLE[path]
        if column == "birth_date":
            born = check_iin(subject.number)
            values[column] = check_birth_date(_birth_date(stated.person), born)
            continue
        value = getattr(part, column)
        if not value and column != "patronymic":
            raise InvalidArgument(f"subject.{path}", "is required")
        check_length(value, f"subject.{path}")
        values[column] = value
    return values


def _check_number_unchanged(request: pb.UpdateSubjectRequest, subject: Subject) -> None:
    """Raise InvalidArgument if another number is stated than the subject's own."""
    number = request.subject.person.iin or request.subject.organization.bin
    if number not in ("", subject.number):
        field = "person.iin" if subject.is_person else "organization.bin"
        raise InvalidArgument(f"subject.{field}", "never changes")


def _birth_date(person: pb.Person) -> tuple[int, int, int] | None:
    if not person.HasField("birth_date"):
        return None
    return person.birth_date.year, person.birth_date.month, person.birth_date.day
