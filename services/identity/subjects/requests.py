"""Requests about subjects, parsed: what a subject is to be, and what an update changes."""

from __future__ import annotations

from collections.abc import Sequence, Sized
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
IMMUTABLE = {"name", "person.iin", "organization.bin", "create_time", "update_time"}


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
    part = stated.person if subject.is_person else stated.organization
    values: dict[str, Any] = {}
    for path in _paths_to_change(request, subject):
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


def _paths_to_change(request: pb.UpdateSubjectRequest, subject: Subject) -> Sequence[str]:
    """Return which of CHANGEABLE the update changes. Raises InvalidArgument."""
    own = [path for path in CHANGEABLE if path.startswith(f"{subject.kind}.")]
    if not request.update_mask.paths:
        # Without a mask, the fields that are set change (AIP-134).
        _check_number_unchanged(request, subject)
        return [path for path in own if _is_set(request.subject, path)]
    if list(request.update_mask.paths) == ["*"]:
        _check_number_unchanged(request, subject)
        return own
    for path in request.update_mask.paths:
        if path in IMMUTABLE:
            raise InvalidArgument("update_mask", f"{path} never changes")
        if path != subject.kind and path not in own:
            raise InvalidArgument("update_mask", "names a field that the subject does not have")
    masked = set(request.update_mask.paths)
    if subject.kind in masked:
        _check_number_unchanged(request, subject)
        return own
    return [path for path in own if path in masked]


def _is_set(subject: pb.Subject, path: str) -> bool:
    if path == "person.birth_date":
        return subject.person.HasField("birth_date")
    part, column = path.split(".")
    return bool(getattr(getattr(subject, part), column))


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
