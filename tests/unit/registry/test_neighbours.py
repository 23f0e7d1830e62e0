"""What the registry asks of signing and identity, and how it asks for many callers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from google.protobuf.message import Message

from qagazsyz.common.v1 import access_pb2, certificates_pb2, signatures_pb2
from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.signing.v1 import verification_pb2
from services.registry.clients import (
    SUBJECT_LIFETIME_SECONDS,
    IdentityService,
    Officer,
    SignedStatement,
    SigningService,
    SubjectKind,
    Verdict,
)
from services.runtime.clients import Peer
from services.runtime.concurrency.batching import Gathering
from services.runtime.errors import Unavailable
from services.runtime.server import Call

GOOD = certificates_pb2.CERTIFICATE_STATUS_GOOD
FLIGHTS = 2
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


def peer(fake: FakePeer) -> Peer:
    return cast("Peer", fake)


class PatientCall:
    """A call with so many seconds left."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


# --- Gathering ---------------------------------------------------------------


class Asked:
    """Doubles numbers, once it is let; keeps each call's questions."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.during: list[Call | None] = []
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, questions: Sequence[int], during: Call | None) -> list[int]:
        self.calls.append(list(questions))
        self.during.append(during)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [2 * question for question in questions]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_question_alone_goes_out_at_once() -> None:
    asked = Asked()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS)
    asking = asyncio.create_task(gathering.ask([1, 2], None))
    await settle()
    assert asked.calls == [[1, 2]]
    asked.may_answer.set()
    assert await asking == [2, 4]


async def test_what_is_asked_meanwhile_goes_out_together() -> None:
    asked = Asked()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS)
    first = []
    for number in range(FLIGHTS):
        first.append(asyncio.create_task(gathering.ask([number], None)))
        await settle()
    later = [asyncio.create_task(gathering.ask([n], None)) for n in (7, 8, 9)]
    await settle()
    assert len(asked.calls) == FLIGHTS
    asked.may_answer.set()
    assert await asyncio.gather(*first) == [[2 * n] for n in range(FLIGHTS)]
    assert await asyncio.gather(*later) == [[14], [16], [18]]
    assert asked.calls[FLIGHTS:] == [[7, 8, 9]]


async def test_no_call_carries_more_than_it_may() -> None:
    asked = Asked()
    asked.may_answer.set()
    gathering = Gathering(asked, limit=3, flights=FLIGHTS)
    numbers = list(range(10))
    assert await gathering.ask(numbers, None) == [2 * number for number in numbers]
    assert all(len(call) <= 3 for call in asked.calls)
    assert await gathering.ask([], None) == []


async def test_fewer_than_are_worth_a_call_wait_for_the_one_under_way() -> None:
    asked = Asked()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS, worth=3)
    first = asyncio.create_task(gathering.ask([1], None))
    await settle()
    later = [asyncio.create_task(gathering.ask([n], None)) for n in (7, 8)]
    await settle()
    assert asked.calls == [[1]]
    later.append(asyncio.create_task(gathering.ask([9], None)))
    await settle()
    assert asked.calls == [[1], [7, 8, 9]]
    asked.may_answer.set()
    await asyncio.gather(first, *later)


async def test_those_just_answered_come_again_together_with_those_who_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.runtime.concurrency.batching.GATHER_SECONDS", 60.0)
    asked = Asked()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS, worth=3)
    one = asyncio.create_task(gathering.ask([1], None))
    await settle()
    other = asyncio.create_task(gathering.ask([2], None))
    await settle()
    asked.may_answer.set()
    await one
    await settle()
    assert asked.calls == [[1]]
    again = asyncio.create_task(gathering.ask([3], None))
    await asyncio.gather(other, again)
    assert asked.calls == [[1], [2, 3]]


async def test_who_does_not_come_again_is_not_waited_for_long() -> None:
    asked = Asked()
    asked.may_answer.set()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS, worth=3)
    await asyncio.gather(*(gathering.ask([n], None) for n in (1, 2)))
    assert await gathering.ask([3], None) == [6]
    assert await gathering.ask([4], None) == [8]
    assert asked.calls == [[1, 2], [3], [4]]


async def test_a_failed_call_fails_for_all_who_asked() -> None:
    asked = Asked()
    asked.error = Unavailable("down")
    asked.may_answer.set()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS)
    found = await asyncio.gather(
        gathering.ask([1], None), gathering.ask([2], None), return_exceptions=True
    )
    assert all(isinstance(each, Unavailable) for each in found)
    asked.error = None
    assert await gathering.ask([3], None) == [6]


async def test_a_caller_who_left_spoils_nothing_for_the_others() -> None:
    asked = Asked()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS)
    gone = asyncio.create_task(gathering.ask([1], None))
    stays = asyncio.create_task(gathering.ask([2], None))
    await settle()
    gone.cancel()
    await settle()
    asked.may_answer.set()
    assert await stays == [4]


async def test_a_shared_call_may_take_as_long_as_its_most_patient_caller() -> None:
    asked = Asked()
    asked.may_answer.set()
    gathering = Gathering(asked, limit=10, flights=FLIGHTS)
    short, long = (cast("Call", PatientCall(seconds)) for seconds in (1.0, 9.0))
    await asyncio.gather(gathering.ask([1], short), gathering.ask([2], long))
    assert asked.during == [long]


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

    (found,) = await SigningService(peer(FakePeer(answer))).verify([item()], None)
    return found


async def test_a_valid_signature_is_its_signers() -> None:
    found = await judged(signatures_pb2.VERDICT_VALID, subject="subjects/a")
    assert (found.verdict, found.signer) == (Verdict.ACCEPTED, "subjects/a")


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (signatures_pb2.VERDICT_INDETERMINATE, UNKNOWN),
        (signatures_pb2.VERDICT_UNTRUSTED_SIGNER, UNKNOWN),
    ],
)
async def test_what_could_not_be_found_out_is_neither(verdict: int, status: int) -> None:
    assert (await judged(verdict, status)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [
        (signatures_pb2.VERDICT_INVALID_SIGNATURE, GOOD, "invalid signature"),
        (signatures_pb2.VERDICT_UNSPECIFIED, GOOD, "unspecified"),
        (signatures_pb2.VERDICT_UNTRUSTED_SIGNER, REVOKED, "the certificate is revoked"),
    ],
)
async def test_everything_else_is_refused_and_says_why(
    verdict: int, status: int, reason: str
) -> None:
    found = await judged(verdict, status, "subjects/a")
    assert found.verdict is Verdict.REFUSED
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
    found = await SigningService(peer(fake)).verify(
        [item(b"a"), item(b"b"), item(b"a"), item(b"a")], None
    )
    assert [each.signer for each in found] == ["a", "b", "a", "a"]
    (request,) = fake.requests
    assert len(request.signers) == 2
    assert len(request.items) == 4


# --- Identity ----------------------------------------------------------------


def directory(fake: FakePeer, now: list[float]) -> IdentityService:
    return IdentityService(peer(fake), now=lambda: now[0])


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


async def test_who_exists_is_remembered_for_five_seconds() -> None:
    now = [0.0]
    fake = subjects({"subjects/a": "person"})
    asked = directory(fake, now)
    for moment, calls in ((0.0, 1), (4.9, 1), (SUBJECT_LIFETIME_SECONDS, 2)):
        now[0] = moment
        await asked.find_subjects(["subjects/a"], None)
        assert len(fake.requests) == calls


async def test_who_does_not_exist_is_asked_for_again() -> None:
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
