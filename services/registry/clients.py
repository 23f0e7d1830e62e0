"""Signing and identity as the registry calls them: the Verifier, and the Directory.

Requests of many documents and of many callers go out together (batching.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import cast

import grpc
from cachetools import LRUCache

from qagazsyz.common.v1 import certificates_pb2, signatures_pb2
from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.signing.v1 import keys_pb2, verification_pb2
from services.registry.delegation.interface import PersonNames, Seal
from services.registry.delegation.verification import SignedDelegation
from services.registry.documents.interface import (
    Officer,
    SignedStatement,
    SubjectKind,
    VerificationResult,
    VerificationStatus,
)
from services.runtime.access import Role
from services.runtime.clients import ServiceClient
from services.runtime.concurrency.batching import RequestBatcher
from services.runtime.errors import FailedPrecondition, PermissionDenied
from services.runtime.server import Call

SUBJECTS = "qagazsyz.identity.v1.SubjectService"
KEYS = "qagazsyz.signing.v1.KeyService"
VERIFICATION = "qagazsyz.signing.v1.VerificationService"

# subjects.proto and verification.proto: what one call may carry.
NAMES_LIMIT = 1_000
ITEMS_LIMIT = 10_000
# Calls of one kind in flight at once.
MAX_CONCURRENT = 4
# subjects.proto, BatchGetSubjects: "reusable for at most five seconds".
SUBJECT_LIFETIME_SECONDS = 5.0
# A name and a time each: a few megabytes.
CACHED_SUBJECTS = 20_000


class SigningClient:
    """Verifies by signing's BatchVerify."""

    def __init__(self, signing: ServiceClient) -> None:
        self._signing = signing
        self._batcher: RequestBatcher[SignedStatement, VerificationResult] = RequestBatcher(
            self._batch_verify,
            limit=ITEMS_LIMIT,
            max_concurrent=MAX_CONCURRENT,
            failed=lambda _error: VerificationResult(VerificationStatus.INDETERMINATE),
        )

    async def verify(
        self, items: Sequence[SignedStatement], during: Call | None
    ) -> list[VerificationResult]:
        """Return a result for each item, in order. Raises Unavailable or DeadlineExceeded."""
        return await self._batcher.ask(items, during)

    async def seal(self, statement: bytes, signed: SignedDelegation, during: Call | None) -> Seal:
        """Return the provider's seal over a document's statement. Raises PermissionDenied,
        FailedPrecondition, Unavailable or DeadlineExceeded."""
        request = keys_pb2.SignStatementRequest(
            statement=statement,
            delegation=signatures_pb2.Delegation(
                mandate=_signed_text(signed.mandate), statement=_signed_text(signed.statement)
            ),
        )
        try:
            response = await self._signing.call(
                f"{KEYS}/SignStatement", request, keys_pb2.SignStatementResponse, during
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.PERMISSION_DENIED:
                raise PermissionDenied from None
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                raise FailedPrecondition(
                    "KEY_VERSION_DISABLED", "the provider's key cannot sign now"
                ) from None
            raise
        return Seal(response.signature, response.algorithm)

    async def _batch_verify(
        self, items: Sequence[SignedStatement], during: Call | None
    ) -> list[VerificationResult]:
        request = verification_pb2.BatchVerifyRequest(
            trust_policy=verification_pb2.TrustPolicy.TRUST_POLICY_CERTIFICATE
        )
        # An issuer signs a whole batch with one certificate: send it, and have it validated, once.
        signers: dict[bytes, int] = {}
        for item in items:
            index = signers.setdefault(item.certificate, len(signers))
            if index == len(request.signers):
                request.signers.add(certificate=item.certificate)
            request.items.add(
                signer=index,
                algorithm=cast("signatures_pb2.SignatureAlgorithm", item.algorithm),
                message=item.statement,
                signature=item.signature,
            )
        response = await self._signing.call(
            f"{VERIFICATION}/BatchVerify", request, verification_pb2.BatchVerifyResponse, during
        )
        return [
            _result_of(verdict, response.signers[entry.signer])
            for verdict, entry in zip(response.verdicts, request.items, strict=True)
        ]


class IdentityClient:
    """Finds subjects and officers by identity's batch methods. Subjects are cached (LRU)."""

    def __init__(self, identity: ServiceClient, now: Callable[[], float] = time.monotonic) -> None:
        self._identity = identity
        self._now = now
        # With the time until which each may be reused.
        self._subjects: LRUCache[str, tuple[SubjectKind, float]] = LRUCache(CACHED_SUBJECTS)
        self._subject_batcher: RequestBatcher[str, SubjectKind | None] = RequestBatcher(
            self._batch_get_subjects, limit=NAMES_LIMIT, max_concurrent=MAX_CONCURRENT
        )
        self._membership_batcher: RequestBatcher[str, bool] = RequestBatcher(
            self._batch_get_memberships, limit=NAMES_LIMIT, max_concurrent=MAX_CONCURRENT
        )
        self._organizations_batcher: RequestBatcher[str, frozenset[str]] = RequestBatcher(
            self._batch_list_memberships, limit=NAMES_LIMIT, max_concurrent=MAX_CONCURRENT
        )

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        """Return those of the names that exist. Raises Unavailable or DeadlineExceeded."""
        now = self._now()
        found: dict[str, SubjectKind] = {}
        missing: list[str] = []
        for name in dict.fromkeys(names):
            kind, until = self._subjects.get(name, (None, 0.0))
            if kind is not None and now < until:
                found[name] = kind
            else:
                missing.append(name)
        answers = await self._subject_batcher.ask(missing, during)
        for name, answer in zip(missing, answers, strict=True):
            if answer is not None:
                found[name] = answer
        return found

    async def find_officers(
        self, people: Collection[Officer], during: Call | None
    ) -> frozenset[Officer]:
        """Return those who are the organization's officers. Raises as find_subjects."""
        ordered = list(dict.fromkeys(people))
        names = [
            f"{each.organization}/memberships/{each.person.removeprefix('subjects/')}"
            for each in ordered
        ]
        answers = await self._membership_batcher.ask(names, during)
        return frozenset(
            each for each, is_officer in zip(ordered, answers, strict=True) if is_officer
        )

    async def find_organizations(
        self, people: Collection[str], during: Call | None
    ) -> Mapping[str, frozenset[str]]:
        """Return the organizations that each person is or was an officer of.

        Raises as find_subjects.
        """
        ordered = list(dict.fromkeys(people))
        answers = await self._organizations_batcher.ask(ordered, during)
        return dict(zip(ordered, answers, strict=True))

    async def find_names(self, subject: str, during: Call | None) -> PersonNames | None:
        """Return the person's names, None if there is no such person. Raises as find_subjects."""
        response = await self._identity.call(
            f"{SUBJECTS}/BatchGetSubjects",
            subjects_pb2.BatchGetSubjectsRequest(names=[subject]),
            subjects_pb2.BatchGetSubjectsResponse,
            during,
        )
        (found,) = response.subjects
        if not found.name or found.WhichOneof("kind") != "person":
            return None
        person = found.person
        return PersonNames(person.family_name, person.given_name, person.patronymic)

    async def find_by_iin(self, iin: str, during: Call | None) -> str:
        """Return the person with the IIN, "" if there is none. Raises as find_subjects."""
        response = await self._identity.call(
            f"{SUBJECTS}/ResolveSubjects",
            subjects_pb2.ResolveSubjectsRequest(numbers=[iin]),
            subjects_pb2.ResolveSubjectsResponse,
            during,
        )
        (subject,) = response.subjects
        if not subject:
            return ""
        kinds = await self.find_subjects([subject], during)
        return subject if kinds.get(subject) is SubjectKind.PERSON else ""

    async def second_existed(self, during: Call | None) -> bool:
        """Return whether the platform ever had a second operator.

        Raises Unavailable or DeadlineExceeded.
        """
        return (await self._check_second(subjects_pb2.CheckSecondOperatorRequest(), during)).existed

    async def may_approve(
        self, proposer: str, approver: str, certificate: str, during: Call | None
    ) -> bool:
        """Return whether the approver is a second operator, whom the proposer did not make.

        Raises as second_existed.
        """
        request = subjects_pb2.CheckSecondOperatorRequest(
            proposer=proposer, approver=approver, approver_certificate=certificate
        )
        return (await self._check_second(request, during)).may_approve

    async def _check_second(
        self, request: subjects_pb2.CheckSecondOperatorRequest, during: Call | None
    ) -> subjects_pb2.CheckSecondOperatorResponse:
        return await self._identity.call(
            f"{SUBJECTS}/CheckSecondOperator",
            request,
            subjects_pb2.CheckSecondOperatorResponse,
            during,
        )

    async def _batch_get_subjects(
        self, names: Sequence[str], during: Call | None
    ) -> list[SubjectKind | None]:
        # The answer may be as old as the request.
        until = self._now() + SUBJECT_LIFETIME_SECONDS
        response = await self._identity.call(
            f"{SUBJECTS}/BatchGetSubjects",
            subjects_pb2.BatchGetSubjectsRequest(names=names),
            subjects_pb2.BatchGetSubjectsResponse,
            during,
        )
        kinds = [_kind_of(subject) for subject in response.subjects]
        for name, kind in zip(names, kinds, strict=True):
            # A missing subject is not cached: it may be enrolled at any moment.
            if kind is not None:
                self._subjects[name] = (kind, until)
        return kinds

    async def _batch_get_memberships(self, names: Sequence[str], during: Call | None) -> list[bool]:
        response = await self._identity.call(
            f"{SUBJECTS}/BatchGetMemberships",
            subjects_pb2.BatchGetMembershipsRequest(names=names),
            subjects_pb2.BatchGetMembershipsResponse,
            during,
        )
        return [
            bool(membership.name) and membership.role == Role.ROLE_OFFICER
            for membership in response.memberships
        ]

    async def _batch_list_memberships(
        self, people: Sequence[str], during: Call | None
    ) -> list[frozenset[str]]:
        response = await self._identity.call(
            f"{SUBJECTS}/BatchListMemberships",
            subjects_pb2.BatchListMembershipsRequest(people=people),
            subjects_pb2.BatchListMembershipsResponse,
            during,
        )
        return [
            frozenset(
                membership.name.partition("/memberships/")[0]
                for membership in each.memberships
                if membership.role == Role.ROLE_OFFICER
                # One that was never approved gave no role.
                and membership.state != subjects_pb2.MEMBERSHIP_STATE_PENDING
            )
            for _, each in zip(people, response.people, strict=True)
        ]


def _signed_text(signed: SignedStatement) -> signatures_pb2.SignedText:
    return signatures_pb2.SignedText(
        text=signed.statement,
        certificate=signed.certificate,
        algorithm=cast("signatures_pb2.SignatureAlgorithm", signed.algorithm),
        signature=signed.signature,
    )


def _result_of(verdict: int, signer: verification_pb2.SignerResult) -> VerificationResult:
    verdicts = signatures_pb2.Verdict
    statuses = certificates_pb2.CertificateStatus
    if verdict == verdicts.VERDICT_VALID:
        return VerificationResult(VerificationStatus.PASSED, signer=signer.subject)
    if verdict == verdicts.VERDICT_INDETERMINATE:
        return VerificationResult(VerificationStatus.INDETERMINATE)
    if verdict == verdicts.VERDICT_UNTRUSTED_SIGNER:
        if signer.certificate_status == statuses.CERTIFICATE_STATUS_UNKNOWN:
            return VerificationResult(VerificationStatus.INDETERMINATE)
        status = _in_words(statuses.Name, signer.certificate_status, "CERTIFICATE_STATUS_")
        return VerificationResult(VerificationStatus.FAILED, reason=f"the certificate is {status}")
    reason = _in_words(verdicts.Name, verdict, "VERDICT_")
    return VerificationResult(VerificationStatus.FAILED, reason=reason)


def _in_words(name_of: Callable[..., str], number: int, prefix: str) -> str:
    """Return an enum's value in words: "invalid signature"."""
    return name_of(number).removeprefix(prefix).lower().replace("_", " ")


def _kind_of(subject: subjects_pb2.Subject) -> SubjectKind | None:
    """Return what the subject is, None for the empty message of one that does not exist."""
    if not subject.name:
        return None
    is_person = subject.WhichOneof("kind") == "person"
    return SubjectKind.PERSON if is_person else SubjectKind.ORGANIZATION
