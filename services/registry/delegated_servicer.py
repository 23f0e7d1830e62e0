"""DelegatedService: acts on behalf of applicants and providers, for the service `requests`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.registry.v1 import consents_pb2, delegated_pb2, documents_pb2
from services.registry.consent_requests.asking import DAY, ConsentAsking
from services.registry.consent_requests.messages import consent_request_message
from services.registry.consent_requests.store import list_waiting
from services.registry.delegation.evidence import EvidenceLookUps, look_up_of
from services.registry.delegation.output import Outputs
from services.registry.delegation.request_log import RequestLog
from services.registry.delegation.requests import check_limit, parse_delegation, parse_signed_text
from services.registry.delegation.store import find_statement
from services.registry.delegation.verification import DelegationCheck
from services.registry.documents.content_reader import ContentReader
from services.registry.documents.receipts import read_receipts
from services.registry.documents.store import find_document, find_type
from services.registry.log.transparency_log import TransparencyLog
from services.registry.lookups.store import find_consent
from services.registry.messages import (
    attribute_message,
    consent_message,
    document_message,
    request_event_message,
)
from services.registry.model.accesses import LookUp
from services.registry.model.attributes import Attribute, parse_content, value_at
from services.registry.model.consent_requests import ConsentRequestState
from services.registry.model.consents import Consent
from services.registry.model.documents import DocumentState
from services.registry.model.log_entries import (
    NEWEST_VERSION,
    Opening,
    grant_openings,
    requested_openings,
    withdrawal_openings,
)
from services.registry.model.resource_names import check_name
from services.runtime.clock import Clock
from services.runtime.errors import InvalidArgument, PermissionDenied, Unavailable
from services.runtime.server import Call
from services.runtime.storage.database import Database


class DelegatedServicer:
    """The contract's DelegatedService."""

    def __init__(
        self,
        *,
        database: Database,
        transparency_log: TransparencyLog,
        check: DelegationCheck,
        evidence: EvidenceLookUps,
        outputs: Outputs,
        request_log: RequestLog,
        asking: ConsentAsking,
        content_reader: ContentReader,
        clock: Clock,
        platform: str,
        entry_version: int = NEWEST_VERSION,
    ) -> None:
        self._database = database
        self._log = transparency_log
        self._check = check
        self._evidence = evidence
        self._outputs = outputs
        self._request_log = request_log
        self._asking = asking
        self._content_reader = content_reader
        self._clock = clock
        self._platform = platform
        self._entry_version = entry_version

    # --- Evidence and outputs ------------------------------------------------

    async def LookUpForRequest(
        self, request: delegated_pb2.LookUpForRequestRequest, call: Call
    ) -> delegated_pb2.LookUpForRequestResponse:
        self._check_version()
        delegation = await self._check.check(parse_delegation(request.delegation), call)
        declared = await self._find_declared(look_up_of(delegation, request.evidence))
        found = await self._evidence.look_up(delegation, request.evidence)
        response = delegated_pb2.LookUpForRequestResponse(access=found.access.name)
        if not found.access.attributes:
            now = self._clock()
            response.documents.extend(document_message(each, now) for each in found.documents)
            return response
        for document in found.documents:
            members = parse_content(await self._content_reader.read(document))
            response.document = document.name
            response.values.extend(
                attribute_message(attribute, value_at(members, attribute)) for attribute in declared
            )
        return response

    async def RegisterForRequest(
        self, request: delegated_pb2.RegisterForRequestRequest, call: Call
    ) -> documents_pb2.Document:
        self._check_version()
        delegation = await self._check.check(parse_delegation(request.delegation), call)
        document = await self._outputs.issue(
            delegation, request.certificate, request.language, call
        )
        return document_message(document, self._clock())

    async def CheckOutput(
        self, request: delegated_pb2.CheckOutputRequest, _call: Call
    ) -> delegated_pb2.CheckOutputResponse:
        check_name(request.document, "documents", "document")
        async with self._database.reading() as connection:
            accepted = await find_statement(connection, request.request)
            found = await find_document(connection, request.document)
        answers = (
            accepted is not None
            and found is not None
            and tuple(found.subjects) == (accepted.applicant,)
            and found.document_type == request.document_type
            and found.issuer == request.provider
            and found.state(self._clock()) is DocumentState.ACTIVE
        )
        return delegated_pb2.CheckOutputResponse(answers=answers)

    async def _find_declared(self, look_up: LookUp) -> list[Attribute]:
        """Return the attributes of a look-up. Raises InvalidArgument for one that the type does not
        declare: only declared pointers may come into the log."""
        async with self._database.reading() as connection:
            document_type = await find_type(connection, look_up.document_type)
        found = [
            document_type.attribute(pointer) if document_type else None
            for pointer in look_up.attributes
        ]
        declared = [each for each in found if each is not None]
        if len(declared) != len(found):
            raise InvalidArgument("evidence", "the type declares no such attribute")
        return declared

    # --- Consents ------------------------------------------------------------

    async def GrantConsentForSubject(
        self, request: delegated_pb2.GrantConsentForSubjectRequest, call: Call
    ) -> consents_pb2.Consent:
        asked = await self._asking.give(parse_signed_text(request.statement, "statement"), call)
        async with self._database.reading() as connection:
            consent = await find_consent(connection, asked.consent)
            if consent is None:
                raise PermissionDenied
            return await self._consent_message(connection, consent)

    async def WithdrawConsentForSubject(
        self, request: delegated_pb2.WithdrawConsentForSubjectRequest, call: Call
    ) -> consents_pb2.Consent:
        consent = await self._asking.withdraw(
            parse_signed_text(request.statement, "statement"), call
        )
        async with self._database.reading() as connection:
            return await self._consent_message(connection, consent)

    async def ReadConsentRequests(
        self, request: delegated_pb2.ReadConsentRequestsRequest, _call: Call
    ) -> delegated_pb2.ReadConsentRequestsResponse:
        after = request.after and check_name(request.after, "consentRequests", "after")
        limit = check_limit(request.limit)
        now = self._clock()
        async with self._database.reading() as connection:
            found = await list_waiting(connection, now - DAY, after=after, limit=limit)
        return delegated_pb2.ReadConsentRequestsResponse(
            consent_requests=[
                consent_request_message(each, now, platform=self._platform, for_organization=False)
                for each in found
                if each.state(now) is ConsentRequestState.WAITING
            ]
        )

    async def _consent_message(
        self, connection: AsyncConnection, consent: Consent
    ) -> consents_pb2.Consent:
        wanted: list[tuple[int, Sequence[Opening]]] = [
            (consent.grant_index, grant_openings(consent))
        ]
        if consent.withdraw_index is not None:
            wanted.append((consent.withdraw_index, withdrawal_openings(consent)))
        receipts = await read_receipts(connection, self._log, wanted)
        return consent_message(
            consent,
            grant_receipt=receipts[0],
            withdraw_receipt=receipts[1] if len(receipts) > 1 else None,
        )

    # --- Changes of requests -------------------------------------------------

    async def AppendRequestEvent(
        self, request: delegated_pb2.AppendRequestEventRequest, call: Call
    ) -> delegated_pb2.RequestEvent:
        self._check_version()
        check_name(request.request, "serviceRequests", "request")
        check_name(request.public_service, "publicServices", "public_service")
        check_name(request.applicant, "subjects", "applicant")
        if request.number < 1:
            raise InvalidArgument("number", "must be 1 or more")
        delegation = None
        if request.HasField("delegation"):
            delegation = await self._check.check(parse_delegation(request.delegation), call)
        event = await self._request_log.append(
            request=request.request,
            public_service=request.public_service,
            applicant=request.applicant,
            number=request.number,
            change=request.change,
            delegation=delegation,
        )
        async with self._database.reading() as connection:
            (receipt,) = await read_receipts(
                connection, self._log, [(event.log_index, requested_openings(event))]
            )
        return request_event_message(event, receipt)

    def _check_version(self) -> None:
        """Raise Unavailable while entries of version 1 are written, which have no such events."""
        if self._entry_version < NEWEST_VERSION:
            raise Unavailable("a replica of an older release is still running")
