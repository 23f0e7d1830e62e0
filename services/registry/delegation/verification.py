"""The check of what was signed, before the registry acts on behalf of somebody.

Whoever calls is believed nothing: each text is parsed and its signature verified by signing, the
signers' roles come from identity, and the mandate must not have been ended. docs/on-behalf.md lists
the rules; those of the texts alone are in qagazsyz.request_texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from qagazsyz.canonical_texts import TextError
from qagazsyz.request_texts import Mandate, RequestStatement, check_same_service
from services.registry.delegation import store
from services.registry.documents.interface import (
    Directory,
    Officer,
    SignedStatement,
    VerificationStatus,
    Verifier,
)
from services.registry.model.consents import check_purpose
from services.registry.model.resource_names import check_name
from services.runtime.clock import Clock
from services.runtime.errors import InvalidArgument, PermissionDenied, Unavailable
from services.runtime.server import Call
from services.runtime.storage.database import Database

# An offer waits for a month; a statement that lets evidence be looked up lasts no longer.
STATEMENT_LASTS = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class SignedDelegation:
    """A mandate and a statement as they came, with their signatures. Nothing is verified yet."""

    mandate: SignedStatement
    statement: SignedStatement


@dataclass(frozen=True, slots=True)
class Delegation:
    """A verified mandate and a verified statement that belong together."""

    mandate: Mandate
    statement: RequestStatement
    # Who acts for the provider: the officer at the office, else the provider itself.
    officer: str
    signed: SignedDelegation

    @property
    def statement_sha256(self) -> bytes:
        """What tells one statement of a request from another."""
        return hashlib.sha256(self.signed.statement.statement).digest()


class DelegationCheck:
    """Verifies texts that allow an act on behalf of their signers."""

    def __init__(
        self,
        database: Database,
        verifier: Verifier,
        directory: Directory,
        clock: Clock,
        platform: str,
    ) -> None:
        """platform: the name that the texts have to say."""
        self._database = database
        self._verifier = verifier
        self._directory = directory
        self._clock = clock
        self._platform = platform

    async def check(self, signed: SignedDelegation, during: Call | None) -> Delegation:
        """Return the delegation. Raises InvalidArgument for what is no such text, PermissionDenied
        for what was not signed or is not allowed, and Unavailable."""
        mandate = _mandate_of(signed.mandate.statement)
        statement = _statement_of(signed.statement.statement)
        self._check_texts(mandate, statement)
        async with self._database.reading() as connection:
            await store.check_not_ended(connection, mandate)
        approver, applicant = await self.signers([signed.mandate, signed.statement], during)
        officers = await self._officers(mandate.provider, {approver, applicant}, during)
        if approver not in officers or not _may_sign(statement, applicant, officers):
            raise PermissionDenied
        officer = applicant if statement.at_office else mandate.provider
        return Delegation(mandate, statement, officer, signed)

    async def signers(self, texts: Sequence[SignedStatement], during: Call | None) -> list[str]:
        """Return the subject who signed each text. Raises PermissionDenied if a signature does not
        hold or is nobody's, and Unavailable."""
        results = await self._verifier.verify(texts, during)
        if any(result.status is VerificationStatus.FAILED for result in results):
            raise PermissionDenied
        if any(result.status is not VerificationStatus.PASSED for result in results):
            raise Unavailable("a signer's certificate cannot be validated now")
        if not all(result.signer for result in results):
            raise PermissionDenied
        return [result.signer for result in results]

    def _check_texts(self, mandate: Mandate, statement: RequestStatement) -> None:
        """Check what the texts alone and the clock tell. Raises PermissionDenied."""
        try:
            check_same_service(mandate, statement)
        except TextError:
            raise PermissionDenied from None
        now = self._clock()
        if (
            mandate.platform != self._platform
            or mandate.time > now
            or not now < statement.expire_time <= now + STATEMENT_LASTS
        ):
            raise PermissionDenied

    async def _officers(
        self, provider: str, people: Collection[str], during: Call | None
    ) -> set[str]:
        """Return those of the people who are officers of the provider now."""
        asked = {Officer(provider, person) for person in people}
        return {each.person for each in await self._directory.find_officers(asked, during)}


def _may_sign(statement: RequestStatement, signer: str, officers: Collection[str]) -> bool:
    """Return whether the signer may sign the statement: the applicant, or at the office an officer
    of the provider who is not the applicant."""
    if statement.at_office:
        return signer in officers and signer != statement.applicant
    return signer == statement.applicant


def _mandate_of(text: bytes) -> Mandate:
    """Raises InvalidArgument."""
    field = "delegation.mandate.text"
    try:
        mandate = Mandate.parse(text)
    except TextError as error:
        raise InvalidArgument(field, str(error)) from None
    check_name(mandate.provider, "subjects", field)
    check_name(mandate.public_service, "publicServices", field)
    check_name(mandate.output, "documentTypes", field)
    return mandate


def _statement_of(text: bytes) -> RequestStatement:
    """Raises InvalidArgument."""
    field = "delegation.statement.text"
    try:
        statement = RequestStatement.parse(text)
    except TextError as error:
        raise InvalidArgument(field, str(error)) from None
    check_name(statement.request, "serviceRequests", field)
    check_name(statement.applicant, "subjects", field)
    for each in statement.evidence:
        check_name(each.document_type, "documentTypes", field)
        check_purpose(each.purpose, field)
    return statement
