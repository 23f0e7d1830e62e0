"""Confirming acts by phone: the caller's own act on the caller's own phone, in the platform's
words."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from phones.outcomes import Outcome
from qagazsyz.confirmations import HEADER, act_text
from qagazsyz.identity.v1 import phones_pb2, subjects_pb2
from qagazsyz.signing.v1 import mobile_signatures_pb2 as mobile
from qagazsyz.signing.v1 import phone_confirmations_pb2 as pb
from services.identity.tokens.act_challenges import ActChallenges
from services.runtime.acts.confirmations import Confirmations
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unauthenticated,
)
from services.runtime.server import Call
from signatures.x509 import is_signed_by_certificate
from tests.calls import FakeCall
from tests.unit.signing.by_phone.people import (
    FAILED,
    SIGNED,
    UNCLOSED_CONNECTIONS,
    WAITING,
    People,
    by_token,
)
from tests.unit.signing.mobile.world import citizen, service

pytestmark = [pytest.mark.asyncio(loop_scope="module"), UNCLOSED_CONNECTIONS]
BIND = "/qagazsyz.identity.v1.PhoneService/BindPhone"
GRANT = "/qagazsyz.registry.v1.ConsentService/GrantConsent"
ADD = "/qagazsyz.identity.v1.SubjectService/AddMembership"


async def signed_in(people: People, outcome: Outcome = Outcome.SIGNS) -> Call:
    """A call by a person whose token the SIM of their phone got."""
    subject, iin, subscriber = await people.person(outcome)
    if outcome is Outcome.SIGNS:
        return by_token(await people.sign_in(subscriber.number, iin))
    # A phone that will say no has signed in earlier.
    (phone,) = await active(people, subject)
    caller = replace(citizen(subject).caller, certificate=phone.certificate.rpartition("/")[2])
    return cast("Call", FakeCall(caller))


async def active(people: People, subject: str) -> list[phones_pb2.Phone]:
    identity = people.world.identity
    request = phones_pb2.ListPhonesRequest(subject=subject)
    found = await identity.call("PhoneService/ListPhones", request, identity.as_signing)
    return list(found.phones)


async def sessions(people: People, call: Call) -> int:
    return len(await people.world.mobile.sessions.list(call.caller.subject, "", 10))


def checks(people: People) -> Confirmations:
    """The check of confirmations as identity's own methods have it."""
    identity = people.world.identity
    acts = ActChallenges(
        database=identity.database, challenges=identity.challenges, clock=identity.clock
    )
    return Confirmations(
        acts.find_certificate, is_signed_by_certificate, acts.use, acts.find_signature
    )


async def check(people: People, call: Call, method: str, request: Any, header: str) -> str:
    return await checks(people).check(
        {HEADER: header}, method=method, caller=call.caller, request=request
    )


def header(confirmation: pb.PhoneConfirmation) -> str:
    value = confirmation.confirmation.SerializeToString()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def bind_request(call: Call) -> phones_pb2.BindPhoneRequest:
    return phones_pb2.BindPhoneRequest(subject=call.caller.subject, number="+77017654321")


async def test_what_the_phone_signed_confirms_this_call_and_no_other(people: People) -> None:
    call = await signed_in(people)
    request = bind_request(call)
    started = await people.confirm(call, BIND, request)
    assert started.state == WAITING
    assert started.display_text == "Qagazsyz: bind a phone"
    assert not started.HasField("confirmation")
    signed = await people.confirmed(call, started.name)
    assert (signed.state, signed.verification_code) == (SIGNED, started.verification_code)
    assert signed.confirmation.mobile_signature == signed.name
    # The lines are those of any confirmation, of the caller's.
    session = await people.world.get(signed.name)
    text = act_text(
        method=BIND,
        subject=call.caller.subject,
        organization="",
        challenge=signed.confirmation.challenge,
        request=request,
    )
    assert is_signed_by_certificate(session.certificate, session.algorithm, text, session.signature)
    act = await check(people, call, BIND, request, header(signed))
    # A repeat is the same act; another request, method or caller is none.
    assert await check(people, call, BIND, request, header(signed)) == act
    other = await signed_in(people)
    for by, method, changed in (
        (call, GRANT, request),
        (call, BIND, phones_pb2.BindPhoneRequest(subject=call.caller.subject)),
        (other, BIND, request),
    ):
        with pytest.raises(Unauthenticated):
            await check(people, by, method, changed, header(signed))
    people.world.identity.clock.move(seconds=timedelta(minutes=3).total_seconds())
    with pytest.raises(Unauthenticated):
        await check(people, call, BIND, request, header(signed))


async def test_a_refusal_on_the_phone_confirms_nothing(people: People) -> None:
    call = await signed_in(people, Outcome.CANCELS)
    started = await people.confirm(call, BIND, bind_request(call))
    ended = await people.confirmed(call, started.name)
    assert ended.state == FAILED
    assert ended.outcome == mobile.MOBILE_SIGNATURE_OUTCOME_USER_CANCELLED
    assert not ended.HasField("confirmation")


async def test_only_the_phone_that_signed_in_is_asked(people: People) -> None:
    call = await signed_in(people)
    subject = call.caller.subject
    other = (await signed_in(people)).caller
    for caller in (
        # A token that another key got; another person's phone; a token that names no key.
        replace(call.caller, certificate="00" * 32),
        replace(call.caller, certificate=other.certificate),
        replace(other, certificate=call.caller.certificate),
        replace(call.caller, certificate=""),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            await people.confirm(cast("Call", FakeCall(caller)), BIND, bind_request(call))
        assert caught.value.reason == "NOT_BY_PHONE"
    identity = people.world.identity
    (phone,) = await active(people, subject)
    end = phones_pb2.UnbindPhoneRequest(name=phone.name)
    await identity.call("PhoneService/UnbindPhone", end, identity.as_registrar)
    with pytest.raises(FailedPrecondition):
        await people.confirm(call, BIND, bind_request(call))


async def test_the_phone_is_not_asked_for_what_the_caller_may_not_do(people: People) -> None:
    call = await signed_in(people)
    before = await sessions(people, call)
    membership = subjects_pb2.AddMembershipRequest(organization="subjects/x")
    with pytest.raises(PermissionDenied):
        await people.confirm(call, ADD, membership)
    for method, content in (
        ("/qagazsyz.identity.v1.PhoneService/ListPhones", b"{}"),
        ("qagazsyz.identity.v1.PhoneService/BindPhone", b"{}"),
        ("/qagazsyz.identity.v1.PhoneService/Nothing", b"{}"),
        (BIND, b"{"),
        (BIND, b'{"secret": "+77010000001"}'),
        (BIND, b"[" * 5_000),
        (BIND, b'{"subject": "\\u202e", "number": "+77010000001"}'),
        # REQUIRED fields are unset.
        (BIND, b""),
    ):
        request = pb.StartPhoneConfirmationRequest(method=method, request=content)
        with pytest.raises(InvalidArgument) as caught:
            await people.confirmations.StartPhoneConfirmation(request, call)
        assert "7701" not in caught.value.message
    assert await sessions(people, call) == before


async def test_a_confirmation_is_its_callers(people: People) -> None:
    call, other = await signed_in(people), await signed_in(people)
    started = await people.confirm(call, BIND, bind_request(call))
    document = await people.world.create(other.caller.subject)
    for by, name in (
        (other, started.name),
        (other, document.name),
        (call, "mobileSignatures/00000000-0000-7000-8000-000000000000"),
    ):
        request = pb.GetPhoneConfirmationRequest(name=name)
        with pytest.raises(PermissionDenied):
            await people.confirmations.GetPhoneConfirmation(request, by)


async def test_no_caller_has_the_platforms_own_texts_signed(people: People) -> None:
    """Not even a service: sign-ins and confirmations are made here alone."""
    subject, _, _ = await people.person()
    for purpose in (
        mobile.MOBILE_SIGNATURE_PURPOSE_AUTHENTICATE,
        mobile.MOBILE_SIGNATURE_PURPOSE_CONFIRM,
        mobile.MOBILE_SIGNATURE_PURPOSE_CONFIRM_PHONE,
    ):
        for by in (service(), citizen(subject)):
            with pytest.raises(PermissionDenied):
                await people.world.create(
                    subject, by, message=b"qagazsyz confirm v1\n", purpose=purpose
                )
    for by in (service(), citizen(subject)):
        with pytest.raises(InvalidArgument):
            await people.world.create(subject, by, message=b"qagazsyz sign-in v1\n")
    assert not await people.world.mobile.sessions.list(subject, "", 1)


async def test_a_signature_that_is_fetched_too_late_confirms_nothing(people: People) -> None:
    call = await signed_in(people)
    started = await people.confirm(call, BIND, bind_request(call))
    await people.world.until(started.name)
    await people.world.advance(150)
    with pytest.raises(FailedPrecondition) as caught:
        await people.confirmed(call, started.name)
    assert caught.value.reason == "CONFIRMATION_INVALID"
