"""Outputs that are issued by rule: filled here, sealed by signing, registered like any document.

The caller brings no content. The template is the one that the provider signed; what it names is
read from the documents that the request's own look-ups found, from identity, and from the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta, timezone

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.output_templates import (
    DATE,
    REQUEST,
    EvidencePlaceholder,
    Template,
    TemplateError,
    Value,
    applicant_placeholder,
)
from services.registry.delegation import store
from services.registry.delegation.evidence import EvidenceLookUps
from services.registry.delegation.interface import People, Sealer
from services.registry.delegation.verification import Delegation
from services.registry.documents.content_reader import ContentReader
from services.registry.documents.registration import Registration
from services.registry.documents.requests import ParsedRegistration
from services.registry.documents.store import find_document, find_type, kept_requests
from services.registry.model.attributes import parse_content, value_at
from services.registry.model.document_types import DocumentType
from services.registry.model.documents import Document, Signature
from services.registry.model.statements import (
    StatementVersion,
    encode_statement,
    statement_key,
)
from services.runtime.clock import Clock
from services.runtime.errors import (
    AlreadyExists,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
)
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey

# The scope is the request.
METHOD = "output of a request"
MEDIA_TYPE = "application/json"
# All of Kazakhstan, since 1 March 2024.
ALMATY = timezone(timedelta(hours=5))


class Outputs:
    """Issues outputs of requests."""

    def __init__(
        self,
        *,
        database: Database,
        registration: Registration,
        evidence: EvidenceLookUps,
        content_reader: ContentReader,
        people: People,
        sealer: Sealer,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registration = registration
        self._evidence = evidence
        self._content_reader = content_reader
        self._people = people
        self._sealer = sealer
        self._clock = clock

    async def issue(
        self, delegation: Delegation, certificate: bytes, language: str, during: Call | None
    ) -> Document:
        """Return the request's output, made now or by an earlier call.

        certificate: of the key that the mandate names. Raises as RegisterForRequest does.
        """
        kept = await self._find_kept(delegation)
        if kept is not None:
            return kept
        document_type = await self._find_type(delegation)
        content = await self._fill(delegation, during)
        await self._accept(delegation)
        registration = _registration(delegation, document_type, content, language)
        statement = registration.statements[StatementVersion.WITH_ISSUER]
        seal = await self._sealer.seal(statement, delegation.signed, during)
        signature = Signature(
            certificate,
            seal.algorithm,
            seal.signature,
            signer="",
            statement_version=StatementVersion.WITH_ISSUER,
        )
        (outcome,) = await self._registration.register([_signed(registration, signature)], during)
        if isinstance(outcome, DomainError):
            raise _named(outcome)
        return outcome

    async def _find_kept(self, delegation: Delegation) -> Document | None:
        """Return the output that the request has. Raises FailedPrecondition if it is of another
        statement."""
        async with self._database.reading() as connection:
            kept = await kept_requests.find(connection, _key(delegation))
            if kept is None:
                return None
            if kept.request_sha256 not in (None, delegation.statement_sha256):
                raise FailedPrecondition("REQUEST_USED", "the request has another output")
            return await find_document(connection, kept.result)

    async def _find_type(self, delegation: Delegation) -> DocumentType:
        async with self._database.reading() as connection:
            document_type = await find_type(connection, delegation.mandate.output)
        if document_type is None:
            raise InvalidArgument("delegation.mandate.text", "the output's type does not exist")
        return document_type

    async def _accept(self, delegation: Delegation) -> None:
        """Let the request rest on this statement, before anything is sealed for it. Raises
        FailedPrecondition if it rests on another, PermissionDenied if the mandate was ended."""

        async def accept(connection: AsyncConnection) -> None:
            await store.check_not_ended(connection, delegation.mandate)
            await store.accept_statement(
                connection, delegation.statement, delegation.statement_sha256, self._clock()
            )

        await self._database.run(accept)

    # --- The content ---------------------------------------------------------

    async def _fill(self, delegation: Delegation, during: Call | None) -> bytes:
        """Return the output's content. Raises FailedPrecondition."""
        mandate = delegation.mandate
        if not mandate.output_template or not mandate.key or mandate.time_limit_days:
            raise FailedPrecondition("NO_TEMPLATE", "an officer decides this service")
        try:
            template = Template.parse(mandate.output_template)
            values = await self._evidence_values(delegation, template)
            values |= {
                REQUEST: delegation.statement.request,
                DATE: self._clock().astimezone(ALMATY).date().isoformat(),
            }
            values |= await self._applicant_values(delegation, during)
            return template.fill(values)
        except TemplateError as error:
            raise FailedPrecondition("NO_TEMPLATE", f"the template: {error}") from None

    async def _evidence_values(
        self, delegation: Delegation, template: Template
    ) -> dict[str, Value]:
        """Return the values of the template's evidence, all of it looked up for this statement."""
        named: dict[int, list[EvidencePlaceholder]] = {}
        for each in template.evidence:
            named.setdefault(each.index, []).append(each)
        values: dict[str, Value] = {}
        evidence = delegation.statement.evidence
        for index in range(len(evidence)):
            wanted = named.pop(index, [])
            if not wanted and not delegation.mandate.required[index]:
                continue
            if any(each.pointer not in evidence[index].attributes for each in wanted):
                raise FailedPrecondition("NO_TEMPLATE", "the template names other evidence")
            values |= await self._values_of(delegation, index, wanted)
        if named:
            raise FailedPrecondition("NO_TEMPLATE", "the template names other evidence")
        return values

    async def _values_of(
        self, delegation: Delegation, index: int, wanted: list[EvidencePlaceholder]
    ) -> Mapping[str, Value]:
        missing = FailedPrecondition("MISSING_EVIDENCE", f"evidence {index} is missing")
        found = await self._evidence.find_again(delegation, index)
        if found is None or not found.documents:
            raise missing
        if not wanted:
            return {}
        document = found.documents[0]
        async with self._database.reading() as connection:
            document_type = await find_type(connection, document.document_type)
        members = parse_content(await self._content_reader.read(document))
        values: dict[str, Value] = {}
        for each in wanted:
            attribute = document_type.attribute(each.pointer) if document_type else None
            value = value_at(members, attribute) if attribute is not None else None
            if value is None:
                raise missing
            values[each.text] = value
        return values

    async def _applicant_values(
        self, delegation: Delegation, during: Call | None
    ) -> dict[str, Value]:
        names = await self._people.find_names(delegation.statement.applicant, during)
        if names is None:
            raise PermissionDenied
        return {
            applicant_placeholder("family_name"): names.family_name,
            applicant_placeholder("given_name"): names.given_name,
            applicant_placeholder("patronymic"): names.patronymic,
        }


def _key(delegation: Delegation) -> RequestKey:
    return RequestKey(METHOD, delegation.statement.request, "output")


def _registration(
    delegation: Delegation, document_type: DocumentType, content: bytes, language: str
) -> ParsedRegistration:
    """Return the registration of the output, yet to be signed."""
    issuer, subjects = delegation.mandate.provider, (delegation.statement.applicant,)
    content_sha256 = hashlib.sha256(content).digest()
    statements = {
        version: encode_statement(
            version=version,
            issuer=issuer,
            content_sha256=content_sha256,
            document_type=document_type.name,
            media_type=MEDIA_TYPE,
            subjects=subjects,
            expire_time=None,
        )
        for version in StatementVersion
    }
    return ParsedRegistration(
        document_type=document_type.name,
        issuer=issuer,
        subjects=subjects,
        title=_title(document_type, language),
        media_type=MEDIA_TYPE,
        expire_time=None,
        content=content,
        content_sha256=content_sha256,
        signatures=(),
        statements=statements,
        statement_key=statement_key(issuer, statements[StatementVersion.WITHOUT_ISSUER]),
        request=_key(delegation),
        request_sha256=delegation.statement_sha256,
    )


def _signed(registration: ParsedRegistration, signature: Signature) -> ParsedRegistration:
    return replace(registration, signatures=(signature,))


def _title(document_type: DocumentType, language: str) -> str:
    names = document_type.display_names
    return names.get(language) or next(iter(names.values()), "")


def _named(error: DomainError) -> DomainError:
    """Return the error of a registration, in terms of this call."""
    if isinstance(error, AlreadyExists):
        return FailedPrecondition("REQUEST_USED", "the request has another output")
    if isinstance(error, InvalidArgument) and error.field.startswith("signatures"):
        return InvalidArgument("certificate", error.description)
    return error
