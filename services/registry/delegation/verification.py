"""The check of what was signed, before the registry acts on behalf of somebody.

Whoever calls is believed nothing: each text is parsed and its signature verified by signing, the
signers' roles come from identity, and the mandate must not have been ended. docs/on-behalf.md lists
the rules; those of the texts alone are in qagazsyz.request_texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from qagazsyz.canonical_texts import TextError
from qagazsyz.request_texts import Mandate, RequestStatement, check_delegation, may_sign
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
from services.runtime.errors import PermissionDenied, Unavailable
from services.runtime.intake.signed_texts import parse_text
from services.runtime.server import Call
from services.runtime.storage.database import Database


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
        try:
            check_delegation(mandate, statement, platform=self._platform, now=self._clock())
        except TextError:
            raise PermissionDenied from None
        async with self._database.reading() as connection:
            await store.check_not_ended(connection, mandate)
        approver, applicant = await self.signers([signed.mandate, signed.statement], during)
        officers = await self._officers(mandate.provider, {approver, applicant}, during)
        if approver not in officers or not may_sign(statement, applicant, officers):
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

    async def _officers(
        self, provider: str, people: Collection[str], during: Call | None
    ) -> set[str]:
        """Return those of the people who are officers of the provider now."""
        asked = {Officer(provider, person) for person in people}
        return {each.person for each in await self._directory.find_officers(asked, during)}


def _mandate_of(text: bytes) -> Mandate:
    """Raises InvalidArgument."""
    field = "delegation.mandate.text"
    mandate = parse_text(Mandate.parse, text, field)
    check_name(mandate.provider, "subjects", field)
    check_name(mandate.public_service, "publicServices", field)
    check_name(mandate.output, "documentTypes", field)
    return mandate


def _statement_of(text: bytes) -> RequestStatement:
    """Raises InvalidArgument."""
    field = "delegation.statement.text"
    statement = parse_text(RequestStatement.parse, text, field)
    check_name(statement.request, "serviceRequests", field)
    check_name(statement.applicant, "subjects", field)
    for each in statement.evidence:
        check_name(each.document_type, "documentTypes", field)
        check_purpose(each.purpose, field)
    return statement
