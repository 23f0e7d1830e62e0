"""Submit a request: verify who signed it, look up its evidence, and answer it if a rule can.

How a statement was signed is no matter here: submit takes a proof, which a caller has verified.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from services.requests.model import acts
from services.requests.model.public_services import PublicService, not_offered
from services.requests.model.service_requests import (
    Change,
    CollectedEvidence,
    EvidenceSource,
    Proof,
    ServiceRequest,
)
from services.requests.model.states import Action, state_after
from services.requests.public_services import store as service_store
from services.requests.service_requests import store
from services.requests.service_requests.changes import Changes
from services.requests.service_requests.interface import Delegate, FoundEvidence
from services.runtime.clock import Clock
from services.runtime.errors import DomainError, FailedPrecondition
from services.runtime.server import Call

log = logging.getLogger(__name__)

# delegated.proto, RegisterForRequest: evidence serves for so long after its look-up. Then an
# officer decides.
EVIDENCE_LASTS = timedelta(minutes=15)
# Requests that wait for their output, tried in one round.
ROUND = 100


@dataclass(frozen=True, slots=True)
class Submission:
    """Submits requests, and issues what is decided by rule."""

    changes: Changes
    delegate: Delegate
    clock: Clock

    async def check_can_be_signed(self, request: ServiceRequest) -> PublicService:
        """Return the service as the statement names it. Raises FailedPrecondition where signing it
        would be in vain."""
        acts.check_statement_lasts(request, self.clock())
        async with self.changes.database.reading() as connection:
            service = await service_store.find(connection, request.public_service)
        if service is None:
            raise not_offered()
        if service.version != request.service_version:
            raise FailedPrecondition(
                "SERVICE_CHANGED", "the service has another version: make a new draft"
            )
        service.check_is_offered()
        return service

    async def submit(
        self, request: ServiceRequest, service: PublicService, proof: Proof, call: Call | None
    ) -> ServiceRequest:
        """Look up the evidence and store the submission; issue the output if a rule decides.

        request: as the caller saw it; Aborted if it was changed meanwhile.
        """
        signed = replace(request, proof=proof)
        found = await self._look_up(service, signed, call)
        evidence = [
            CollectedEvidence(
                service.evidence[index].document_type,
                EvidenceSource.LOOKED_UP,
                one.access,
                one.document,
            )
            for index, one in found.items()
        ]

        def act(present: ServiceRequest) -> Change:
            acts.check_etag(present, request.etag)
            return acts.submit(
                present,
                proof,
                evidence,
                service.required_types,
                self.clock(),
                self.changes.calendar,
            )

        submitted = await self.changes.apply(request.name, act)
        if not decides_by_rule(service, submitted):
            return submitted
        try:
            return await self._issue(service, submitted, call)
        except DomainError as error:
            # It is submitted, and goes on by itself, or by an officer.
            log.warning("not issued at once", extra={"exception": type(error).__name__})
            return submitted

    async def issue_waiting(self) -> None:
        """Issue what a rule decides and could not be issued at once."""
        async with self.changes.database.reading() as connection:
            since = self.clock() - EVIDENCE_LASTS
            names = await store.list_to_issue(connection, since=since, limit=ROUND)
        for name in names:
            try:
                await self._issue_later(name)
            except DomainError as error:
                log.warning("not issued yet", extra={"exception": type(error).__name__})

    async def _issue_later(self, name: str) -> None:
        request = await self.changes.read(name)
        async with self.changes.database.reading() as connection:
            service = await service_store.find_version(
                connection, request.public_service, request.service_version
            )
        if service is None or service.approval is None:
            raise not_offered()
        if decides_by_rule(service, request):
            await self._issue(service, request, None)

    async def _look_up(
        self, service: PublicService, request: ServiceRequest, call: Call | None
    ) -> dict[int, FoundEvidence]:
        """Return what is found of the evidence that did not come on paper, by its place."""
        on_paper = _on_paper(request)
        wanted = [
            index
            for index, each in enumerate(service.evidence)
            if each.document_type not in on_paper
        ]
        answers = await asyncio.gather(
            *(self.delegate.look_up(service, request, index, call) for index in wanted)
        )
        return {index: one for index, one in zip(wanted, answers, strict=True) if one.document}

    async def _issue(
        self,
        service: PublicService,
        request: ServiceRequest,
        call: Call | None,
    ) -> ServiceRequest:
        """Have the output sealed and registered, and store the end."""
        state_after(request.state, Action.ISSUE)
        document = await self.delegate.register(service, request, call)

        def act(present: ServiceRequest) -> Change:
            return acts.issue(present, document, self.clock())

        return await self.changes.apply(request.name, act)


def decides_by_rule(service: PublicService, request: ServiceRequest) -> bool:
    """Return whether a rule answers the request: what its output says was looked up, and nothing
    that is required came on paper, which an officer has to read."""
    return service.is_by_rule and _on_paper(request).isdisjoint(service.required_types)


def _on_paper(request: ServiceRequest) -> set[str]:
    return {each.document_type for each in request.evidence if each.source is EvidenceSource.PAPER}
