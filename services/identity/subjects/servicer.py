"""SubjectService: subjects and memberships, RPC in, RPC out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.type import date_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.common.v1 import access_pb2
from qagazsyz.identity.v1 import subjects_pb2 as pb
from services.identity import store
from services.identity.subjects.iin_bin import check_iin
from services.identity.subjects.rules import (
    CHANGEABLE,
    IMMUTABLE,
    NAME_LIMIT,
    ORGANIZATION,
    PERSON,
    Details,
    Membership,
    Subject,
    check_birth_date,
    check_details,
    check_reader,
    check_resolver,
    check_role,
)
from services.runtime import telemetry
from services.runtime.clock import Clock, Randomness, to_timestamp, uuid7
from services.runtime.errors import AlreadyExists, InvalidArgument, NotFound
from services.runtime.paging import decode_token, encode_token, page_size
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore

# ResolveSubjects, BatchGetSubjects, BatchGetMemberships.
BATCH_LIMIT = 1_000
SUBJECT_NAME = re.compile(r"subjects/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def check_subject_name(name: str, field: str) -> str:
    """The name. Raises InvalidArgument where it is no subject's."""
    if SUBJECT_NAME.fullmatch(name) is None:
        raise InvalidArgument(field, 'not of the form "subjects/{subject}"')
    return name


class SubjectService:
    """Who exists, and who may act for which organization."""

    def __init__(
        self,
        database: Database,
        idempotency: IdempotencyStore,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._idempotency = idempotency
        self._clock = clock
        self._randomness = randomness

    async def CreateSubject(self, request: pb.CreateSubjectRequest, call: Call) -> pb.Subject:
        details = _details(request.subject)
        birth_date = check_details(details)
        now = self._clock()
        subject = Subject(
            name=f"subjects/{uuid7(now, self._randomness)}",
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

        async def work(connection: AsyncConnection) -> pb.Subject:
            try:
                await store.add_subject(connection, subject)
            except store.Taken:
                number = "person.iin" if subject.is_person else "organization.bin"
                raise AlreadyExists("somebody has this number", f"subject.{number}") from None
            return to_subject(subject)

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=pb.Subject
        )

    async def UpdateSubject(self, request: pb.UpdateSubjectRequest, call: Call) -> pb.Subject:  # noqa: ARG002
        asked = request.subject
        name = check_subject_name(asked.name, "subject.name")

        async def work(connection: AsyncConnection) -> pb.Subject:
            subject = await store.get_subject(connection, name)
            if subject is None:
                raise NotFound("there is no such subject")
            values = _changes(request, subject)
            if values:
                await store.change_subject(connection, name, values, self._clock())
                subject = await store.get_subject(connection, name)
                assert subject is not None  # noqa: S101 - it was there in this transaction
            return to_subject(subject)

        return await self._database.run(work)

    async def GetSubject(self, request: pb.GetSubjectRequest, call: Call) -> pb.Subject:
        name = check_subject_name(request.name, "name")
        async with self._database.reading() as connection:
            subject = await store.get_subject(connection, name)
        check_reader(call.caller, subject, name)
        if subject is None:
            raise NotFound("there is no such subject")
        return to_subject(subject)

    async def ListSubjects(
        self,
        request: pb.ListSubjectsRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.ListSubjectsResponse:
        size = page_size(request.page_size)
        last = decode_token(request.page_token, of="ListSubjects", parts=1)
        async with self._database.reading() as connection:
            found = await store.list_subjects(
                connection, after=last[0] if last else None, limit=size + 1
            )
        return pb.ListSubjectsResponse(
            subjects=[to_subject(subject) for subject in found[:size]],
            next_page_token=(
                encode_token([found[size - 1].name], of="ListSubjects") if len(found) > size else ""
            ),
        )

    async def ResolveSubjects(
        self, request: pb.ResolveSubjectsRequest, call: Call
    ) -> pb.ResolveSubjectsResponse:
        numbers = list(request.numbers)
        _check_count(numbers, "numbers")
        for index, number in enumerate(numbers):
            if len(number) != 12 or not (number.isascii() and number.isdecimal()):
                raise InvalidArgument(f"numbers[{index}]", "not twelve digits")
        check_resolver(call.caller, numbers)
        telemetry.annotate(numbers=len(numbers))
        async with self._database.reading() as connection:
            found = await store.resolve(connection, numbers)
        return pb.ResolveSubjectsResponse(subjects=[found.get(number, "") for number in numbers])

    async def BatchGetSubjects(
        self,
        request: pb.BatchGetSubjectsRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.BatchGetSubjectsResponse:
        _check_count(request.names, "names")
        telemetry.annotate(names=len(request.names))
        async with self._database.reading() as connection:
            found = await store.get_subjects(connection, request.names)
        return pb.BatchGetSubjectsResponse(
            subjects=[
                to_subject(found[name]) if name in found else pb.Subject() for name in request.names
            ]
        )

    async def AddMembership(self, request: pb.AddMembershipRequest, call: Call) -> pb.Membership:  # noqa: ARG002
        organization = check_subject_name(request.organization, "organization")
        person = check_subject_name(request.membership.person, "membership.person")
        membership = Membership(organization, person, int(request.membership.role), self._clock())

        async def work(connection: AsyncConnection) -> pb.Membership:
            found = await store.get_subjects(connection, [organization, person])
            if organization not in found or found[organization].kind != ORGANIZATION:
                raise NotFound("there is no such organization")
            if person not in found or found[person].kind != PERSON:
                raise InvalidArgument("membership.person", "there is no such person")
            platform = await store.get_fact(connection, store.PLATFORM)
            check_role(membership.role, is_platform=organization == platform)
            try:
                await store.add_membership(connection, membership)
            except store.Taken:
                raise AlreadyExists("the person is a member already") from None
            return to_membership(membership)

        return await self._database.run(work)

    async def RemoveMembership(
        self,
        request: pb.RemoveMembershipRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.RemoveMembershipResponse:
        organization, person = membership_key(request.name)

        async def work(connection: AsyncConnection) -> bool:
            return await store.remove_membership(connection, organization, person)

        if not await self._database.run(work):
            raise NotFound("there is no such membership")
        return pb.RemoveMembershipResponse()

    async def GetMembership(self, request: pb.GetMembershipRequest, call: Call) -> pb.Membership:  # noqa: ARG002
        key = membership_key(request.name)
        async with self._database.reading() as connection:
            found = await store.get_memberships(connection, [key])
        if key not in found:
            raise NotFound("there is no such membership")
        return to_membership(found[key])

    async def BatchGetMemberships(
        self,
        request: pb.BatchGetMembershipsRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.BatchGetMembershipsResponse:
        _check_count(request.names, "names")
        keys = [membership_key(name, f"names[{index}]") for index, name in enumerate(request.names)]
        async with self._database.reading() as connection:
            found = await store.get_memberships(connection, keys)
        return pb.BatchGetMembershipsResponse(
            memberships=[
                to_membership(found[key]) if key in found else pb.Membership() for key in keys
            ]
        )

    async def ListMemberships(
        self,
        request: pb.ListMembershipsRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.ListMembershipsResponse:
        organization = check_subject_name(request.organization, "organization")
        size = page_size(request.page_size)
        of = f"ListMemberships {organization}"
        last = decode_token(request.page_token, of=of, parts=1)
        async with self._database.reading() as connection:
            found = await store.list_memberships(
                connection, organization, after=last[0] if last else None, limit=size + 1
            )
        return pb.ListMembershipsResponse(
            memberships=[to_membership(membership) for membership in found[:size]],
            next_page_token=(
                encode_token([found[size - 1].person], of=of) if len(found) > size else ""
            ),
        )


def to_subject(subject: Subject) -> pb.Subject:
    """The contract's message."""
    message = pb.Subject(
        name=subject.name,
        create_time=to_timestamp(subject.create_time),
        update_time=to_timestamp(subject.update_time),
    )
    if subject.is_person:
        message.person.iin = subject.number
        message.person.given_name = subject.given_name
        message.person.family_name = subject.family_name
        message.person.patronymic = subject.patronymic
        if (born := subject.birth_date) is not None:
            message.person.birth_date.CopyFrom(
                date_pb2.Date(year=born.year, month=born.month, day=born.day)
            )
    else:
        message.organization.bin = subject.number
        message.organization.display_name = subject.display_name
    return message


def to_membership(membership: Membership) -> pb.Membership:
    """The contract's message."""
    return pb.Membership(
        name=membership.name,
        person=membership.person,
        role=access_pb2.Role.Name(membership.role),
        create_time=to_timestamp(membership.create_time),
    )


def membership_key(name: str, field: str = "name") -> tuple[str, str]:
    """(organization, person) of a membership's name. Raises InvalidArgument."""
    parts = name.split("/")
    if len(parts) == 4 and parts[2] == "memberships":
        organization, person = f"subjects/{parts[1]}", f"subjects/{parts[3]}"
        if SUBJECT_NAME.fullmatch(organization) and SUBJECT_NAME.fullmatch(person):
            return organization, person
    raise InvalidArgument(field, 'not of the form "subjects/{subject}/memberships/{person}"')


def _check_count(items: Any, field: str) -> None:
    if len(items) > BATCH_LIMIT:
        raise InvalidArgument(field, f"more than {BATCH_LIMIT:,}")


def _details(subject: pb.Subject) -> Details:
    match subject.WhichOneof("kind"):
        case "person":
            person = subject.person
            return Details(
                kind=PERSON,
                number=person.iin,
                given_name=person.given_name,
                family_name=person.family_name,
                patronymic=person.patronymic,
                birth_date=_date(person),
            )
        case "organization":
            return Details(
                kind=ORGANIZATION,
                number=subject.organization.bin,
                display_name=subject.organization.display_name,
            )
        case _:
            raise InvalidArgument("subject.kind", "a person or an organization is required")


def _date(person: pb.Person) -> tuple[int, int, int] | None:
    if not person.HasField("birth_date"):
        return None
    return person.birth_date.year, person.birth_date.month, person.birth_date.day


def _changes(request: pb.UpdateSubjectRequest, subject: Subject) -> dict[str, Any]:
    """The columns that change. Raises InvalidArgument for one that never does."""
    asked = request.subject
    kind = asked.WhichOneof("kind")
    if kind is not None and kind != subject.kind:
        raise InvalidArgument(f"subject.{kind}", "the subject is of another kind")
    part = asked.person if subject.is_person else asked.organization
    values: dict[str, Any] = {}
    for path in _paths(request, subject):
        column = CHANGEABLE[path]
        if column == "birth_date":
            values[column] = check_birth_date(_date(asked.person), check_iin(subject.number))
            continue
        value = getattr(part, column)
        if not value and column != "patronymic":
            raise InvalidArgument(f"subject.{path}", "is required")
        if len(value) > NAME_LIMIT:
            raise InvalidArgument(f"subject.{path}", f"longer than {NAME_LIMIT} characters")
        values[column] = value
    return values


def _check_number(request: pb.UpdateSubjectRequest, subject: Subject) -> None:
    """Raises InvalidArgument where another number stands than the subject's own."""
    number = request.subject.person.iin or request.subject.organization.bin
    if number not in ("", subject.number):
        field = "person.iin" if subject.is_person else "organization.bin"
        raise InvalidArgument(f"subject.{field}", "never changes")


def _paths(request: pb.UpdateSubjectRequest, subject: Subject) -> Iterable[str]:
    own = [path for path in CHANGEABLE if path.startswith(f"{subject.kind}.")]
    if not request.HasField("update_mask") or list(request.update_mask.paths) == ["*"]:
        # Without a mask, what is set is changed (AIP-134).
        _check_number(request, subject)
        part = request.subject.person if subject.is_person else request.subject.organization
        return [
            path
            for path in own
            if (
                part.HasField("birth_date")
                if path == "person.birth_date"
                else getattr(part, CHANGEABLE[path])
            )
        ]
    for path in request.update_mask.paths:
        if path in IMMUTABLE:
            raise InvalidArgument("update_mask", f"{path} never changes")
        if path in ("person", "organization") and path == subject.kind:
            continue
        if path not in own:
            raise InvalidArgument("update_mask", "names a field that the subject does not have")
    masked = set(request.update_mask.paths)
    if subject.kind in masked:
        _check_number(request, subject)
    return own if subject.kind in masked else [path for path in own if path in masked]
