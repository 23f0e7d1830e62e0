"""Create, change, approve and suspend public services."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.model.public_services import (
    Approval,
    PublicService,
    check_public_service,
)
from services.requests.model.statements import mandate
from services.requests.model.templates import AttributeKind, check_gives
from services.requests.public_services import store
from services.requests.public_services.interface import (
    Directory,
    DocumentType,
    DocumentTypes,
    Mandates,
    SignatureParts,
    SubjectKind,
    Verifier,
    check_signed_by,
)
from services.runtime.access import Caller, Role
from services.runtime.clock import Clock
from services.runtime.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.runtime.server import Call
from services.runtime.storage.database import Database

# The shortest time that a mandate's text tells.
TICK = timedelta(microseconds=1)


class Administration:
    """Public services as operators make them and providers approve them."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        types: DocumentTypes,
        verifier: Verifier,
        mandates: Mandates,
        platform: str,
        clock: Clock,
    ) -> None:
        """platform: the platform's name in what officers sign."""
        self._database = database
        self._directory = directory
        self._types = types
        self._verifier = verifier
        self._mandates = mandates
        self._platform = platform
        self._clock = clock

    async def get(self, name: str) -> PublicService:
        """Return a service in its present version. Raises NotFound."""
        async with self._database.reading() as connection:
            return await _get(connection, name)

    async def create(self, service: PublicService, call: Call) -> PublicService:
        """Store a new service. Raises InvalidArgument and AlreadyExists."""
        await self._check(service, call)

        async def work(connection: AsyncConnection) -> None:
            if await store.find(connection, service.name) is not None:
                raise AlreadyExists("there is a service of that id", "public_service_id")
            await _check_keywords(connection, service)
            await store.insert_service(connection, service)

        await self._database.run(work)
        return service

    async def change(
        self, before: PublicService, after: PublicService, call: Call
    ) -> PublicService:
        """Store a service's next version, which its provider has yet to approve. A change of
        nothing makes none. Raises InvalidArgument, AlreadyExists, and Aborted if it was changed
        meanwhile."""
        if after == before:
            return before
        after = replace(
            after, version=before.version + 1, approval=None, mandate_time=self._clock()
        )
        await self._check(after, call)

        async def work(connection: AsyncConnection) -> None:
            await _check_keywords(connection, after)
            if not await store.replace_service(connection, after, version_before=before.version):
                raise Aborted("the service was changed meanwhile")

        await self._database.run(work)
        return after

    async def approve(
        self, name: str, version: int, signature: SignatureParts, call: Call
    ) -> PublicService:
        """Store the provider's approval of the present version."""
        service = await self.get(name)
        _check_is_providers_officer(call.caller, service)
        _check_version(service, version)
        if service.is_retired:
            raise FailedPrecondition("RETIRED", "the service is provided no more")
        proof = await check_signed_by(
            self._verifier, mandate(service, self._platform), signature, call.caller.subject, call
        )
        approval = Approval(version, call.caller.subject, self._clock(), proof)

        async def work(connection: AsyncConnection) -> PublicService:
            _check_version(await _get(connection, name), version)
            signed_at = service.mandate_time
            if not await store.approve(connection, name, approval, mandate_time=signed_at):
                raise Aborted("the service was suspended meanwhile")
            return await _get(connection, name)

        return await self._database.run(work)

    async def suspend(self, name: str, call: Call) -> PublicService:
        """End the approvals of all versions, here and in the registry, which from then on does
        nothing on them whoever asks. Raises Unavailable if only the second could not be done: the
        same again does it."""
        caller = call.caller

        async def work(connection: AsyncConnection) -> PublicService:
            service = await _get(connection, name)
            if not caller.has(Role.ROLE_OPERATOR):
                _check_is_providers_officer(caller, service)
            await store.suspend(connection, name, self._clock())
            return await _get(connection, name)

        suspended = await self._database.run(work)
        ended = await self._mandates.end_mandates(name, suspended.provider, call)
        # The next mandate has to be younger than what ended, by the registry's clock.
        async with self._database.transaction() as connection:
            await store.set_mandate_time(connection, name, max(ended + TICK, self._clock()))
            return await _get(connection, name)

    async def _check(self, service: PublicService, call: Call) -> None:
        """Check a service, and what it names of other services. Raises InvalidArgument."""
        template = check_public_service(service)
        named = {"public_service.provider": service.provider}
        if service.appeal_body:
            named["public_service.appeal_body"] = service.appeal_body
        found = await self._directory.find_subjects(set(named.values()), call)
        for field, name in named.items():
            if found.get(name) is not SubjectKind.ORGANIZATION:
                raise InvalidArgument(field, "there is no such organization")
        output = await self._find_type(service.output, "public_service.output", call)
        if service.provider not in output.issuers:
            raise InvalidArgument("public_service.output", "the provider does not issue this type")
        kinds: dict[tuple[int, str], AttributeKind] = {}
        for index, each in enumerate(service.evidence):
            field = f"public_service.evidence[{index}]"
            declared = await self._find_type(each.document_type, f"{field}.document_type", call)
            for pointer in each.attributes:
                if pointer not in declared.attributes:
                    raise InvalidArgument(f"{field}.attributes", f"the type has no {pointer}")
                kinds[index, pointer] = declared.attributes[pointer].kind
        if template is not None:
            check_gives(template, output.attributes, kinds)

    async def _find_type(self, name: str, field: str, call: Call) -> DocumentType:
        found = await self._types.find_type(name, call)
        if found is None:
            raise InvalidArgument(field, "there is no such type")
        return found


async def _get(connection: AsyncConnection, name: str) -> PublicService:
    service = await store.find(connection, name)
    if service is None:
        raise NotFound("there is no such service")
    return service


async def _check_keywords(connection: AsyncConnection, service: PublicService) -> None:
    if await store.keyword_owners(connection, service):
        raise AlreadyExists("belongs to another service", "public_service.keywords")


def _check_is_providers_officer(caller: Caller, service: PublicService) -> None:
    if not caller.has(Role.ROLE_OFFICER) or caller.organization != service.provider:
        raise PermissionDenied


def _check_version(service: PublicService, version: int) -> None:
    if version != service.version:
        raise FailedPrecondition("VERSION_CHANGED", "the service has another version now")
