"""SubjectService: subjects and memberships, RPC in, RPC out."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.identity.v1 import subjects_pb2 as pb
from services.identity.store import Taken
from services.identity.subjects import store
from services.identity.subjects.membership_changes import MembershipChanges, had_second_operator
from services.identity.subjects.messages import to_membership, to_subject
from services.identity.subjects.requests import check_batch, to_changes, to_details, to_numbers
from services.identity.subjects.rules import (
    ORGANIZATION,
    PERSON,
    MembershipState,
    check_may_read,
    check_may_resolve,
    check_subject_name,
    membership_key,
    new_subject,
)
from services.runtime import telemetry
from services.runtime.clock import Clock, Randomness, uuid7
from services.runtime.errors import AlreadyExists, InvalidArgument, NotFound
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore


class SubjectServicer:
    """Who exists, and who may act for which organization."""

    def __init__(
        self,
        *,
        database: Database,
        idempotency: IdempotencyStore,
        clock: Clock,
        randomness: Randomness,
        changes: MembershipChanges,
    ) -> None:
        self._changes = changes
        self._database = database
        self._idempotency = idempotency
        self._clock = clock
        self._randomness = randomness

    async def CreateSubject(self, request: pb.CreateSubjectRequest, call: Call) -> pb.Subject:
        now = self._clock()
        name = f"subjects/{uuid7(now, self._randomness)}"
        subject = new_subject(to_details(request.subject), name=name, now=now)

        async def work(connection: AsyncConnection) -> pb.Subject:
            try:
                await store.add_subject(connection, subject)
            except Taken:
                field = "person.iin" if subject.is_person else "organization.bin"
                raise AlreadyExists("another subject has it", f"subject.{field}") from None
            return to_subject(subject)

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=pb.Subject
        )

    async def UpdateSubject(self, request: pb.UpdateSubjectRequest, _call: Call) -> pb.Subject:
        name = check_subject_name(request.subject.name, "subject.name")

        async def work(connection: AsyncConnection) -> pb.Subject:
            subject = await store.get_subject(connection, name)
            if subject is None:
                raise NotFound("the subject does not exist")
            values = to_changes(request, subject)
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
        check_may_read(call.caller, subject, name)
        if subject is None:
            raise NotFound("the subject does not exist")
        return to_subject(subject)

    async def ListSubjects(
        self, request: pb.ListSubjectsRequest, call: Call
    ) -> pb.ListSubjectsResponse:
        page = call.page(request)
        async with self._database.reading() as connection:
            found = await store.list_subjects(connection, after=page.after, limit=page.limit)
        shown, next_page_token = page.cut(found, key=lambda subject: subject.name)
        return pb.ListSubjectsResponse(
            subjects=[to_subject(subject) for subject in shown], next_page_token=next_page_token
        )

    async def ResolveSubjects(
        self, request: pb.ResolveSubjectsRequest, call: Call
    ) -> pb.ResolveSubjectsResponse:
        numbers = to_numbers(request)
        check_may_resolve(call.caller, numbers)
        telemetry.annotate(numbers=len(numbers))
        async with self._database.reading() as connection:
            found = await store.resolve_numbers(connection, numbers)
        return pb.ResolveSubjectsResponse(subjects=[found.get(number, "") for number in numbers])

    async def BatchGetSubjects(
        self, request: pb.BatchGetSubjectsRequest, _call: Call
    ) -> pb.BatchGetSubjectsResponse:
        check_batch(request.names, "names")
        telemetry.annotate(names=len(request.names))
        async with self._database.reading() as connection:
            found = await store.get_subjects(connection, request.names)
        return pb.BatchGetSubjectsResponse(
            subjects=[
                to_subject(found[name]) if name in found else pb.Subject() for name in request.names
            ]
        )

    async def AddMembership(self, request: pb.AddMembershipRequest, call: Call) -> pb.Membership:
        organization = check_subject_name(request.organization, "organization")
        person = check_subject_name(request.membership.person, "membership.person")
        role = int(request.membership.role)

        async def work(connection: AsyncConnection) -> pb.Membership:
            found = await store.get_subjects(connection, [organization, person])
            if organization not in found or found[organization].kind != ORGANIZATION:
                raise NotFound("the organization does not exist")
            if person not in found or found[person].kind != PERSON:
                raise InvalidArgument("membership.person", "the person does not exist")
            added = await self._changes.add(connection, organization, person, role, call.caller)
            return to_membership(added, self._clock())

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=pb.Membership
        )

    async def ApproveMembership(
        self, request: pb.ApproveMembershipRequest, call: Call
    ) -> pb.Membership:
        key = membership_key(request.name)

        async def work(connection: AsyncConnection) -> pb.Membership:
            approved = await self._changes.approve(connection, *key, call.caller)
            return to_membership(approved, self._clock())

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=pb.Membership
        )

    async def RemoveMembership(
        self, request: pb.RemoveMembershipRequest, call: Call
    ) -> pb.RemoveMembershipResponse:
        key = membership_key(request.name)

        async def work(connection: AsyncConnection) -> pb.RemoveMembershipResponse:
            await self._changes.remove(connection, *key, call.caller)
            return pb.RemoveMembershipResponse()

        return await self._idempotency.run_once(
            work,
            request=request,
            scope=call.caller.scope,
            response_type=pb.RemoveMembershipResponse,
        )

    async def GetMembership(self, request: pb.GetMembershipRequest, _call: Call) -> pb.Membership:
        key, now = membership_key(request.name), self._clock()
        async with self._database.reading() as connection:
            found = await store.get_membership(connection, *key)
        if found is None or found.state_at(now) is MembershipState.ENDED:
            raise NotFound("the membership does not exist")
        return to_membership(found, now)

    async def BatchGetMemberships(
        self, request: pb.BatchGetMembershipsRequest, _call: Call
    ) -> pb.BatchGetMembershipsResponse:
        check_batch(request.names, "names")
        keys = [membership_key(name, f"names[{index}]") for index, name in enumerate(request.names)]
        now = self._clock()
        async with self._database.reading() as connection:
            found = await store.get_memberships(connection, keys)
        in_force = {key for key, membership in found.items() if membership.is_in_force_at(now)}
        return pb.BatchGetMembershipsResponse(
            memberships=[
                to_membership(found[key], now) if key in in_force else pb.Membership()
                for key in keys
            ]
        )

    async def BatchListMemberships(
        self, request: pb.BatchListMembershipsRequest, _call: Call
    ) -> pb.BatchListMembershipsResponse:
        check_batch(request.people, "people")
        people = [
            check_subject_name(person, f"people[{index}]")
            for index, person in enumerate(request.people)
        ]
        now = self._clock()
        async with self._database.reading() as connection:
            found = await store.list_memberships_of(connection, people)
        return pb.BatchListMembershipsResponse(
            people=[
                pb.PersonMemberships(memberships=[to_membership(each, now) for each in found[name]])
                for name in people
            ]
        )

    async def CheckSecondOperator(
        self, request: pb.CheckSecondOperatorRequest, _call: Call
    ) -> pb.CheckSecondOperatorResponse:
        async with self._database.reading() as connection:
            return pb.CheckSecondOperatorResponse(
                existed=await had_second_operator(connection),
                may_approve=await self._changes.may_approve(
                    connection,
                    proposer=request.proposer,
                    approver=request.approver,
                    certificate=request.approver_certificate,
                ),
            )

    async def ListMemberships(
        self, request: pb.ListMembershipsRequest, call: Call
    ) -> pb.ListMembershipsResponse:
        organization = check_subject_name(request.organization, "organization")
        page, now = call.page(request, organization), self._clock()
        async with self._database.reading() as connection:
            found = await store.list_memberships(
                connection, organization, after=page.after, limit=page.limit
            )
        shown, next_page_token = page.cut(found, key=lambda membership: membership.person)
        return pb.ListMembershipsResponse(
            memberships=[to_membership(membership, now) for membership in shown],
            next_page_token=next_page_token,
        )
