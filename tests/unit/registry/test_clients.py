"""What the registry asks of signing and identity, and how it asks for many callers at once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message

from qagazsyz.common.v1 import access_pb2, certificates_pb2, signatures_pb2
from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.signing.v1 import keys_pb2, verification_pb2
from services.registry.clients import (
    SUBJECT_LIFETIME_SECONDS,
    IdentityClient,
    SigningClient,
)
from services.registry.delegation.interface import PersonNames
from services.registry.delegation.verification import SignedDelegation
from services.registry.documents.interface import (
    Officer,
    SignedStatement,
    SubjectKind,
    VerificationStatus,
)
from services.runtime.clients import ServiceClient
from services.runtime.errors import FailedPrecondition, PermissionDenied
from services.runtime.server import Call

GOOD = certificates_pb2.CERTIFICATE_STATUS_GOOD
REVOKED = certificates_pb2.CERTIFICATE_STATUS_REVOKED
UNKNOWN = certificates_pb2.CERTIFICATE_STATUS_UNKNOWN


class FakePeer:
    """Answers by a function, and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.requests: list[Any] = []

    async def call(
        self, method: str, request: Message, response_type: type[Message], during: Call | None
    ) -> Message:
        self.requests.append(request)
        await asyncio.sleep(0)
        answer = self._answer(method, request)
        assert isinstance(answer, response_type)
        return answer


def peer(fake: FakePeer) -> ServiceClient:
    return cast("ServiceClient", fake)


# --- Signing -----------------------------------------------------------------


def item(certificate: bytes = b"certificate", statement: bytes = b"{}") -> SignedStatement:
    return SignedStatement(certificate, 2, b"signature", statement)


async def judged(verdict: int, status: int = GOOD, subject: str = "") -> Any:
    def answer(_method: str, _request: Message) -> verification_pb2.BatchVerifyResponse:
        return verification_pb2.BatchVerifyResponse(
            verdicts=[cast("Any", verdict)],
            signers=[
                verification_pb2.SignerResult(
                    certificate_status=cast("Any", status), subject=subject
                )
            ],
        )

    (found,) = await SigningClient(peer(FakePeer(answer))).verify([item()], None)
    return found


async def test_a_valid_signature_is_its_signers() -> None:
    found = await judged(signatures_pb2.VERDICT_VALID, subject="subjects/a")
    assert (found.status, found.signer) == (VerificationStatus.PASSED, "subjects/a")


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (signatures_pb2.VERDICT_INDETERMINATE, UNKNOWN),
        (signatures_pb2.VERDICT_UNTRUSTED_SIGNER, UNKNOWN),
    ],
)
async def test_an_undetermined_verdict_is_indeterminate(verdict: int, status: int) -> None:
    assert (await judged(verdict, status)).status is VerificationStatus.INDETERMINATE


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [
        (signatures_pb2.VERDICT_INVALID_SIGNATURE, GOOD, "invalid signature"),
        (signatures_pb2.VERDICT_UNSPECIFIED, GOOD, "unspecified"),
        (signatures_pb2.VERDICT_UNTRUSTED_SIGNER, REVOKED, "the certificate is revoked"),
    ],
)
async def test_everything_else_fails_and_says_why(verdict: int, status: int, reason: str) -> None:
    found = await judged(verdict, status, "subjects/a")
    assert found.status is VerificationStatus.FAILED
    assert found.reason == reason
    assert found.signer == ""


async def test_a_certificate_of_many_signatures_is_sent_once() -> None:
    def answer(
        _method: str, request: verification_pb2.BatchVerifyRequest
    ) -> verification_pb2.BatchVerifyResponse:
        assert request.trust_policy == verification_pb2.TRUST_POLICY_CERTIFICATE
        return verification_pb2.BatchVerifyResponse(
            verdicts=[signatures_pb2.VERDICT_VALID for _ in request.items],
            signers=[
                verification_pb2.SignerResult(subject=signer.certificate.decode())
                for signer in request.signers
            ],
        )

    fake = FakePeer(answer)
    found = await SigningClient(peer(fake)).verify(
        [item(b"a"), item(b"b"), item(b"a"), item(b"a")], None
    )
    assert [each.signer for each in found] == ["a", "b", "a", "a"]
    (request,) = fake.requests
    assert len(request.signers) == 2
    assert len(request.items) == 4


# --- Identity ----------------------------------------------------------------


def directory(fake: FakePeer, now: list[float]) -> IdentityClient:
    return IdentityClient(peer(fake), now=lambda: now[0])


def subjects(known: dict[str, str]) -> FakePeer:
    def answer(
        _method: str, request: subjects_pb2.BatchGetSubjectsRequest
    ) -> subjects_pb2.BatchGetSubjectsResponse:
        response = subjects_pb2.BatchGetSubjectsResponse()
        for name in request.names:
            subject = response.subjects.add(name=name if name in known else "")
            if known.get(name) == "person":
                subject.person.given_name = "Айгерім"
            elif name in known:
                subject.organization.display_name = "Банк"
        return response

    return FakePeer(answer)


async def test_subjects_are_found_with_their_kind() -> None:
    fake = subjects({"subjects/a": "person", "subjects/b": "organization"})
    found = await directory(fake, [0.0]).find_subjects(
        ["subjects/a", "subjects/b", "subjects/c", "subjects/a"], None
    )
    assert found == {
        "subjects/a": SubjectKind.PERSON,
        "subjects/b": SubjectKind.ORGANIZATION,
    }
    assert len(fake.requests) == 1


async def test_a_subject_is_cached_for_five_seconds() -> None:
    now = [0.0]
    fake = subjects({"subjects/a": "person"})
    asked = directory(fake, now)
    for moment, calls in ((0.0, 1), (4.9, 1), (SUBJECT_LIFETIME_SECONDS, 2)):
        now[0] = moment
        await asked.find_subjects(["subjects/a"], None)
        assert len(fake.requests) == calls


async def test_the_subject_used_least_recently_leaves_a_full_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.registry.clients.CACHED_SUBJECTS", 2)
    fake = subjects(dict.fromkeys(["subjects/a", "subjects/b", "subjects/c"], "person"))
    asked = directory(fake, [0.0])
    for name in ("subjects/a", "subjects/b", "subjects/a", "subjects/c", "subjects/a"):
        await asked.find_subjects([name], None)
    assert len(fake.requests) == 3
    await asked.find_subjects(["subjects/b"], None)
    assert len(fake.requests) == 4


async def test_a_missing_subject_is_asked_for_again() -> None:
    known: dict[str, str] = {}
    asked = directory(subjects(known), [0.0])
    assert await asked.find_subjects(["subjects/a"], None) == {}
    known["subjects/a"] = "person"
    assert await asked.find_subjects(["subjects/a"], None) == {"subjects/a": SubjectKind.PERSON}


async def test_officers_are_members_of_that_role() -> None:
    def answer(
        _method: str, request: subjects_pb2.BatchGetMembershipsRequest
    ) -> subjects_pb2.BatchGetMembershipsResponse:
        roles = {
            "subjects/o/memberships/a": access_pb2.ROLE_OFFICER,
            "subjects/o/memberships/b": access_pb2.ROLE_AUDITOR,
        }
        response = subjects_pb2.BatchGetMembershipsResponse()
        for name in request.names:
            response.memberships.add(name=name if name in roles else "", role=roles.get(name))
        return response

    fake = FakePeer(answer)
    asked = [Officer("subjects/o", f"subjects/{person}") for person in "abc"]
    found = await directory(fake, [0.0]).find_officers([*asked, *asked], None)
    assert found == {Officer("subjects/o", "subjects/a")}
    assert len(fake.requests[0].names) == 3
    assert await directory(fake, [0.0]).find_officers([], None) == frozenset()


async def test_organizations_are_those_that_a_person_serves_or_served() -> None:
    states = subjects_pb2.MembershipState
    memberships = {
        "subjects/a": [
            ("subjects/o", access_pb2.ROLE_OFFICER, states.MEMBERSHIP_STATE_ACTIVE),
            ("subjects/p", access_pb2.ROLE_OFFICER, states.MEMBERSHIP_STATE_ENDED),
            ("subjects/q", access_pb2.ROLE_OFFICER, states.MEMBERSHIP_STATE_PENDING),
            ("subjects/platform", access_pb2.ROLE_AUDITOR, states.MEMBERSHIP_STATE_ACTIVE),
        ]
    }

    def answer(
        _method: str, request: subjects_pb2.BatchListMembershipsRequest
    ) -> subjects_pb2.BatchListMembershipsResponse:
        response = subjects_pb2.BatchListMembershipsResponse()
        for person in request.people:
            each = response.people.add()
            for organization, role, state in memberships.get(person, []):
                each.memberships.add(name=f"{organization}/memberships/a", role=role, state=state)
        return response

    fake = FakePeer(answer)
    found = await directory(fake, [0.0]).find_organizations(
        ["subjects/a", "subjects/b", "subjects/a"], None
    )
    assert found == {
        "subjects/a": {"subjects/o", "subjects/p"},
        "subjects/b": frozenset(),
    }
    assert list(fake.requests[0].people) == ["subjects/a", "subjects/b"]


async def test_identity_says_who_may_be_the_second_operator() -> None:
    def answer(
        _method: str, request: subjects_pb2.CheckSecondOperatorRequest
    ) -> subjects_pb2.CheckSecondOperatorResponse:
        return subjects_pb2.CheckSecondOperatorResponse(
            existed=True, may_approve=request.approver_certificate == "ab"
        )

    asked = directory(FakePeer(answer), [0.0])
    assert await asked.second_existed(None)
    assert await asked.may_approve("subjects/a", "subjects/b", "ab", None)
    assert not await asked.may_approve("subjects/a", "subjects/b", "cd", None)


# --- Acts on behalf ----------------------------------------------------------


def refused(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


DELEGATION = SignedDelegation(item(statement=b"mandate"), item(statement=b"statement"))


async def test_signing_gets_both_texts_with_what_it_is_to_seal() -> None:
    def answer(
        method: str, request: keys_pb2.SignStatementRequest
    ) -> keys_pb2.SignStatementResponse:
        assert method.endswith("KeyService/SignStatement")
        assert request.statement == b"{}"
        assert request.delegation.mandate.text == b"mandate"
        assert request.delegation.statement.text == b"statement"
        assert request.delegation.statement.certificate == b"certificate"
        return keys_pb2.SignStatementResponse(
            signature=b"seal", algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519
        )

    seal = await SigningClient(peer(FakePeer(answer))).seal(b"{}", DELEGATION, None)
    assert (seal.signature, seal.algorithm) == (
        b"seal",
        signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.FAILED_PRECONDITION, FailedPrecondition),
    ],
)
async def test_a_refusal_of_signing_is_the_callers(
    code: grpc.StatusCode, error: type[Exception]
) -> None:
    def answer(_method: str, _request: Message) -> Message:
        raise refused(code)

    with pytest.raises(error):
        await SigningClient(peer(FakePeer(answer))).seal(b"{}", DELEGATION, None)


async def test_people_are_known_by_their_names_and_numbers() -> None:
    people = {
        "subjects/a": subjects_pb2.Subject(
            name="subjects/a",
            person=subjects_pb2.Person(family_name="Serik", given_name="Aigerim"),
        ),
        "subjects/o": subjects_pb2.Subject(
            name="subjects/o", organization=subjects_pb2.Organization(bin="1")
        ),
    }
    numbers = {"900101300015": "subjects/a", "061211600012": "subjects/o"}

    def answer(method: str, request: Any) -> Message:
        if method.endswith("ResolveSubjects"):
            return subjects_pb2.ResolveSubjectsResponse(
                subjects=[numbers.get(each, "") for each in request.numbers]
            )
        return subjects_pb2.BatchGetSubjectsResponse(
            subjects=[people.get(name, subjects_pb2.Subject()) for name in request.names]
        )

    asked = directory(FakePeer(answer), [0.0])
    assert await asked.find_names("subjects/a", None) == PersonNames("Serik", "Aigerim", "")
    assert await asked.find_names("subjects/o", None) is None
    assert await asked.find_names("subjects/none", None) is None
    assert await asked.find_by_iin("900101300015", None) == "subjects/a"
    assert await asked.find_by_iin("061211600012", None) == ""
    assert await asked.find_by_iin("850505300018", None) == ""
