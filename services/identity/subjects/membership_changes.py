"""Who becomes a member and who ends being one, on one operator's word or two operators'.

A membership of the platform's own organization makes somebody an operator, a registrar or an
auditor. Two operators add and remove it, and it begins a day later, so that the others hear of it;
before there ever was a second operator, the first one does it alone and at once. Any other
membership takes one operator.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.events.event import IdentityEventBasis, IdentityEventKind
from services.identity.events.recorder import EventRecorder
from services.identity.store import Singleton, Taken, get_singleton, set_singleton
from services.identity.subjects import store
from services.identity.subjects.dual_control import Provenance, check_is_second
from services.identity.subjects.rules import (
    Membership,
    MembershipState,
    check_role,
    happening_to_member,
)
from services.runtime.access import Caller, Role
from services.runtime.clock import Clock
from services.runtime.errors import AlreadyExists, FailedPrecondition, NotFound, PermissionDenied

log = logging.getLogger(__name__)

# Who made a subject's certificate, by its fingerprint; None if it is not there.
FindProvenance = Callable[[AsyncConnection, str, str], Awaitable[Provenance | None]]


class MembershipChanges:
    """Adds and removes memberships, each in the transaction of its event."""

    def __init__(
        self,
        *,
        events: EventRecorder,
        find_certificate: FindProvenance,
        clock: Clock,
        delay: timedelta,
    ) -> None:
        """delay: from the approval of a membership of the platform's own organization to its
        beginning."""
        self._events = events
        self._find_certificate = find_certificate
        self._clock = clock
        self._delay = delay

    async def add(
        self, connection: AsyncConnection, organization: str, person: str, role: int, caller: Caller
    ) -> Membership:
        """Add a membership, or keep that it is asked for. Raises InvalidArgument, AlreadyExists or
        FailedPrecondition."""
        await self._events.check_is_logged(connection)
        await _lock(connection, organization, person)
        now = self._clock()
        platform = await store.get_platform(connection)
        check_role(role, is_platform=organization == platform)
        present = await store.get_membership(connection, organization, person)
        if present is not None and present.state_at(now) is MembershipState.ENDED:
            await store.drop_membership(connection, present)
        waits = organization == platform and await had_second_operator(connection)
        added = Membership(
            organization,
            person,
            role,
            now,
            begin_time=None if waits else now,
            proposer=caller.subject,
        )
        try:
            await store.add_membership(connection, added)
        except Taken:
            raise AlreadyExists("the person is a member already") from None
        if waits:
            log.warning("a new member of the platform's organization is asked for")
        else:
            await self._added(connection, added, platform, IdentityEventBasis.ALONE, caller.subject)
        return added

    async def approve(
        self, connection: AsyncConnection, organization: str, person: str, caller: Caller
    ) -> Membership:
        """Approve that a membership is added or removed. Raises NotFound, PermissionDenied or
        FailedPrecondition."""
        await self._events.check_is_logged(connection)
        await _lock(connection, organization, person)
        now = self._clock()
        platform = await store.get_platform(connection)
        present = await self._find(connection, organization, person)
        if present.state_at(now) is MembershipState.ENDING:
            proposer = present.remove_proposer
        elif present.begin_time is None:
            proposer = present.proposer
        else:
            raise FailedPrecondition("NOT_PENDING", "it waits for no second operator")
        await self._check_is_second(
            connection, platform, proposer, caller.subject, caller.certificate
        )
        if present.begin_time is not None:
            return await self._end(
                connection, present, IdentityEventBasis.APPROVED, proposer, caller.subject
            )
        added = replace(present, begin_time=now + self._delay, approver=caller.subject)
        await store.change_membership(connection, added)
        await self._added(
            connection, added, platform, IdentityEventBasis.APPROVED, proposer, caller.subject
        )
        return added

    async def remove(
        self, connection: AsyncConnection, organization: str, person: str, caller: Caller
    ) -> Membership:
        """Remove a membership, or keep that its removal is asked for. What has not begun is stopped
        by one operator. Raises NotFound."""
        await _lock(connection, organization, person)
        now = self._clock()
        platform = await store.get_platform(connection)
        present = await self._find(connection, organization, person)
        if present.begin_time is None:
            await store.drop_membership(connection, present)
            return replace(present, remove_time=now)
        is_in_force = present.is_in_force_at(now)
        if organization == platform and is_in_force and await had_second_operator(connection):
            if present.state_at(now) is MembershipState.ENDING:
                return present
            ending = replace(present, remove_proposer=caller.subject, remove_ask_time=now)
            await store.change_membership(connection, ending)
            log.warning("the removal of a member of the platform's organization is asked for")
            return ending
        return await self._end(connection, present, IdentityEventBasis.ALONE, caller.subject)

    async def _find(
        self, connection: AsyncConnection, organization: str, person: str
    ) -> Membership:
        found = await store.get_membership(connection, organization, person)
        if found is None or found.state_at(self._clock()) is MembershipState.ENDED:
            raise NotFound("the membership does not exist")
        return found

    async def may_approve(
        self, connection: AsyncConnection, *, proposer: str, approver: str, certificate: str
    ) -> bool:
        """Return whether an operator is a second person to another one, both in force.

        certificate: fingerprint of the one that the approver confirms with.
        """
        platform = await store.get_platform(connection)
        if not await self._is_operator(connection, platform, approver):
            return False
        try:
            await self._check_is_second(connection, platform, proposer, approver, certificate)
        except (PermissionDenied, FailedPrecondition):
            return False
        return True

    async def _check_is_second(
        self,
        connection: AsyncConnection,
        platform: str,
        proposer: str,
        approver: str,
        certificate: str,
    ) -> None:
        """Raise PermissionDenied unless the approver is a second person, and FailedPrecondition if
        who asked is an operator no more."""
        own = await store.get_membership(connection, platform, approver)
        is_in_force = own is not None and own.is_in_force_at(self._clock())
        check_is_second(
            approver,
            proposer=proposer,
            membership=own.provenance if own is not None and is_in_force else None,
            certificate=await self._find_certificate(connection, approver, certificate),
        )
        if not await self._is_operator(connection, platform, proposer):
            raise FailedPrecondition("NOT_PENDING", "who asked for it is an operator no more")

    async def _is_operator(self, connection: AsyncConnection, platform: str, person: str) -> bool:
        found = await store.get_membership(connection, platform, person)
        return (
            found is not None
            and found.role == Role.ROLE_OPERATOR
            and found.is_in_force_at(self._clock())
        )

    async def _added(
        self,
        connection: AsyncConnection,
        membership: Membership,
        platform: str,
        basis: IdentityEventBasis,
        *officers: str,
    ) -> None:
        if membership.organization == platform:
            log.warning("the platform's organization has a new member")
            if membership.role == Role.ROLE_OPERATOR:
                now = self._clock().isoformat()
                await set_singleton(connection, Singleton.SECOND_OPERATOR, now)
        added = happening_to_member(
            membership, IdentityEventKind.MEMBERSHIP_ADDED, basis, *officers
        )
        await self._events.record(connection, added)

    async def _end(
        self,
        connection: AsyncConnection,
        membership: Membership,
        basis: IdentityEventBasis,
        *officers: str,
    ) -> Membership:
        now = self._clock()
        await store.end_membership(connection, membership, now)
        removed = happening_to_member(
            membership, IdentityEventKind.MEMBERSHIP_REMOVED, basis, *officers
        )
        await self._events.record(connection, removed)
        return replace(membership, remove_time=now)


async def had_second_operator(connection: AsyncConnection) -> bool:
    """Return whether there ever was an operator besides the first one."""
    return await get_singleton(connection, Singleton.SECOND_OPERATOR) is not None


async def _lock(connection: AsyncConnection, organization: str, person: str) -> None:
    """Let one transaction at a time change the organization's members, or certify the person."""
    for name in (organization, person):
        await store.lock_subject(connection, name)
