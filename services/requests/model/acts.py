"""What people, officers and time do to a request: each act returns the change that it makes.

All go by the table of transitions (states.py); what an act asks beyond the state stands here. Who
may act is authority.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.requests.model.resource_names import check_text
from services.requests.model.service_requests import (
    Change,
    CollectedEvidence,
    EvidenceSource,
    Ground,
    Proof,
    Refusal,
    ServiceRequest,
    due_day_after_wait,
)
from services.requests.model.states import (
    ENDED,
    Action,
    ServiceRequestState,
    state_after,
)
from services.requests.model.statistics_months import is_given_out, month_of
from services.requests.model.working_days import Calendar, end_of, local_day
from services.runtime.errors import Aborted, FailedPrecondition, InvalidArgument

State = ServiceRequestState

# How long a question waits for its answer.
ANSWER_WITHIN = timedelta(days=30)
# Administrative Procedural Code of Kazakhstan, article 73: three working days before the decision.
HEARING_WORKING_DAYS = 3
HEARING_AT_MOST = timedelta(days=60)
# The same, article 92: three months.
APPEAL_WITHIN = timedelta(days=90)
TEXT_LENGTH = 2_000
ACT_LENGTH, ARTICLE_LENGTH = 300, 100


def check_etag(request: ServiceRequest, etag: str) -> None:
    """Raise Aborted if a caller saw another revision; "" is not compared."""
    if etag and etag != request.etag:
        raise Aborted("the request changed since you read it")


def submit(
    request: ServiceRequest,
    proof: Proof,
    evidence: Sequence[CollectedEvidence],
    required: Sequence[str],
    now: datetime,
    calendar: Calendar,
) -> Change:
    """Submit with a signature over the statement, and the evidence that was found.

    required: the document types without which it cannot be. Raises FailedPrecondition.
    """
    check_statement_lasts(request, now)
    collected = (*request.evidence, *evidence)
    for document_type in required:
        if document_type not in {each.document_type for each in collected}:
            raise FailedPrecondition("MISSING_EVIDENCE", f"nothing was found of {document_type}")
    due_day = calendar.add(local_day(now), request.time_limit_days)
    return _move(
        request,
        Action.SUBMIT,
        now,
        proof=proof,
        evidence=collected,
        submit_time=now,
        due_day=due_day,
    )


def check_statement_lasts(request: ServiceRequest, now: datetime) -> None:
    """Raise FailedPrecondition if the statement can be signed no more."""
    state_after(request.state, Action.SUBMIT)
    if now >= request.statement_expire_time:
        raise FailedPrecondition("STATEMENT_EXPIRED", "the statement has expired: make a new draft")


def issue(request: ServiceRequest, document: str, now: datetime) -> Change:
    """End it by rule, with the document that the platform sealed."""
    change = _move(request, Action.ISSUE, now, output=document)
    if request.time_limit_days:
        raise FailedPrecondition("WRONG_STATE", "an officer decides this service")
    return change


def accept(request: ServiceRequest, now: datetime) -> Change:
    """Take it into work, or an announced refusal back."""
    return _move(request, Action.ACCEPT, now, refusal=None)


def ask(request: ServiceRequest, question: str, now: datetime) -> Change:
    """Ask the applicant something; the time limit stands still."""
    check_text(question, TEXT_LENGTH, "question")
    return _move(
        request,
        Action.ASK,
        now,
        text=question,
        question=question,
        wait_since=now,
        lapse_time=now + ANSWER_WITHIN,
    )


def answer(request: ServiceRequest, text: str, now: datetime, calendar: Calendar) -> Change:
    """Answer the open question; the time limit runs again."""
    check_text(text, TEXT_LENGTH, "answer")
    check_not_lapsed(request, now)
    waited = _wait_ended(request, now, calendar)
    return _move(request, Action.ANSWER, now, text=text, question="", **waited)


def check_not_lapsed(request: ServiceRequest, now: datetime) -> None:
    """Raise FailedPrecondition if the person let the time pass, even if that is not written yet."""
    if request.lapse_time is not None and now >= request.lapse_time:
        raise FailedPrecondition("WRONG_STATE", "the time for it has passed")


def complete(request: ServiceRequest, document: str, now: datetime) -> Change:
    """End it with a document, which the caller has checked."""
    return _move(request, Action.COMPLETE, now, output=document)


def check_grounds(grounds: Sequence[Ground], field: str) -> tuple[Ground, ...]:
    """Return the grounds. Raises InvalidArgument without an article of a law."""
    if not grounds:
        raise InvalidArgument(field, "an article of a law is needed")
    for index, ground in enumerate(grounds):
        check_text(ground.act, ACT_LENGTH, f"{field}[{index}].act")
        check_text(ground.article, ARTICLE_LENGTH, f"{field}[{index}].article")
    return tuple(grounds)


def announce_refusal(
    request: ServiceRequest, refusal: Refusal, now: datetime, calendar: Calendar
) -> Change:
    """Announce a refusal, and give the person time to be heard. Raises InvalidArgument."""
    check_grounds(refusal.grounds, "refusal.grounds")
    check_text(refusal.text, TEXT_LENGTH, "refusal.text")
    earliest = end_of(calendar.add(local_day(now), HEARING_WORKING_DAYS))
    if not earliest <= refusal.hearing_time <= now + HEARING_AT_MOST:
        raise InvalidArgument(
            "refusal.hearing_time",
            f"not {HEARING_WORKING_DAYS} working days to {HEARING_AT_MOST.days} days from now",
        )
    return _move(request, Action.ANNOUNCE_REFUSAL, now, text=refusal.text, refusal=refusal)


def state_objection(request: ServiceRequest, text: str, now: datetime) -> Change:
    """Say something to the announced refusal, while the hearing lasts."""
    check_text(text, TEXT_LENGTH, "text")
    change = _move(request, Action.OBJECT, now, text=text)
    if _hearing_time(request) <= now:
        raise FailedPrecondition("HEARING_OVER", "the hearing's time has passed")
    return change


def refuse(request: ServiceRequest, officer: str, now: datetime) -> Change:
    """End it with the refusal that was announced; the officer has signed it.

    From now on, until an appeal is upheld, no time of the provider's runs.
    """
    change = _move(request, Action.REFUSE, now, refuser=officer, wait_since=now)
    if now < _hearing_time(request):
        raise FailedPrecondition("HEARING_OPEN", "the person may still be heard")
    return change


def _hearing_time(request: ServiceRequest) -> datetime:
    assert request.refusal is not None, request.name  # noqa: S101 - there is one in HEARING
    return request.refusal.hearing_time


def record_evidence(
    request: ServiceRequest, document_type: str, asked_for: Sequence[str], now: datetime
) -> Change:
    """Record evidence that came on paper. Recording it again changes nothing but the history."""
    if document_type not in asked_for:
        raise InvalidArgument("evidence", "the service does not ask for it")
    paper = CollectedEvidence(document_type, EvidenceSource.PAPER)
    evidence = request.evidence if paper in request.evidence else (*request.evidence, paper)
    return _move(request, Action.RECORD_EVIDENCE, now, evidence=evidence)


def record_output(request: ServiceRequest, now: datetime) -> Change:
    """Record that the output was handed over on paper, until its month is given out."""
    change = _move(request, Action.RECORD_OUTPUT, now, output_on_paper=True)
    assert request.end_time is not None, request.name  # noqa: S101 - it has ended
    if is_given_out(month_of(request.end_time), now):
        raise FailedPrecondition("ALREADY_COUNTED", "the statistics of that month are given out")
    return change


def withdraw(request: ServiceRequest, now: datetime, calendar: Calendar) -> Change:
    """End it because the person wants it no more."""
    state_after(request.state, Action.WITHDRAW)
    if request.state_before_appeal is State.REFUSED:
        raise FailedPrecondition("WRONG_STATE", "not possible after a refusal")
    return _move(request, Action.WITHDRAW, now, **_wait_ended(request, now, calendar))


def decline(request: ServiceRequest, now: datetime) -> Change:
    """End an offer that the person does not want."""
    return _move(request, Action.DECLINE, now)


def lapse(request: ServiceRequest, now: datetime, calendar: Calendar) -> Change:
    """End it because the person did not sign or answer in time."""
    change = _move(request, Action.LAPSE, now, **_wait_ended(request, now, calendar))
    if request.lapse_time is None or now < request.lapse_time:
        raise FailedPrecondition("WRONG_STATE", "there is time left")
    return change


def appeal(request: ServiceRequest, text: str, now: datetime, calendar: Calendar) -> Change:
    """Appeal against a refusal, or against a delay."""
    check_text(text, TEXT_LENGTH, "text")
    change = _move(request, Action.APPEAL, now, text=text, state_before_appeal=request.state)
    if not request.appeal_body:
        raise FailedPrecondition("NO_APPEAL_BODY", "the service names no body that decides appeals")
    if request.is_appeal_dismissed:
        raise FailedPrecondition("ALREADY_APPEALED", "an appeal was dismissed")
    if request.state is not State.REFUSED:
        if not request.is_overdue(now, calendar):
            raise FailedPrecondition("NOT_OVERDUE", "the request is not overdue")
    elif request.end_time is not None and now >= request.end_time + APPEAL_WITHIN:
        raise FailedPrecondition("APPEAL_TOO_LATE", f"more than {APPEAL_WITHIN.days} days ago")
    return change


def decide_appeal(
    request: ServiceRequest,
    *,
    is_upheld: bool,
    grounds: Sequence[Ground],
    now: datetime,
    calendar: Calendar,
) -> Change:
    """Uphold an appeal, or dismiss it; the officer has signed the decision."""
    state_after(request.state, Action.DISMISS, request.state_before_appeal)
    if grounds or not is_upheld:
        check_grounds(grounds, "grounds")
    text = "; ".join(f"{each.act}, {each.article}" for each in grounds)
    if not is_upheld:
        return _move(request, Action.DISMISS, now, text=text, is_appeal_dismissed=True)
    after = {"end_time": None, "refusal": None, "refuser": ""}
    return _move(
        request, Action.UPHOLD, now, text=text, **after, **_wait_ended(request, now, calendar)
    )


def _wait_ended(request: ServiceRequest, now: datetime, calendar: Calendar) -> dict[str, Any]:
    """Return what changes of a request as its applicant is waited for no more."""
    since = request.wait_since
    if since is None:
        return {}
    assert request.due_day is not None, request.name  # noqa: S101 - it is submitted
    return {
        "wait_since": None,
        "due_day": due_day_after_wait(request.due_day, since, now, calendar),
        "waited_seconds": request.waited_seconds + (now - since).total_seconds(),
    }


def _move(
    request: ServiceRequest, action: Action, now: datetime, *, text: str = "", **changed: Any
) -> Change:
    """Return the change to the state that the table names. Raises FailedPrecondition."""
    state = state_after(request.state, action, request.state_before_appeal)
    # It ends once; what is recorded or decided later does not move the time.
    if state in ENDED and request.end_time is None:
        changed = {"end_time": now} | changed
    if state is not State.UNDER_APPEAL and request.state is State.UNDER_APPEAL:
        changed = {"state_before_appeal": None} | changed
    if state is not request.state:
        changed = {"lapse_time": None} | changed
    after = replace(request, state=state, revision=request.revision + 1, **changed)
    return Change(after, action, now, text)
