"""Memberships of the platform's own organization take two operators, and all are kept and told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import grpc
import pytest

from qagazsyz.identity.v1 import events_pb2
from qagazsyz.identity.v1 import subjects_pb2 as pb
from services.identity.events.event import STOP_AFTER
from services.identity.subjects.dual_control import LAPSES_AFTER
from tests.unit.identity.service import (
    MEMBERSHIP_DELAY,
    Identity,
    Made,
    Official,
    Role,
    outcomes,
)

DENIED = grpc.StatusCode.PERMISSION_DENIED
FAILED = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND
ADD = "SubjectService/AddMembership"
APPROVE = "SubjectService/ApproveMembership"
REMOVE = "SubjectService/RemoveMembership"
ACTIVE = pb.MEMBERSHIP_STATE_ACTIVE
PENDING = pb.MEMBERSHIP_STATE_PENDING
ENDED = pb.MEMBERSHIP_STATE_ENDED
ENDING = pb.MEMBERSHIP_STATE_ENDING
ADDED = events_pb2.IDENTITY_EVENT_KIND_MEMBERSHIP_ADDED
REMOVED = events_pb2.IDENTITY_EVENT_KIND_MEMBERSHIP_REMOVED
ALONE = events_pb2.IDENTITY_EVENT_BASIS_ALONE
APPROVED = events_pb2.IDENTITY_EVENT_BASIS_APPROVED


async def with_two_operators(identity: Identity) -> Official:
    """The second operator, whom the first one added."""
    person = await identity.person()
    added = await identity.member(identity.platform, person, Role.ROLE_OPERATOR)
    assert added.state == ACTIVE
    return Official(person, "")


async def events_of(identity: Identity, person: str) -> list[tuple[int, int, list[str]]]:
    """Kind, basis and officers of what happened to the person."""
    found = await identity.call(
        "IdentityEventService/ReadEvents", events_pb2.ReadEventsRequest(), identity.as_service
    )
    return [
        (each.kind, each.basis, list(each.officers))
        for each in found.events
        if each.subject == person
    ]


async def state_of(identity: Identity, name: str) -> int:
    request = pb.GetMembershipRequest(name=name)
    found = await identity.call("SubjectService/GetMembership", request, identity.as_operator)
    return int(found.state)


async def in_force(identity: Identity, name: str) -> bool:
    """Whether the other services see it."""
    request = pb.BatchGetMembershipsRequest(names=[name])
    found = await identity.call("SubjectService/BatchGetMemberships", request, identity.as_service)
    return bool(found.memberships[0].name)


async def waiting(identity: Identity, act: str, proposer: str) -> tuple[str, str]:
    """A membership that waits to be added or removed, and its person."""
    person = await identity.person()
    if act == "remove":
        other = await identity.official()
        added = await identity.member(identity.platform, person, Role.ROLE_AUDITOR)
        await identity.call(APPROVE, pb.ApproveMembershipRequest(name=added.name), other.token)
        identity.clock.now += MEMBERSHIP_DELAY
        await identity.call(REMOVE, pb.RemoveMembershipRequest(name=added.name), proposer)
        return added.name, person
    request = pb.AddMembershipRequest(
        organization=identity.platform,
        membership=pb.Membership(person=person, role=Role.ROLE_AUDITOR),
    )
    return (await identity.call(ADD, request, proposer)).name, person


async def test_the_first_operator_makes_the_second_alone_and_at_once(identity: Identity) -> None:
    second = await with_two_operators(identity)
    assert await events_of(identity, second.subject) == [(ADDED, ALONE, [identity.operator])]
    third = await identity.member(identity.platform, await identity.person(), Role.ROLE_REGISTRAR)
    assert third.state == PENDING
    assert await events_of(identity, third.person) == []


async def test_that_there_was_a_second_operator_is_never_forgotten(identity: Identity) -> None:
    second = await with_two_operators(identity)
    await identity.dismiss(second.subject)
    person = await identity.person()
    again = await identity.member(identity.platform, person, Role.ROLE_OPERATOR)
    assert again.state == PENDING


async def test_a_member_of_the_platform_begins_a_day_after_the_approval(
    identity: Identity,
) -> None:
    await with_two_operators(identity)
    approver = await identity.official()
    name, person = await waiting(identity, "add", identity.as_operator)
    request = pb.ApproveMembershipRequest(name=name)
    approved = await identity.call(APPROVE, request, approver.token)
    assert approved.begin_time.ToDatetime() == (
        identity.clock.now.replace(tzinfo=None) + MEMBERSHIP_DELAY
    )
    assert await events_of(identity, person) == [
        (ADDED, APPROVED, [identity.operator, approver.subject])
    ]
    assert await state_of(identity, name) == PENDING
    assert not await in_force(identity, name)
    identity.clock.now += MEMBERSHIP_DELAY
    assert await state_of(identity, name) == ACTIVE
    assert await in_force(identity, name)


async def test_a_member_of_the_platform_acts_until_the_removal_is_approved(
    identity: Identity,
) -> None:
    await with_two_operators(identity)
    approver = await identity.official()
    name, person = await waiting(identity, "remove", identity.as_operator)
    assert await state_of(identity, name) == ENDING
    assert await in_force(identity, name)
    ended = await identity.call(APPROVE, pb.ApproveMembershipRequest(name=name), approver.token)
    assert ended.state == ENDED
    assert not await in_force(identity, name)
    assert (await events_of(identity, person))[-1] == (
        REMOVED,
        APPROVED,
        [identity.operator, approver.subject],
    )


@pytest.mark.parametrize("act", ["add", "remove"])
@pytest.mark.parametrize("part", list(Made.__dataclass_fields__))
async def test_nobody_whom_the_proposer_made_approves(
    identity: Identity, act: str, part: str
) -> None:
    await with_two_operators(identity)
    proposer = await identity.official()
    made = await identity.official(made=Made(**{part: proposer.subject}))
    stranger = await identity.official(made=Made(**{part: identity.operator}))
    name, _ = await waiting(identity, act, proposer.token)
    request = pb.ApproveMembershipRequest(name=name)
    for approver in (proposer, made):
        assert await identity.refused(APPROVE, request, approver.token) == DENIED
    await identity.call(APPROVE, request, stranger.token)


@pytest.mark.parametrize("role", [Role.ROLE_REGISTRAR, Role.ROLE_AUDITOR])
async def test_only_operators_approve(identity: Identity, role: Role) -> None:
    await with_two_operators(identity)
    name, _ = await waiting(identity, "add", identity.as_operator)
    other = await identity.official(role)
    request = pb.ApproveMembershipRequest(name=name)
    assert await identity.refused(APPROVE, request, other.token) == DENIED


@pytest.mark.parametrize("act", ["add", "remove"])
async def test_an_operator_who_was_dismissed_neither_asks_nor_approves(
    identity: Identity, act: str
) -> None:
    await with_two_operators(identity)
    proposer, approver, other = [await identity.official() for _ in range(3)]
    name, _ = await waiting(identity, act, proposer.token)
    request = pb.ApproveMembershipRequest(name=name)
    await identity.dismiss(approver.subject)
    assert await identity.refused(APPROVE, request, approver.token) == DENIED
    await identity.dismiss(proposer.subject)
    assert await identity.refused(APPROVE, request, other.token) == FAILED


async def test_what_waits_lapses_after_seven_days(identity: Identity) -> None:
    await with_two_operators(identity)
    approver = await identity.official()
    removed, _ = await waiting(identity, "remove", identity.as_operator)
    added, person = await waiting(identity, "add", identity.as_operator)
    identity.clock.now += LAPSES_AFTER
    for name, code in ((removed, FAILED), (added, NOT_FOUND)):
        request = pb.ApproveMembershipRequest(name=name)
        assert await identity.refused(APPROVE, request, later(identity, approver)) == code
    assert await state_of(identity, removed) == ACTIVE
    again = await identity.member(identity.platform, person, Role.ROLE_AUDITOR)
    assert again.state == PENDING


async def test_one_operator_stops_what_has_not_begun(identity: Identity) -> None:
    await with_two_operators(identity)
    approver = await identity.official()
    asked, person = await waiting(identity, "add", identity.as_operator)
    await identity.call(REMOVE, pb.RemoveMembershipRequest(name=asked), approver.token)
    assert await events_of(identity, person) == []
    approved, person = await waiting(identity, "add", identity.as_operator)
    await identity.call(APPROVE, pb.ApproveMembershipRequest(name=approved), approver.token)
    await identity.call(REMOVE, pb.RemoveMembershipRequest(name=approved), approver.token)
    assert [kind for kind, _, _ in await events_of(identity, person)] == [ADDED, REMOVED]


async def test_one_of_many_approvals_counts(identity: Identity) -> None:
    await with_two_operators(identity)
    approvers = [await identity.official() for _ in range(4)]
    name, person = await waiting(identity, "add", identity.as_operator)
    request = pb.ApproveMembershipRequest(name=name)
    found = await outcomes(*(identity.call(APPROVE, request, each.token) for each in approvers))
    assert found == {"OK": 1, "FAILED_PRECONDITION": 3}
    assert len(await events_of(identity, person)) == 1


async def test_officers_take_one_operator_and_their_memberships_are_kept(
    identity: Identity,
) -> None:
    await with_two_operators(identity)
    person, organization = await identity.person(), await identity.organization()
    for _ in range(2):
        made = await identity.member(organization, person)
        assert made.state == ACTIVE
        identity.clock.now += timedelta(seconds=1)
        await identity.call(
            REMOVE, pb.RemoveMembershipRequest(name=made.name), identity.as_operator
        )
    await identity.member(organization, person)
    request = pb.BatchListMembershipsRequest(people=[person, identity.operator])
    found = await identity.call("SubjectService/BatchListMemberships", request, identity.as_service)
    own, operators = found.people
    assert [each.state for each in own.memberships] == [ENDED, ENDED, ACTIVE]
    assert all(each.HasField("remove_time") for each in own.memberships[:2])
    assert [each.name for each in operators.memberships] == [
        f"{identity.platform}/memberships/{identity.operator.removeprefix('subjects/')}"
    ]
    kinds = [kind for kind, _, _ in await events_of(identity, person)]
    assert kinds == [ADDED, REMOVED, ADDED, REMOVED, ADDED]


async def test_nobody_becomes_a_member_unseen(identity: Identity) -> None:
    """Once the log lacks an event for an hour, members are removed but not added."""
    person, organization = await identity.person(), await identity.organization()
    await identity.member(organization, await identity.person())
    read = await identity.call(
        "IdentityEventService/ReadEvents", events_pb2.ReadEventsRequest(), identity.as_service
    )
    acknowledge = events_pb2.AcknowledgeEventsRequest(through=read.events[-1].number)
    await identity.call("IdentityEventService/AcknowledgeEvents", acknowledge, identity.as_service)
    made = await identity.member(organization, person)
    identity.clock.now += STOP_AFTER
    request = pb.AddMembershipRequest(
        organization=organization,
        membership=pb.Membership(person=await identity.person(), role=Role.ROLE_OFFICER),
    )
    assert await identity.refused(ADD, request, identity.as_operator) == FAILED
    await identity.call(REMOVE, pb.RemoveMembershipRequest(name=made.name), identity.as_operator)


def later(identity: Identity, official: Official) -> str:
    """A token of the official, got now."""
    return identity.token(
        Role.ROLE_OPERATOR,
        Role.ROLE_CITIZEN,
        subject=official.subject,
        certificate=official.certificate,
    )


async def test_services_learn_who_is_a_second_operator(identity: Identity) -> None:
    async def check(approver: Official) -> tuple[bool, bool]:
        request = pb.CheckSecondOperatorRequest(
            proposer=identity.operator,
            approver=approver.subject,
            approver_certificate=approver.certificate,
        )
        found = await identity.call(
            "SubjectService/CheckSecondOperator", request, identity.as_service
        )
        return found.existed, found.may_approve

    stranger = await identity.official()
    assert await check(stranger) == (False, True)
    await with_two_operators(identity)
    assert await check(stranger) == (True, True)
    made = Made(certificate_approver=identity.operator)
    for other in (
        await identity.official(made=made),
        await identity.official(Role.ROLE_AUDITOR),
        replace(stranger, certificate="0" * 64),
        Official("", "", ""),
    ):
        assert await check(other) == (True, False)
    await identity.dismiss(stranger.subject)
    assert await check(stranger) == (True, False)
