"""The check of a batch's signatures: all verified in one call, all subjects asked for in another.

Signing answers whether a signature and its certificate are valid; this module decides whether the
issuer, by its seal or an officer, is among the signers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

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
from services.registry.model.documents import Signature
from services.runtime.errors import DomainError, InvalidArgument, Unavailable
from services.runtime.server import Call


class SignatureCheck:
    """Checks the signatures and subjects of registrations, a whole batch at once."""

    def __init__(self, verifier: Verifier, directory: Directory) -> None:
        self._verifier = verifier
        self._directory = directory

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
                        each.statement,
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
        officers = await self._directory.find_officers(claimed, during)
        return [
            _validation_error(registration, own, subjects, officers)
            or _with_signers(registration.signatures, own)
            for registration, own in zip(registrations, results, strict=True)
        ]


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
        Signature(each.certificate, each.algorithm, each.signature, result.signer)
        for each, result in zip(signatures, results, strict=True)
    )
