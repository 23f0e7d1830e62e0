"""What the registry asks of the other services: do signatures hold, who exists, who is an officer.

Both are small protocols, filled here by calls and in tests by fakes. Calls of
many documents and of many callers are gathered (gathering.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, cast

from qagazsyz.common.v1 import certificates_pb2, signatures_pb2
from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.signing.v1 import verification_pb2
from services.runtime.access import Role
from services.runtime.clients import ServiceClient
from services.runtime.concurrency.batching import RequestBatcher
from services.runtime.server import Call

SUBJECTS = "qagazsyz.identity.v1.SubjectService"
VERIFICATION = "qagazsyz.signing.v1.VerificationService"

# subjects.proto and verification.proto: what one call may carry.
NAMES_LIMIT = 1_000
ITEMS_LIMIT = 10_000
# Calls of one kind under way at once.
FLIGHTS = 4
# subjects.proto, BatchGetSubjects: "reusable for at most five seconds".
SUBJECT_LIFETIME_SECONDS = 5.0
# A name and a time each: a few megabytes.
SUBJECTS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A signature that is to be verified, and what it should be over."""

    certificate: bytes
    algorithm: int
    signature: bytes
    statement: bytes


class Verdict(Enum):
    """What the registry makes of an answer."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    # It could not be found out now. Never read as either of the others.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a signature may be accepted; if so whose it is, if not why not."""

    verdict: Verdict
    # Empty where the certificate is trusted and binds nobody whom the platform knows.
    signer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Officer:
    """A person, and the organization that they act for or claim to."""

    organization: str
    person: str


class SubjectKind(Enum):
    PERSON = "person"
    ORGANIZATION = "organization"


class Verifier(Protocol):
    """Judges signatures and their signers' certificates."""

    async def verify(
        self, items: Sequence[SignedStatement], during: Call | None
    ) -> list[Judgement]:
        """A judgement for each item, in order. Raises Unavailable or DeadlineExceeded."""
        ...


class Directory(Protocol):
    """Knows who exists and who acts for whom."""

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        """Those of the names that exist. Raises Unavailable or DeadlineExceeded."""
        ...

    async def find_officers(
        self, people: Collection[Officer], during: Call | None
    ) -> frozenset[Officer]:
        """Those of the people who are the organization's officers. Raises as above."""
        ...


class SigningService:
    """The verifier that signing is."""

    def __init__(self, signing: ServiceClient) -> None:
        self._signing = signing
        self._gathering: RequestBatcher[SignedStatement, Judgement] = RequestBatcher(
            self._ask, limit=ITEMS_LIMIT, max_concurrent=FLIGHTS
        )

    async def verify(
        self, items: Sequence[SignedStatement], during: Call | None
    ) -> list[Judgement]:
        return await self._gathering.ask(items, during)

    async def _ask(self, items: Sequence[SignedStatement], during: Call | None) -> list[Judgement]:
        request = verification_pb2.BatchVerifyRequest(
            trust_policy=verification_pb2.TrustPolicy.TRUST_POLICY_CERTIFICATE
        )
        # An issuer signs a whole batch with one certificate: it is sent, and judged, once.
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
            _judge(verdict, response.signers[entry.signer])
            for verdict, entry in zip(response.verdicts, request.items, strict=True)
        ]


class IdentityService:
    """The directory that identity is."""

    def __init__(self, identity: ServiceClient, now: Callable[[], float] = time.monotonic) -> None:
        self._identity = identity
        self._now = now
        self._known: dict[str, tuple[SubjectKind, float]] = {}
        self._subjects: RequestBatcher[str, SubjectKind | None] = RequestBatcher(
            self._ask_subjects, limit=NAMES_LIMIT, max_concurrent=FLIGHTS
        )
        self._memberships: RequestBatcher[str, bool] = RequestBatcher(
            self._ask_memberships, limit=NAMES_LIMIT, max_concurrent=FLIGHTS
        )

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        now = self._now()
        found: dict[str, SubjectKind] = {}
        unknown: list[str] = []
        for name in dict.fromkeys(names):
            kind, until = self._known.get(name, (None, 0.0))
            if kind is not None and now < until:
                found[name] = kind
            else:
                unknown.append(name)
        for name, answer in zip(unknown, await self._subjects.ask(unknown, during), strict=True):
            if answer is not None:
                found[name] = answer
        return found

    async def find_officers(
        self, people: Collection[Officer], during: Call | None
    ) -> frozenset[Officer]:
        ordered = list(dict.fromkeys(people))
        names = [
            f"{each.organization}/memberships/{each.person.removeprefix('subjects/')}"
            for each in ordered
        ]
        answers = await self._memberships.ask(names, during)
        return frozenset(
            each for each, is_officer in zip(ordered, answers, strict=True) if is_officer
        )

    async def _ask_subjects(
        self, names: Sequence[str], during: Call | None
    ) -> list[SubjectKind | None]:
        # What is answered may be as old as the question.
        until = self._now() + SUBJECT_LIFETIME_SECONDS
        response = await self._identity.call(
            f"{SUBJECTS}/BatchGetSubjects",
            subjects_pb2.BatchGetSubjectsRequest(names=names),
            subjects_pb2.BatchGetSubjectsResponse,
            during,
        )
        kinds = [_kind(subject) for subject in response.subjects]
        if len(self._known) + len(names) > SUBJECTS_KEPT:
            self._known.clear()
        for name, kind in zip(names, kinds, strict=True):
            # That somebody does not exist is not kept: they may have been enrolled by now.
            if kind is not None:
                self._known[name] = (kind, until)
        return kinds

    async def _ask_memberships(self, names: Sequence[str], during: Call | None) -> list[bool]:
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


def _judge(verdict: int, signer: verification_pb2.SignerResult) -> Judgement:
    verdicts = signatures_pb2.Verdict
    statuses = certificates_pb2.CertificateStatus
    if verdict == verdicts.VERDICT_VALID:
        return Judgement(Verdict.ACCEPTED, signer=signer.subject)
    if verdict == verdicts.VERDICT_INDETERMINATE:
        return Judgement(Verdict.UNKNOWN)
    if verdict == verdicts.VERDICT_UNTRUSTED_SIGNER:
        if signer.certificate_status == statuses.CERTIFICATE_STATUS_UNKNOWN:
            return Judgement(Verdict.UNKNOWN)
        status = _word(statuses.Name, signer.certificate_status, "CERTIFICATE_STATUS_")
        return Judgement(Verdict.REFUSED, reason=f"the certificate is {status}")
    return Judgement(Verdict.REFUSED, reason=_word(verdicts.Name, verdict, "VERDICT_"))


def _word(name: Callable[..., str], number: int, prefix: str) -> str:
    """An enum's value in words: "invalid signature"."""
    return name(number).removeprefix(prefix).lower().replace("_", " ")


def _kind(subject: subjects_pb2.Subject) -> SubjectKind | None:
    if not subject.name:
        return None
    is_person = subject.WhichOneof("kind") == "person"
    return SubjectKind.PERSON if is_person else SubjectKind.ORGANIZATION
