"""The states of a request, and the one table of what leads from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType

from services.runtime.errors import FailedPrecondition


class ServiceRequestState(IntEnum):
    """Where a request stands; numbered as the contract's."""

    DRAFT = 1
    AWAITING_SIGNATURE = 2
    SUBMITTED = 3
    IN_PROGRESS = 4
    AWAITING_APPLICANT = 5
    HEARING = 6
    ISSUED = 7
    REFUSED = 8
    WITHDRAWN = 9
    LAPSED = 10
    OFFERED = 11
    DECLINED = 12
    UNDER_APPEAL = 13


class ServiceRequestChannel(IntEnum):
    """How a request came; numbered as the contract's."""

    API = 1
    PAGE = 2
    SMS = 3
    OFFICE = 4
    PROACTIVE = 5


class Action(Enum):
    """What is done to a request; the value is its name in the log's entries."""

    SUBMIT = "submit"
    # By rule, with no officer.
    ISSUE = "issue"
    ACCEPT = "accept"
    ASK = "ask"
    ANSWER = "answer"
    COMPLETE = "complete"
    ANNOUNCE_REFUSAL = "announce_refusal"
    OBJECT = "object"
    REFUSE = "refuse"
    RECORD_EVIDENCE = "record_evidence"
    RECORD_OUTPUT = "record_output"
    WITHDRAW = "withdraw"
    DECLINE = "decline"
    # By time alone.
    LAPSE = "lapse"
    APPEAL = "appeal"
    UPHOLD = "uphold"
    DISMISS = "dismiss"


State = ServiceRequestState

# In the table's place of a state: the one from which was appealed.
AS_BEFORE = None

_TABLE: dict[tuple[State, Action], State | None] = {
    (State.DRAFT, Action.SUBMIT): State.SUBMITTED,
    (State.DRAFT, Action.WITHDRAW): State.WITHDRAWN,
    (State.DRAFT, Action.LAPSE): State.LAPSED,
    (State.AWAITING_SIGNATURE, Action.SUBMIT): State.SUBMITTED,
    (State.AWAITING_SIGNATURE, Action.RECORD_EVIDENCE): State.AWAITING_SIGNATURE,
    (State.AWAITING_SIGNATURE, Action.WITHDRAW): State.WITHDRAWN,
    (State.AWAITING_SIGNATURE, Action.LAPSE): State.LAPSED,
    (State.OFFERED, Action.SUBMIT): State.SUBMITTED,
    (State.OFFERED, Action.DECLINE): State.DECLINED,
    (State.OFFERED, Action.LAPSE): State.LAPSED,
    (State.SUBMITTED, Action.ISSUE): State.ISSUED,
    (State.SUBMITTED, Action.ACCEPT): State.IN_PROGRESS,
    (State.SUBMITTED, Action.RECORD_EVIDENCE): State.SUBMITTED,
    (State.SUBMITTED, Action.WITHDRAW): State.WITHDRAWN,
    (State.SUBMITTED, Action.APPEAL): State.UNDER_APPEAL,
    (State.IN_PROGRESS, Action.ASK): State.AWAITING_APPLICANT,
    (State.IN_PROGRESS, Action.COMPLETE): State.ISSUED,
    (State.IN_PROGRESS, Action.ANNOUNCE_REFUSAL): State.HEARING,
    (State.IN_PROGRESS, Action.RECORD_EVIDENCE): State.IN_PROGRESS,
    (State.IN_PROGRESS, Action.WITHDRAW): State.WITHDRAWN,
    (State.IN_PROGRESS, Action.APPEAL): State.UNDER_APPEAL,
    (State.AWAITING_APPLICANT, Action.ANSWER): State.IN_PROGRESS,
    (State.AWAITING_APPLICANT, Action.RECORD_EVIDENCE): State.AWAITING_APPLICANT,
    (State.AWAITING_APPLICANT, Action.WITHDRAW): State.WITHDRAWN,
    (State.AWAITING_APPLICANT, Action.LAPSE): State.LAPSED,
    (State.HEARING, Action.OBJECT): State.HEARING,
    # The person was right.
    (State.HEARING, Action.ACCEPT): State.IN_PROGRESS,
    (State.HEARING, Action.REFUSE): State.REFUSED,
    (State.HEARING, Action.RECORD_EVIDENCE): State.HEARING,
    (State.HEARING, Action.WITHDRAW): State.WITHDRAWN,
    (State.HEARING, Action.APPEAL): State.UNDER_APPEAL,
    (State.ISSUED, Action.RECORD_OUTPUT): State.ISSUED,
    (State.REFUSED, Action.APPEAL): State.UNDER_APPEAL,
    (State.UNDER_APPEAL, Action.UPHOLD): State.IN_PROGRESS,
    (State.UNDER_APPEAL, Action.DISMISS): AS_BEFORE,
    # While an appeal against the delay is decided: a refusal is an end already.
    (State.UNDER_APPEAL, Action.WITHDRAW): State.WITHDRAWN,
}
TRANSITIONS: Mapping[tuple[State, Action], State | None] = MappingProxyType(_TABLE)

# The end; of a refusal, unless an appeal is upheld.
ENDED = frozenset({State.ISSUED, State.REFUSED, State.WITHDRAWN, State.LAPSED, State.DECLINED})
# Nobody has signed yet.
UNSIGNED = frozenset({State.DRAFT, State.AWAITING_SIGNATURE, State.OFFERED})


def state_after(state: State, action: Action, before_appeal: State | None = None) -> State:
    """Return the state that an action leads to. Raises FailedPrecondition (WRONG_STATE).

    before_appeal: the state from which was appealed, where there was an appeal.
    """
    if (state, action) not in TRANSITIONS:
        raise FailedPrecondition(
            "WRONG_STATE", f"not possible while the request is {state.name.lower()}"
        )
    found = TRANSITIONS[state, action] or before_appeal
    if found is None:
        raise FailedPrecondition("WRONG_STATE", "there was no appeal")
    return found
