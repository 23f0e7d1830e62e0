"""The check of a batch's signatures: all verified in one call, all subjects asked for in another.

Signing answers whether a signature and its certificate are valid; this module decides whether the
issuer, by its seal or an officer, is among the signers, and whether a signature over a statement
that does not name its issuer (version 1) can be meant for another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.registry.documents.interface import (
    Directory,
    Officer,
    SignedStatement,
    SubjectKind,
    VerificationResult,
    VerificationStatus,
    Verifier,
)
from services.registry.documents.requests import ParsedRegistration
from services.registry.documents.version_one_end import VersionOneEnd
from services.registry.model.documents import Signature
from services.registry.model.statements import StatementVersion, may_omit_issuer
from services.runtime.clock import Clock
from services.runtime.errors import DomainError, InvalidArgument, Unavailable
from services.runtime.server import Call


class SignatureCheck:
    """Checks the signatures and subjects of registrations, a whole batch at once."""

    def __init__(
        self,
        verifier: Verifier,
        directory: Directory,
        version_1_end: VersionOneEnd,
        clock: Clock,
    ) -> None:
        self._verifier = verifier
        self._directory = directory
        self._version_1_end = version_1_end
        self._clock = clock

    async def check(
        self, registrations: Sequence[ParsedRegistration], during: Call | None
    ) -> list[tuple[Signature, ...] | DomainError]:
        """Return each registration's signatures with their signers, or its error.

        Raises Unavailable or DeadlineExceeded for the whole batch.
        """
        if not registrations:
            return []
        verified, subjects = await asyncio.gather(
            self._verifier.verify(
                [
                    SignedStatement(
                        signature.certificate,
                        signature.algorithm,
                        signature.signature,
                        each.statements[signature.statement_version],
                    )
                    for each in registrations
                    for signature in each.signatures
                ],
                during,
            ),
            self._directory.find_subjects(
                {name for each in registrations for name in each.subjects}, during
            ),
        )
        rest = iter(verified)
        results = [[next(rest) for _ in each.signatures] for each in registrations]
        claimed = {
            Officer(registration.issuer, result.signer)
            for registration, own in zip(registrations, results, strict=True)
            for result in own
            if result.signer not in ("", registration.issuer)
        }
        officers, organizations = await asyncio.gather(
            self._directory.find_officers(claimed, during),
            self._find_organizations(registrations, results, during),
        )
        return [
            _validation_error(registration, own, subjects, officers)
            or self._version_error(registration, own, organizations)
            or _with_signers(registration.signatures, own)
            for registration, own in zip(registrations, results, strict=True)
        ]

    async def _find_organizations(
        self,
        registrations: Sequence[ParsedRegistration],
        results: Sequence[Sequence[VerificationResult]],
        during: Call | None,
    ) -> Mapping[str, frozenset[str]]:
        """Return the organizations of all who signed version 1: those that they are, or served."""
        signers = {
            result.signer
            for registration, own in zip(registrations, results, strict=True)
            for signature, result in zip(registration.signatures, own, strict=True)
            if signature.statement_version is StatementVersion.WITHOUT_ISSUER
            and result.signer not in ("", registration.issuer)
        }
        if not signers:
            return {}
        kinds, served = await asyncio.gather(
            self._directory.find_subjects(signers, during),
            self._directory.find_organizations(signers, during),
        )
        return {
            each: frozenset({each})
            if kinds.get(each) is SubjectKind.ORGANIZATION
            else served.get(each, frozenset())
            for each in signers
        }

    def _version_error(
        self,
        registration: ParsedRegistration,
        results: Sequence[VerificationResult],
        organizations: Mapping[str, frozenset[str]],
    ) -> DomainError | None:
        """Return why the version of a statement is not taken, or None."""
        pairs = zip(registration.signatures, results, strict=True)
        for index, (signature, result) in enumerate(pairs):
            if signature.statement_version is StatementVersion.WITH_ISSUER:
                continue
            field = f"signatures[{index}].statement_version"
            if self._clock() >= self._version_1_end.time:
                return InvalidArgument(field, "version 1 is no longer taken: sign version 2")
            served = organizations.get(result.signer, frozenset())
            if not may_omit_issuer(registration.issuer, result.signer, served):
                return InvalidArgument(
                    field, "the signer's statement has to name the issuer: sign version 2"
                )
        return None


def _validation_error(
    registration: ParsedRegistration,
    results: Sequence[VerificationResult],
    subjects: Mapping[str, SubjectKind],
    officers: frozenset[Officer],
) -> DomainError | None:
    """Return the first error of the registration's signatures or subjects, or None.

    results: of its own signatures, in order. officers: those of all issuers who signed.
    """
    for index, result in enumerate(results):
        if result.status is VerificationStatus.FAILED:
            return InvalidArgument(f"signatures[{index}]", result.reason)
    for index, subject in enumerate(registration.subjects):
        if subject not in subjects:
            return InvalidArgument(f"document.subjects[{index}]", "there is no such subject")
    if any(result.status is VerificationStatus.INDETERMINATE for result in results):
        return Unavailable("a signer's certificate cannot be validated now")
    if not any(
        result.signer == registration.issuer
        or Officer(registration.issuer, result.signer) in officers
        for result in results
    ):
        return InvalidArgument(
            "signatures", "no signature is by the issuer's seal or one of its officers"
        )
    return None


def _with_signers(
    signatures: Sequence[Signature], results: Sequence[VerificationResult]
) -> tuple[Signature, ...]:
    return tuple(
        replace(each, signer=result.signer)
        for each, result in zip(signatures, results, strict=True)
    )
