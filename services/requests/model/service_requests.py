"""A person's request for a public service: what it holds, and the times that follow from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum

from services.requests.model.states import (
    ENDED,
    UNSIGNED,
    Action,
    ServiceRequestChannel,
    ServiceRequestState,
)
from services.requests.model.statistics import Ended, rounded
from services.requests.model.statistics_months import month_of
from services.requests.model.working_days import Calendar, end_of, local_day

# A signed statement lets evidence be looked up until then, so it is short.
DRAFT_LASTS = timedelta(days=7)
OFFER_LASTS = timedelta(days=30)
# Drafts of one person at once: a person fills in a few, a program that runs wild does not.
DRAFTS_LIMIT = 20
# documents.proto bounds a document's, and a form is less.
FORM_BYTES = 65_536


class EvidenceSource(IntEnum):
    """Where a piece of evidence came from; numbered as the contract's."""

    LOOKED_UP = 1
    PAPER = 2


@dataclass(frozen=True, slots=True)
class CollectedEvidence:
    """Evidence that a request has."""

    document_type: str
    source: EvidenceSource
    # Of a look-up: its record, and the document where the whole one was asked for.
    access: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """An article of a law."""

    act: str
    article: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal, announced or made."""

    grounds: tuple[Ground, ...]
    text: str
    # Until when the person may be heard.
    hearing_time: datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified signature over a statement, however it was made."""

    # The subject whose certificate it is.
    signer: str
    # DER.
    certificate: bytes
    # The number of a qagazsyz.common.v1.SignatureAlgorithm.
    algorithm: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """A request. Each change makes another of the next revision."""

    name: str
    public_service: str
    # The version that it is asked of, and decided under; what follows is that version's.
    service_version: int
    provider: str
    appeal_body: str
    time_limit_days: int
    applicant: str
    channel: ServiceRequestChannel
    state: ServiceRequestState
    create_time: datetime
    # What the person signs, and until when.
    statement: bytes
    statement_expire_time: datetime
    form: str = ""
    revision: int = 1
    evidence: tuple[CollectedEvidence, ...] = ()
    proof: Proof | None = None
    # When the person will have let it lapse; None while nobody waits for them.
    lapse_time: datetime | None = None
    submit_time: datetime | None = None
    end_time: datetime | None = None
    # Since when the applicant's time runs and the limit stands still.
    wait_since: datetime | None = None
    # The day (Asia/Almaty) by whose end it has to end, but for a wait that goes on.
    due_day: date | None = None
    waited_seconds: float = 0.0
    question: str = ""
    refusal: Refusal | None = None
    # The officer who refused.
    refuser: str = ""
    state_before_appeal: ServiceRequestState | None = None
    # Whether an appeal was dismissed: there is no second one here.
    is_appeal_dismissed: bool = False
    output: str = ""
    output_on_paper: bool = False

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_signed(self) -> bool:
        return self.state not in UNSIGNED and self.submit_time is not None

    @property
    def etag(self) -> str:
        """What an officer's act names, to decide on what they saw."""
        return hashlib.sha256(f"{self.name} {self.revision}".encode()).hexdigest()[:32]

    @property
    def is_electronic(self) -> bool:
        """Whether nobody went to the office for it, and nothing was on paper."""
        return (
            self.channel is not ServiceRequestChannel.OFFICE
            and not self.output_on_paper
            and all(each.source is not EvidenceSource.PAPER for each in self.evidence)
        )

    def due_time(self, now: datetime, calendar: Calendar) -> datetime | None:
        """Return the end of the working day by which it has to end, None before submission."""
        if self.due_day is None:
            return None
        day = self.due_day
        if self.wait_since is not None:
            day = due_day_after_wait(day, self.wait_since, self.end_time or now, calendar)
        return end_of(day)

    def is_overdue(self, now: datetime, calendar: Calendar) -> bool:
        """Return whether it should have ended by now, or ended too late."""
        due = self.due_time(now, calendar)
        return due is not None and (self.end_time or now) >= due


def due_day_after_wait(due_day: date, since: datetime, until: datetime, calendar: Calendar) -> date:
    """Return the day by which a request has to end after its applicant was waited for.

    The working days after the day of the question, up to that of the answer, do not count; what was
    due by the day of the question stays due then, so that a late question excuses nothing.
    """
    left = calendar.between(local_day(since), due_day)
    return calendar.add(local_day(until), left) if left > 0 else due_day


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a request, for its history and the log."""

    request: ServiceRequest
    # None for a new request.
    action: Action | None
    time: datetime
    # What was said, for people to read.
    text: str = ""

    @property
    def ends(self) -> bool:
        """Whether a submitted request ends by it, which the statistics count."""
        is_new = self.action not in (Action.RECORD_OUTPUT, Action.DISMISS)
        return is_new and self.request.has_ended and self.request.submit_time is not None


def ended_of(change: Change, calendar: Calendar) -> Ended | None:
    """Return what the statistics count of a change, None unless a submitted request ends by it."""
    request = change.request
    if not change.ends or request.submit_time is None:
        return None
    took = (change.time - request.submit_time).total_seconds() - request.waited_seconds
    return Ended(
        request=request.name,
        revision=request.revision,
        public_service=request.public_service,
        provider=request.provider,
        month=month_of(change.time),
        channel=request.channel,
        applicant=request.applicant,
        state=request.state,
        is_electronic=request.is_electronic,
        is_in_time=not request.is_overdue(change.time, calendar),
        looked_up=sum(each.source is EvidenceSource.LOOKED_UP for each in request.evidence),
        seconds=rounded(took),
    )
