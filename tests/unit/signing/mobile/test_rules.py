"""Limits against push bombing, verification codes, who may ask whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qagazsyz.common.v1 import access_pb2
from services.runtime.access import Caller
from services.runtime.errors import InvalidArgument, PermissionDenied, ResourceExhausted
from services.signing.mobile.rules import (
    FOREIGN_A_DAY,
    MESSAGE_LIMIT_BYTES,
    OWN_A_DAY,
    MobileSignatureOutcome,
    MobileSignaturePurpose,
    MobileSignatureState,
    Past,
    check_limits,
    check_message,
    check_purpose,
    choose_nonce,
    expiry_of,
    parse_name,
    requester_of,
)
from sms.applet import verification_code

Role = access_pb2.Role
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PERSON, BANK = "subjects/person", "subjects/bank"
NONE = MobileSignatureOutcome.UNSPECIFIED
REFUSED = MobileSignatureOutcome.USER_CANCELLED
SIGN = MobileSignaturePurpose.SIGN


def past(minutes: float, outcome: MobileSignatureOutcome = NONE) -> Past:
    """A session of so many minutes ago."""
    ended = NOW - timedelta(minutes=minutes)
    state = MobileSignatureState.FAILED if outcome else MobileSignatureState.SIGNED
    return Past(ended, ended, state, outcome)


def caller(*roles: int, subject: str = PERSON, organization: str = "") -> Caller:
    return Caller(subject, organization, frozenset(roles))


@pytest.mark.parametrize(("refusals", "minutes"), [(1, 10), (2, 60), (3, 600), (4, 600)])
def test_after_refusals_in_a_row_an_organization_waits(refusals: int, minutes: int) -> None:
    def sessions(ago: float) -> Sequence[Past]:
        return [past(ago + place, REFUSED) for place in range(refusals)]

    with pytest.raises(ResourceExhausted) as refused:
        check_limits(sessions(minutes - 1), is_own=False, now=NOW)
    assert refused.value.retry_after_seconds == 60
    check_limits(sessions(minutes), is_own=False, now=NOW)


def test_a_signature_ends_the_row_of_refusals() -> None:
    sessions = [past(11, REFUSED), past(12), past(13, REFUSED), past(14, REFUSED)]
    check_limits(sessions, is_own=False, now=NOW)


def test_what_is_no_refusal_ends_no_row() -> None:
    postponed = MobileSignatureOutcome.POSTPONED
    sessions = [past(1, postponed), past(30, REFUSED), past(40, REFUSED)]
    with pytest.raises(ResourceExhausted):
        check_limits(sessions, is_own=False, now=NOW)


def test_people_do_not_wait_for_themselves() -> None:
    check_limits([past(1, REFUSED)] * 5, is_own=True, now=NOW)


@pytest.mark.parametrize(("is_own", "limit"), [(False, FOREIGN_A_DAY), (True, OWN_A_DAY)])
def test_so_many_sessions_fit_a_day(is_own: bool, limit: int) -> None:
    day = 24 * 60
    sessions = [past(day - 1 - (limit - 1 - place)) for place in range(limit)]
    check_limits(sessions[:-1], is_own=is_own, now=NOW)
    with pytest.raises(ResourceExhausted) as refused:
        check_limits(sessions, is_own=is_own, now=NOW)
    # Until the first of them is a day old.
    assert refused.value.retry_after_seconds == 60
    check_limits([*sessions[:-1], past(day)], is_own=is_own, now=NOW)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 9))
def test_a_code_is_unlike_the_recent_ones(digest: bytes, collisions: int) -> None:
    nonces = [bytes([each]) * 8 for each in range(collisions + 1)]
    recent = {verification_code(digest, nonce) for nonce in nonces[:-1]}
    waiting = iter([*nonces, *(bytes([255, each, *bytes(6)]) for each in range(50))])
    nonce = choose_nonce(digest, recent, lambda _size: next(waiting))
    assert verification_code(digest, nonce) not in recent


def test_a_document_never_begins_like_the_platforms_own_texts() -> None:
    with pytest.raises(InvalidArgument):
        check_message(b"qagazsyz sign-in v1\n", SIGN)
    for other in (b"", b"qagazsyz", b"Qagazsyz sign-in", b" qagazsyz ", b"qagazsyz\tx"):
        check_message(other, SIGN)
    with pytest.raises(InvalidArgument):
        check_message(bytes(MESSAGE_LIMIT_BYTES + 1), SIGN)


@pytest.mark.parametrize("purpose", set(MobileSignaturePurpose) - {SIGN})
def test_every_other_purpose_is_for_the_platforms_own_texts(
    purpose: MobileSignaturePurpose,
) -> None:
    check_message(b"qagazsyz consent v1\n", purpose)
    with pytest.raises(InvalidArgument):
        check_message(b"contract 17", purpose)


def test_only_services_have_the_platforms_own_texts_signed_and_nobody_challenges() -> None:
    requests = Caller("services/requests", "", frozenset({Role.ROLE_SERVICE}))
    for purpose in MobileSignaturePurpose:
        if purpose is not SIGN:
            for other in (caller(Role.ROLE_CITIZEN), caller(Role.ROLE_OFFICER, organization=BANK)):
                with pytest.raises(PermissionDenied):
                    check_purpose(other, purpose)
    check_purpose(requests, MobileSignaturePurpose.CONSENT)
    with pytest.raises(PermissionDenied):
        check_purpose(requests, MobileSignaturePurpose.CONFIRM_PHONE)


def test_people_ask_themselves_and_officers_others() -> None:
    citizen = caller(Role.ROLE_CITIZEN)
    officer = caller(Role.ROLE_OFFICER, organization=BANK)
    assert requester_of(citizen, PERSON) == PERSON
    assert requester_of(officer, PERSON) == BANK
    for who, subject in ((citizen, BANK), (officer, BANK), (caller(Role.ROLE_OPERATOR), PERSON)):
        with pytest.raises(PermissionDenied):
            requester_of(who, subject)


def test_a_phone_that_never_had_the_request_was_absent() -> None:
    absent = MobileSignatureOutcome.PHONE_ABSENT
    assert expiry_of(MobileSignatureState.WAITING).outcome is absent
    assert expiry_of(MobileSignatureState.DELIVERED).outcome is NONE


@pytest.mark.parametrize("name", ["", "mobileSignatures/", "mobileSignatures/x", "sessions/1"])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_name(name)
