"""Requests from the draft to the end, as people, officers and auditors see them."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from qagazsyz.requests.v1 import service_requests_pb2 as pb
from services.requests.model.service_requests import Ground
from services.requests.model.statements import appeal_decision
from services.runtime.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    QuotaExceeded,
)
from services.runtime.server import Call
from tests.unit.requests.world import ADDRESS, CERTIFICATE, World

LAW = pb.LegalGround(act="Law of 15 April 2013 No. 88-V", article="19-1")


async def refused(act: Awaitable[object]) -> str:
    """The reason for which an act is refused."""
    with pytest.raises(FailedPrecondition) as refusal:
        await act
    return refusal.value.reason


async def get(world: World, name: str, as_: Call | None = None) -> pb.ServiceRequest:
    return await world.parts.service_requests.GetServiceRequest(
        pb.GetServiceRequestRequest(name=name), as_ or world.citizen()
    )


async def accept(world: World, name: str, etag: str = "") -> pb.ServiceRequest:
    request = pb.AcceptServiceRequestRequest(name=name, etag=etag)
    return await world.parts.service_requests.AcceptServiceRequest(request, world.as_officer())


async def announce(world: World, name: str, **changes: Any) -> pb.ServiceRequest:
    refusal = pb.Refusal(grounds=[LAW], text="Not registered")
    refusal.hearing_time.FromDatetime(world.clock() + timedelta(days=changes.pop("days", 7)))
    return await world.parts.service_requests.AnnounceRefusal(
        pb.AnnounceRefusalRequest(name=name, refusal=refusal, **changes), world.as_officer()
    )


async def refuse(world: World, hearing: pb.ServiceRequest, **changes: Any) -> pb.ServiceRequest:
    signature = world.sign(world.officer, hearing.refusal_statement)
    return await world.parts.service_requests.RefuseServiceRequest(
        pb.RefuseServiceRequestRequest(name=hearing.name, signature=signature, **changes),
        world.as_officer(),
    )


async def appeal(world: World, name: str) -> pb.ServiceRequest:
    return await world.parts.service_requests.AppealServiceRequest(
        pb.AppealServiceRequestRequest(name=name, text="I am registered"), world.citizen()
    )


async def decide(world: World, name: str, officer: str, *, upheld: bool) -> pb.ServiceRequest:
    text = appeal_decision(name, [Ground(LAW.act, LAW.article)], is_upheld=upheld).decode()
    return await world.parts.service_requests.DecideAppeal(
        pb.DecideAppealRequest(
            name=name, upheld=upheld, grounds=[LAW], signature=world.sign(officer, text)
        ),
        world.as_officer(officer, world.appeal_body),
    )


async def complete(world: World, name: str, document: str) -> pb.ServiceRequest:
    world.platform.documents[world.person, CERTIFICATE] = "documents/output"
    return await world.parts.service_requests.CompleteServiceRequest(
        pb.CompleteServiceRequestRequest(name=name, document=document), world.as_officer()
    )


# --- Submission -----------------------------------------------------------------------------------


async def test_what_a_rule_decides_is_issued_at_once_and_told_to_the_log(world: World) -> None:
    issued = await world.submitted(await world.offered(world.by_rule()))
    assert issued.state == pb.SERVICE_REQUEST_STATE_ISSUED
    assert issued.output == world.platform.outputs[issued.name]
    (evidence,) = issued.evidence
    assert (evidence.document_type, evidence.document) == (ADDRESS, "documents/address")
    assert evidence.source == pb.EVIDENCE_SOURCE_LOOKED_UP
    assert [event.state for event in issued.events] == [
        pb.SERVICE_REQUEST_STATE_DRAFT,
        pb.SERVICE_REQUEST_STATE_SUBMITTED,
        pb.SERVICE_REQUEST_STATE_ISSUED,
    ]
    assert {event.log_index for event in issued.events} == {-1}
    assert await world.parts.telling.tell() == 3
    assert [event.log_index for event in (await get(world, issued.name)).events] == [0, 1, 2]
    assert await world.parts.telling.tell() == 0


async def test_what_cannot_be_sealed_now_goes_on_by_itself(world: World) -> None:
    service = await world.offered(world.by_rule())
    draft = await world.draft(service)
    world.has_address()
    world.platform.cannot_seal = True
    assert (await world.submit(draft)).state == pb.SERVICE_REQUEST_STATE_SUBMITTED
    await world.parts.submission.issue_waiting()
    assert (await get(world, draft.name)).state == pb.SERVICE_REQUEST_STATE_SUBMITTED
    world.platform.cannot_seal = False
    await world.parts.submission.issue_waiting()
    assert (await get(world, draft.name)).state == pb.SERVICE_REQUEST_STATE_ISSUED


async def test_required_evidence_that_is_missing_leaves_the_draft(world: World) -> None:
    draft = await world.draft(await world.offered())
    assert await refused(world.submit(draft)) == "MISSING_EVIDENCE"
    assert (await get(world, draft.name)).state == pb.SERVICE_REQUEST_STATE_DRAFT
    world.has_address()
    assert (await world.submit(draft)).state == pb.SERVICE_REQUEST_STATE_SUBMITTED


async def test_only_the_applicants_signature_over_the_statement_submits(world: World) -> None:
    world.has_address()
    draft = await world.draft(await world.offered())
    submit = world.parts.service_requests.SubmitServiceRequest
    other = world.platform.person()
    for signer, text in ((other, draft.statement), (world.person, draft.statement + " ")):
        signature = world.sign(signer, text)
        with pytest.raises(InvalidArgument, match="signature"):
            await submit(
                pb.SubmitServiceRequestRequest(name=draft.name, signature=signature),
                world.citizen(),
            )
    with pytest.raises(InvalidArgument, match="signature"):
        await submit(
            pb.SubmitServiceRequestRequest(name=draft.name, mobile_signature="mobileSignatures/x"),
            world.citizen(),
        )
    with pytest.raises(PermissionDenied):
        signature = world.sign(other, draft.statement)
        await submit(
            pb.SubmitServiceRequestRequest(name=draft.name, signature=signature),
            world.citizen(other),
        )
    assert world.platform.looked_up == []


async def test_a_statement_is_of_one_version_and_lasts_a_week(world: World) -> None:
    world.has_address()
    service = await world.offered()
    draft = await world.draft(service)
    world.clock.move(days=7)
    assert await refused(world.submit(draft)) == "STATEMENT_EXPIRED"
    assert await world.parts.lapsing.lapse() == 1
    assert (await get(world, draft.name)).state == pb.SERVICE_REQUEST_STATE_LAPSED


async def test_a_request_is_made_once_for_a_request_id_and_keeps_its_form(world: World) -> None:
    service = await world.offered()
    request = pb.CreateServiceRequestRequest(
        service_request=pb.ServiceRequest(public_service=service.name, form='{"floor":3}'),
        request_id="0190a1b2-0000-7000-8000-000000000000",
    )
    create = world.parts.service_requests.CreateServiceRequest
    first = await create(request, world.citizen())
    assert first.form == '{"floor":3}'
    assert await create(request, world.citizen()) == first
    for form in ("[]", "{", '{"a":1,"a":2}', "NaN"):
        request = pb.CreateServiceRequestRequest(
            service_request=pb.ServiceRequest(public_service=service.name, form=form)
        )
        with pytest.raises(InvalidArgument, match="form"):
            await create(request, world.citizen())
    with pytest.raises(QuotaExceeded):
        for _ in range(20):
            await world.draft(service)


# --- Officers -------------------------------------------------------------------------------------


async def test_an_officer_decides_on_what_they_saw(world: World) -> None:
    submitted = await world.submitted()
    accepted = await accept(world, submitted.name, submitted.etag)
    with pytest.raises(Aborted):
        await announce(world, submitted.name, etag=submitted.etag)
    assert await refused(complete(world, submitted.name, "documents/another")) == "NOT_THE_OUTPUT"
    assert (await get(world, submitted.name)).etag == accepted.etag
    issued = await complete(world, submitted.name, "documents/output")
    assert (issued.state, issued.output) == (pb.SERVICE_REQUEST_STATE_ISSUED, "documents/output")
    assert await refused(accept(world, submitted.name)) == "WRONG_STATE"


async def test_nobody_else_acts_or_reads(world: World) -> None:
    draft = await world.draft(await world.offered())
    # A draft is nobody else's.
    with pytest.raises(PermissionDenied):
        await get(world, draft.name, world.as_officer())
    world.has_address()
    await world.submit(draft)
    assert (await get(world, draft.name, world.as_officer())).name == draft.name
    strangers = (
        world.citizen(world.platform.person()),
        world.as_officer(organization=world.appeal_body),
        world.operator(),
    )
    for stranger in strangers:
        with pytest.raises(PermissionDenied):
            await get(world, draft.name, stranger)
        with pytest.raises(PermissionDenied):
            await world.parts.service_requests.WithdrawServiceRequest(
                pb.WithdrawServiceRequestRequest(name=draft.name), stranger
            )
    # Nobody decides in their own cause.
    with pytest.raises(PermissionDenied):
        await world.parts.service_requests.AcceptServiceRequest(
            pb.AcceptServiceRequestRequest(name=draft.name), world.as_officer(world.person)
        )
    with pytest.raises(PermissionDenied):
        await get(world, "serviceRequests/unknown")


async def test_lists_are_of_ones_own(world: World) -> None:
    service = await world.offered()
    mine = await world.submitted(service)
    other = world.platform.person()
    await world.draft(service, other)

    async def listed(as_: Call, **fields: Any) -> list[str]:
        answer = await world.parts.service_requests.ListServiceRequests(
            pb.ListServiceRequestsRequest(**fields), as_
        )
        return [each.name for each in answer.service_requests]

    assert await listed(world.citizen()) == [mine.name]
    assert await listed(world.as_officer()) == [mine.name]
    assert await listed(world.as_officer(organization=world.appeal_body)) == []
    assert len(await listed(world.auditor())) == 2
    assert await listed(world.auditor(), state=pb.SERVICE_REQUEST_STATE_ISSUED) == []
    assert await listed(world.auditor(), public_service="publicServices/other") == []


async def test_a_question_stops_the_clock_and_auditors_read_no_texts(world: World) -> None:
    request = await world.in_progress()
    # Three working days after Friday the 6th, to the end of the day in Almaty.
    assert request.due_time.ToJsonString() == "2026-11-11T19:00:00Z"
    asked = await world.parts.service_requests.AskApplicant(
        pb.AskApplicantRequest(name=request.name, question="Which flat?"), world.as_officer()
    )
    assert asked.question == "Which flat?"
    world.clock.move(days=4)
    assert (await get(world, request.name)).due_time.ToJsonString() == "2026-11-13T19:00:00Z"
    answered = await world.parts.service_requests.AnswerQuestion(
        pb.AnswerQuestionRequest(name=request.name, answer="The second"), world.citizen()
    )
    assert answered.state == pb.SERVICE_REQUEST_STATE_IN_PROGRESS
    world.clock.move(days=30)
    answered = await get(world, request.name)
    assert answered.due_time.ToJsonString() == "2026-11-13T19:00:00Z"
    assert "Which flat?" in [event.text for event in answered.events]
    seen = await get(world, request.name, world.auditor())
    assert not seen.statement
    assert {event.text for event in seen.events} == {""}


async def test_a_question_that_nobody_answers_lapses(world: World) -> None:
    request = await world.in_progress()
    await world.parts.service_requests.AskApplicant(
        pb.AskApplicantRequest(name=request.name, question="Which flat?"), world.as_officer()
    )
    world.clock.move(days=29)
    assert await world.parts.lapsing.lapse() == 0
    world.clock.move(days=1)
    assert (
        await refused(
            world.parts.service_requests.AnswerQuestion(
                pb.AnswerQuestionRequest(name=request.name, answer="Too late"), world.citizen()
            )
        )
        == "WRONG_STATE"
    )
    assert await world.parts.lapsing.lapse() == 1
    assert (await get(world, request.name)).state == pb.SERVICE_REQUEST_STATE_LAPSED


async def test_at_the_office_an_officer_signs_and_papers_count(world: World) -> None:
    service = await world.offered(world.by_rule())
    create = world.parts.service_requests.CreateServiceRequest
    wanted = pb.ServiceRequest(public_service=service.name, applicant=world.person)
    draft = await create(pb.CreateServiceRequestRequest(service_request=wanted), world.as_officer())
    assert draft.state == pb.SERVICE_REQUEST_STATE_AWAITING_SIGNATURE
    assert draft.channel == pb.SERVICE_REQUEST_CHANNEL_OFFICE
    with pytest.raises(PermissionDenied):
        await world.submit(draft)
    record = world.parts.service_requests.RecordPaper
    with pytest.raises(InvalidArgument, match="does not ask"):
        await record(
            pb.RecordPaperRequest(name=draft.name, evidence=CERTIFICATE), world.as_officer()
        )
    await record(pb.RecordPaperRequest(name=draft.name, evidence=ADDRESS), world.as_officer())
    signature = world.sign(world.officer, draft.statement)
    submitted = await world.parts.service_requests.SubmitServiceRequestAtOffice(
        pb.SubmitServiceRequestAtOfficeRequest(name=draft.name, signature=signature),
        world.as_officer(),
    )
    # An officer has to read the paper.
    assert submitted.state == pb.SERVICE_REQUEST_STATE_SUBMITTED
    assert world.platform.looked_up == []
    await accept(world, draft.name)
    await complete(world, draft.name, "documents/output")
    handed = await record(pb.RecordPaperRequest(name=draft.name, output=True), world.as_officer())
    assert handed.output_on_paper
    world.clock.move(days=30)
    again = pb.RecordPaperRequest(name=draft.name, output=True)
    assert await refused(record(again, world.as_officer())) == "ALREADY_COUNTED"
    for applicant in ("", world.officer, world.provider, "subjects/unknown"):
        wanted = pb.ServiceRequest(public_service=service.name, applicant=applicant)
        with pytest.raises(InvalidArgument, match="applicant"):
            await create(pb.CreateServiceRequestRequest(service_request=wanted), world.as_officer())


# --- Refusal and appeal ---------------------------------------------------------------------------


async def test_a_refusal_is_announced_heard_signed_and_appealed(world: World) -> None:
    request = await world.in_progress()
    with pytest.raises(InvalidArgument, match="hearing_time"):
        await announce(world, request.name, days=4)
    hearing = await announce(world, request.name)
    objected = await world.parts.service_requests.StateObjection(
        pb.StateObjectionRequest(name=request.name, text="I moved"), world.citizen()
    )
    assert objected.state == pb.SERVICE_REQUEST_STATE_HEARING
    assert await refused(refuse(world, hearing)) == "HEARING_OPEN"
    world.clock.move(days=7)
    with pytest.raises(FailedPrecondition, match="hearing's time"):
        await world.parts.service_requests.StateObjection(
            pb.StateObjectionRequest(name=request.name, text="Late"), world.citizen()
        )
    hearing.refusal_statement += " "
    with pytest.raises(InvalidArgument, match="does not verify"):
        await refuse(world, hearing)
    hearing = await get(world, request.name, world.as_officer())
    ended = await refuse(world, hearing)
    assert ended.state == pb.SERVICE_REQUEST_STATE_REFUSED
    assert ended.refusal.grounds[0] == LAW
    await appeal(world, request.name)
    # Never by who refused, also where they are an officer of both.
    with pytest.raises(PermissionDenied):
        await decide(world, request.name, world.officer, upheld=True)
    upheld = await decide(world, request.name, world.platform.person(), upheld=True)
    assert upheld.state == pb.SERVICE_REQUEST_STATE_IN_PROGRESS
    assert not upheld.HasField("refusal")
    assert not upheld.HasField("end_time")
    assert (
        await complete(world, request.name, "documents/output")
    ).state == pb.SERVICE_REQUEST_STATE_ISSUED


async def test_a_dismissed_appeal_leaves_the_refusal_and_is_not_repeated(world: World) -> None:
    request = await world.in_progress()
    hearing = await announce(world, request.name)
    world.clock.move(days=7)
    refused_request = await refuse(world, hearing)
    world.clock.move(days=10)
    await appeal(world, request.name)
    dismissed = await decide(world, request.name, world.platform.person(), upheld=False)
    assert dismissed.state == pb.SERVICE_REQUEST_STATE_REFUSED
    assert dismissed.end_time == refused_request.end_time
    assert await refused(appeal(world, request.name)) == "ALREADY_APPEALED"


async def test_a_delay_is_appealed_once_it_is_one(world: World) -> None:
    request = await world.submitted()
    assert await refused(appeal(world, request.name)) == "NOT_OVERDUE"
    world.clock.move(days=6)
    assert (await appeal(world, request.name)).state == pb.SERVICE_REQUEST_STATE_UNDER_APPEAL
    with pytest.raises(PermissionDenied):
        await decide(world, request.name, world.person, upheld=True)
    decided = await decide(world, request.name, world.platform.person(), upheld=False)
    assert decided.state == pb.SERVICE_REQUEST_STATE_SUBMITTED


async def test_a_refusal_names_an_article(world: World) -> None:
    request = await world.in_progress()
    refusal = pb.Refusal(text="No")
    refusal.hearing_time.FromDatetime(world.clock() + timedelta(days=7))
    with pytest.raises(InvalidArgument, match="article"):
        await world.parts.service_requests.AnnounceRefusal(
            pb.AnnounceRefusalRequest(name=request.name, refusal=refusal), world.as_officer()
        )


# --- Offers ---------------------------------------------------------------------------------------


async def test_a_service_is_offered_once_a_person_and_year(world: World) -> None:
    service = await world.offered()

    async def offer(subject: str, as_: Call | None = None) -> pb.OfferServiceRequestResponse:
        return await world.parts.service_requests.OfferServiceRequest(
            pb.OfferServiceRequestRequest(public_service=service.name, subject=subject),
            as_ or world.as_officer(),
        )

    async def offers() -> list[pb.ServiceRequest]:
        answer = await world.parts.service_requests.ListServiceRequests(
            pb.ListServiceRequestsRequest(), world.auditor()
        )
        return list(answer.service_requests)

    assert await offer(world.person) == await offer(world.person)
    assert await offer("subjects/unknown") == await offer(world.provider)
    (offered,) = await offers()
    assert offered.state == pb.SERVICE_REQUEST_STATE_OFFERED
    with pytest.raises(PermissionDenied):
        await offer(world.person, world.as_officer(organization=world.appeal_body))
    declined = await world.parts.service_requests.DeclineServiceRequest(
        pb.DeclineServiceRequestRequest(name=offered.name), world.citizen()
    )
    assert declined.state == pb.SERVICE_REQUEST_STATE_DECLINED
    world.clock.move(days=60)
    await offer(world.person)
    newest, _ = await offers()
    world.has_address()
    signed = await world.submit(await get(world, newest.name))
    assert signed.channel == pb.SERVICE_REQUEST_CHANNEL_PROACTIVE
    assert signed.state == pb.SERVICE_REQUEST_STATE_SUBMITTED


async def test_what_the_log_could_not_be_told_is_told_later_and_in_order(world: World) -> None:
    first = await world.submitted()
    world.platform.is_away = True
    assert await world.parts.telling.tell() == 0
    world.platform.is_away = False
    await accept(world, first.name)
    assert await world.parts.telling.tell() == 3
    assert [number for _, number in world.platform.log] == [1, 2, 3]
