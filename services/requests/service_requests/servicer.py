"""ServiceRequestService: RPC in, RPC out. What each act asks stands in model/."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.requests.v1 import service_requests_pb2 as pb
from services.requests.model import acts, authority
from services.requests.model.drafts import Drafts
from services.requests.model.public_services import not_offered
from services.requests.model.resource_names import check_name
from services.requests.model.service_requests import DRAFTS_LIMIT, Change, ServiceRequest
from services.requests.model.statements import appeal_decision, refusal_statement
from services.requests.model.states import Action, ServiceRequestChannel, state_after
from services.requests.model.working_days import local_day
from services.requests.public_services import store as service_store
from services.requests.public_services.interface import (
    Directory,
    SubjectKind,
    Verifier,
    check_signed_by,
)
from services.requests.public_services.requests import parse_signature, service_name
from services.requests.service_requests import store
from services.requests.service_requests.changes import Changes
from services.requests.service_requests.interface import Delegate
from services.requests.service_requests.messages import request_message
from services.requests.service_requests.requests import (
    parse_applicant,
    parse_grounds,
    parse_refusal,
    parse_state,
    request_name,
    without_form,
)
from services.requests.service_requests.submission import Submission
from services.runtime.access import Role
from services.runtime.clock import Clock
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    QuotaExceeded,
)
from services.runtime.server import Call
from services.runtime.storage.idempotency import IdempotencyStore

Check = Callable[[ServiceRequest], None]
Act = Callable[[ServiceRequest], Change]


class ServiceRequestServicer:
    """Requests, as applicants, officers and auditors see them and act on them."""

    def __init__(
        self,
        *,
        changes: Changes,
        submission: Submission,
        drafts: Drafts,
        directory: Directory,
        verifier: Verifier,
        delegate: Delegate,
        idempotency: IdempotencyStore,
        clock: Clock,
    ) -> None:
        self._changes = changes
        self._submission = submission
        self._drafts = drafts
        self._directory = directory
        self._verifier = verifier
        self._delegate = delegate
        self._idempotency = idempotency
        self._clock = clock

    # --- Drafts, offers, submission ------------------------------------------

    async def CreateServiceRequest(
        self, request: pb.CreateServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        wanted = request.service_request
        name = service_name(wanted.public_service, "service_request.public_service")
        applicant = parse_applicant(wanted, call.caller)
        is_officer = call.caller.has(Role.ROLE_OFFICER)
        if is_officer:
            found = await self._directory.find_subjects([applicant], call)
            if found.get(applicant) is not SubjectKind.PERSON or applicant == call.caller.subject:
                raise InvalidArgument("service_request.applicant", "is no other person")

        async def work(connection: AsyncConnection) -> pb.ServiceRequest:
            service = await service_store.find(connection, name)
            if service is None:
                raise not_offered()
            if is_officer and service.provider != call.caller.organization:
                raise PermissionDenied
            change = self._drafts.make(
                service,
                applicant=applicant,
                channel=ServiceRequestChannel.OFFICE if is_officer else ServiceRequestChannel.API,
                form=wanted.form,
                now=self._clock(),
            )
            state = change.request.state
            if await store.count_in_state(connection, applicant, state) >= DRAFTS_LIMIT:
                raise QuotaExceeded(applicant, f"{DRAFTS_LIMIT} requests wait for a signature")
            await self._changes.put(connection, change)
            # Its name is all that is kept for a repeat: the rest is personal.
            return pb.ServiceRequest(name=change.request.name)

        made = await self._idempotency.run_once(
            work,
            request=without_form(request, self._changes.texts),
            scope=call.caller.scope,
            response_type=pb.ServiceRequest,
        )
        self._changes.committed()
        return await self._message(await self._changes.read(made.name), call)

    async def OfferServiceRequest(
        self, request: pb.OfferServiceRequestRequest, call: Call
    ) -> pb.OfferServiceRequestResponse:
        name = service_name(request.public_service, "public_service")
        subject = check_name(request.subject, "subjects", "subject")
        found = await self._directory.find_subjects([subject], call)
        now = self._clock()

        async def work(connection: AsyncConnection) -> None:
            service = await service_store.find(connection, name)
            if service is None or service.provider != call.caller.organization:
                raise PermissionDenied
            change = self._drafts.make(
                service, applicant=subject, channel=ServiceRequestChannel.PROACTIVE, now=now
            )
            is_new = await store.add_offer(
                connection, public_service=name, subject=subject, year=local_day(now).year
            )
            if is_new and found.get(subject) is SubjectKind.PERSON:
                await self._changes.put(connection, change)

        await self._changes.database.run(work)
        self._changes.committed()
        return pb.OfferServiceRequestResponse()

    async def SubmitServiceRequest(
        self, request: pb.SubmitServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        if request.WhichOneof("proof") != "signature":
            raise InvalidArgument("signature", "is required")
        found = await self._find(request.name, _applicant_of(call))
        if found.channel is ServiceRequestChannel.OFFICE:
            # Its statement says that an officer signs it.
            raise PermissionDenied
        service = await self._submission.check_can_be_signed(found)
        parts = parse_signature(request.signature)
        proof = await check_signed_by(self._verifier, found.statement, parts, found.applicant, call)
        return await self._message(await self._submission.submit(found, service, proof, call), call)

    async def SubmitServiceRequestAtOffice(
        self, request: pb.SubmitServiceRequestAtOfficeRequest, call: Call
    ) -> pb.ServiceRequest:
        found = await self._find(
            request.name, lambda found: authority.check_is_at_office(call.caller, found)
        )
        acts.check_etag(found, request.etag)
        service = await self._submission.check_can_be_signed(found)
        parts = parse_signature(request.signature)
        proof = await check_signed_by(
            self._verifier, found.statement, parts, call.caller.subject, call
        )
        return await self._message(await self._submission.submit(found, service, proof, call), call)

    async def DeclineServiceRequest(
        self, request: pb.DeclineServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        return await self._act(
            request.name, call, _applicant_of(call), lambda it: acts.decline(it, self._clock())
        )

    # --- Reading --------------------------------------------------------------

    async def GetServiceRequest(
        self, request: pb.GetServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        def check(found: ServiceRequest) -> None:
            if not authority.may_read(call.caller, found):
                raise PermissionDenied

        return await self._message(await self._find(request.name, check), call)

    async def ListServiceRequests(
        self, request: pb.ListServiceRequestsRequest, call: Call
    ) -> pb.ListServiceRequestsResponse:
        caller = call.caller
        state = parse_state(request.state)
        service = request.public_service and service_name(request.public_service, "public_service")
        applicant = organization = ""
        if caller.has(Role.ROLE_OFFICER):
            organization = caller.organization
        elif not caller.has(Role.ROLE_AUDITOR):
            applicant = caller.subject
        page = call.page(request, applicant, organization, str(request.state), service)
        async with self._changes.database.reading() as connection:
            found = await store.list_requests(
                connection,
                self._changes.texts,
                applicant=applicant,
                organization=organization,
                state=state,
                public_service=service,
                before=page.after,
                limit=page.limit,
            )
        shown, next_page_token = page.cut(found, key=lambda each: each.name)
        now = self._clock()
        return pb.ListServiceRequestsResponse(
            service_requests=[
                request_message(each, caller=caller, now=now, calendar=self._changes.calendar)
                for each in shown
            ],
            next_page_token=next_page_token,
        )

    # --- Acts of officers -----------------------------------------------------

    async def RecordPaper(self, request: pb.RecordPaperRequest, call: Call) -> pb.ServiceRequest:
        found = await self._find(request.name, _officer_of(call))
        if request.WhichOneof("paper") == "output":
            if not request.output:
                raise InvalidArgument("output", "is not true")
            return await self._act(
                request.name,
                call,
                _officer_of(call),
                lambda it: acts.record_output(it, self._clock()),
            )
        async with self._changes.database.reading() as connection:
            service = await service_store.find_version(
                connection, found.public_service, found.service_version
            )
        asked_for = [] if service is None else [each.document_type for each in service.evidence]
        return await self._act(
            request.name,
            call,
            _officer_of(call),
            lambda it: acts.record_evidence(it, request.evidence, asked_for, self._clock()),
        )

    async def AcceptServiceRequest(
        self, request: pb.AcceptServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        return await self._act(
            request.name,
            call,
            _officer_of(call, request.etag),
            lambda it: acts.accept(it, self._clock()),
        )

    async def AskApplicant(self, request: pb.AskApplicantRequest, call: Call) -> pb.ServiceRequest:
        return await self._act(
            request.name,
            call,
            _officer_of(call, request.etag),
            lambda it: acts.ask(it, request.question, self._clock()),
        )

    async def CompleteServiceRequest(
        self, request: pb.CompleteServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        document = check_name(request.document, "documents", "document")
        check = _officer_of(call, request.etag)
        found = await self._find(request.name, check)
        state_after(found.state, Action.COMPLETE)
        async with self._changes.database.reading() as connection:
            service = await service_store.find_version(
                connection, found.public_service, found.service_version
            )
        if service is None or not await self._delegate.is_output(service, found, document, call):
            raise FailedPrecondition("NOT_THE_OUTPUT", "the document is not the request's output")
        return await self._act(
            request.name, call, check, lambda it: acts.complete(it, document, self._clock())
        )

    async def AnnounceRefusal(
        self, request: pb.AnnounceRefusalRequest, call: Call
    ) -> pb.ServiceRequest:
        refusal = parse_refusal(request.refusal)
        return await self._act(
            request.name,
            call,
            _officer_of(call, request.etag),
            lambda it: acts.announce_refusal(it, refusal, self._clock(), self._changes.calendar),
        )

    async def RefuseServiceRequest(
        self, request: pb.RefuseServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        found = await self._find(request.name, _officer_of(call, request.etag))
        # Before a signature is verified for nothing.
        change = acts.refuse(found, call.caller.subject, self._clock())
        assert change.request.refusal is not None  # noqa: S101 - it was in HEARING
        text = refusal_statement(found.name, change.request.refusal)
        parts = parse_signature(request.signature)
        await check_signed_by(self._verifier, text, parts, call.caller.subject, call)
        return await self._act(
            request.name,
            call,
            _officer_of(call, found.etag),
            lambda it: acts.refuse(it, call.caller.subject, self._clock()),
        )

    async def DecideAppeal(self, request: pb.DecideAppealRequest, call: Call) -> pb.ServiceRequest:
        def check(found: ServiceRequest) -> None:
            authority.check_may_decide_appeal(call.caller, found)
            acts.check_etag(found, request.etag)

        found = await self._find(request.name, check)
        grounds = parse_grounds(request.grounds)
        text = appeal_decision(found.name, grounds, is_upheld=request.upheld)
        parts = parse_signature(request.signature)
        await check_signed_by(self._verifier, text, parts, call.caller.subject, call)
        return await self._act(
            request.name,
            call,
            check,
            lambda it: acts.decide_appeal(
                it,
                is_upheld=request.upheld,
                grounds=grounds,
                now=self._clock(),
                calendar=self._changes.calendar,
            ),
        )

    # --- Acts of applicants ---------------------------------------------------

    async def AnswerQuestion(
        self, request: pb.AnswerQuestionRequest, call: Call
    ) -> pb.ServiceRequest:
        return await self._act(
            request.name,
            call,
            _applicant_of(call),
            lambda it: acts.answer(it, request.answer, self._clock(), self._changes.calendar),
        )

    async def StateObjection(
        self, request: pb.StateObjectionRequest, call: Call
    ) -> pb.ServiceRequest:
        return await self._act(
            request.name,
            call,
            _applicant_of(call),
            lambda it: acts.state_objection(it, request.text, self._clock()),
        )

    async def WithdrawServiceRequest(
        self, request: pb.WithdrawServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        return await self._act(
            request.name,
            call,
            _applicant_of(call),
            lambda it: acts.withdraw(it, self._clock(), self._changes.calendar),
        )

    async def AppealServiceRequest(
        self, request: pb.AppealServiceRequestRequest, call: Call
    ) -> pb.ServiceRequest:
        return await self._act(
            request.name,
            call,
            _applicant_of(call),
            lambda it: acts.appeal(it, request.text, self._clock(), self._changes.calendar),
        )

    # --- What they share ------------------------------------------------------

    async def _find(self, name: str, check: Check) -> ServiceRequest:
        """Return a request after the check. Raises what that raises, and PermissionDenied."""
        found = await self._changes.read(request_name(name))
        check(found)
        return found

    async def _act(self, name: str, call: Call, check: Check, act: Act) -> pb.ServiceRequest:
        """Store what an act makes of a request, checked in the same transaction."""

        def checked(found: ServiceRequest) -> Change:
            check(found)
            return act(found)

        changed = await self._changes.apply(request_name(name), checked)
        return await self._message(changed, call)

    async def _message(self, request: ServiceRequest, call: Call) -> pb.ServiceRequest:
        async with self._changes.database.reading() as connection:
            events = await store.list_events(connection, self._changes.texts, request.name)
        return request_message(
            request,
            caller=call.caller,
            now=self._clock(),
            calendar=self._changes.calendar,
            events=events,
        )


def _applicant_of(call: Call) -> Check:
    return lambda found: authority.check_is_applicant(call.caller, found)


def _officer_of(call: Call, etag: str = "") -> Check:
    def check(found: ServiceRequest) -> None:
        authority.check_is_officer(call.caller, found)
        acts.check_etag(found, etag)

    return check
