"""Signing in by phone: who has the phone and says yes gets in, and nobody else learns anything."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text as sql

from phones.outcomes import Outcome
from qagazsyz.signing.v1 import mobile_signatures_pb2, phone_sign_ins_pb2
from services.runtime.errors import (
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from services.signing.by_phone.rules import id_of
from services.signing.by_phone.signing_in import ANSWER_SECONDS
from tests.unit.identity.phones.sims import Card
from tests.unit.identity.service import Role
from tests.unit.signing.by_phone.people import (
    EXPIRED,
    SIGN_IN_SECONDS,
    SIGNED,
    UNCLOSED_CONNECTIONS,
    WAITING,
    People,
    by_token,
    nobody,
)
from tests.unit.signing.mobile.world import citizen, officer, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), UNCLOSED_CONNECTIONS]


def unknown() -> str:
    """A number that nobody has, another each time."""
    return Card().number


def shape(answer: phone_sign_ins_pb2.PhoneSignIn) -> list[tuple[str, int]]:
    """Which fields an answer has, and how long each is: all that differs for a wrong pair must be
    the values of what is random."""
    return [(field.name, len(str(value))) for field, value in answer.ListFields()]


async def test_a_phone_that_says_yes_gives_its_persons_token_once(people: People) -> None:
    subject, iin, subscriber = await people.person()
    started = await people.start(subscriber.number, iin)
    assert (started.state, len(started.verification_code)) == (WAITING, 4)
    assert not started.access_token
    signed = await people.until_signed(started.name)
    assert (signed.state, signed.subject) == (SIGNED, subject)
    caller = by_token(signed.access_token).caller
    assert (caller.subject, caller.organization) == (subject, "")
    assert caller.roles == {Role.ROLE_CITIZEN}
    again = await people.get(started.name)
    assert (again.state, again.access_token, again.subject) == (SIGNED, "", "")
    # The person sees who was let in, with the code and the text of their screen.
    session = await people.session_ended(subject)
    assert session.purpose == mobile_signatures_pb2.MOBILE_SIGNATURE_PURPOSE_AUTHENTICATE
    assert session.verification_code == started.verification_code
    assert session.display_text == "Qagazsyz: sign in"
    # Its number may be asked again at once.
    assert await people.sign_in(subscriber.number, iin)


async def test_a_wrong_pair_is_a_sign_in_like_any_other_and_sends_nothing(people: People) -> None:
    _, iin, subscriber = await people.person(Outcome.SILENT)
    _, other_iin, other = await people.person()
    right = await people.start(subscriber.number, iin)
    wrong = [await people.start(other.number, iin), await people.start(unknown(), other_iin)]
    for answer in wrong:
        assert shape(answer) == shape(right)
    # The silent phone has the request, which nobody is told.

    async def has_it() -> bool:
        return people.submitted(subscriber.number) == 1

    await until(has_it)
    for answer in (right, *wrong):
        assert (await people.get(answer.name)).state == WAITING
    ends = right.expire_time.ToSeconds() - people.world.identity.clock().timestamp()
    await people.world.advance(ends - 1)
    for answer in (right, *wrong):
        assert (await people.get(answer.name)).state == WAITING
    await people.world.advance(2)
    for answer in (right, *wrong):
        ended = await people.get(answer.name)
        assert (ended.state, shape(ended)) == (EXPIRED, shape(right))
    assert (people.submitted(subscriber.number), people.submitted(other.number)) == (1, 0)


async def test_a_refusal_looks_as_no_answer_and_makes_the_next_one_wait(people: People) -> None:
    subject, iin, subscriber = await people.person(Outcome.CANCELS)
    started = await people.start(subscriber.number, iin)
    ended = await people.session_ended(subject)
    assert ended.outcome == mobile_signatures_pb2.MOBILE_SIGNATURE_OUTCOME_USER_CANCELLED
    assert (await people.get(started.name)).state == WAITING
    await people.world.advance(SIGN_IN_SECONDS)
    assert (await people.get(started.name)).state == EXPIRED
    # Within ten minutes of the refusal the phone is not asked, and whoever asks is not told.
    sent = people.submitted(subscriber.number)
    again = await people.start(subscriber.number, iin)
    assert shape(again) == shape(started)
    assert len(await people.world.mobile.sessions.list(subject, "", 10)) == 1
    assert people.submitted(subscriber.number) == sent


@pytest.mark.parametrize("is_right", [True, False], ids=["right", "wrong"])
async def test_a_number_is_asked_three_times_in_ten_minutes_and_ten_a_day(
    people: People, is_right: bool
) -> None:
    _, iin, subscriber = await people.person(Outcome.SILENT)
    number = subscriber.number if is_right else unknown()

    async def refused_for() -> float:
        with pytest.raises(ResourceExhausted) as caught:
            await people.start(number, iin)
        return caught.value.retry_after_seconds

    for _ in range(3):
        await people.start(number, iin)
        # One waits.
        assert 0 < await refused_for() <= SIGN_IN_SECONDS
        await people.world.advance(SIGN_IN_SECONDS)
    wait = await refused_for()
    assert 0 < wait <= 600
    # Another IIN is no other number.
    with pytest.raises(ResourceExhausted):
        await people.start(number, "000000000000")
    await people.world.advance(wait + 1)
    for _ in range(7):
        await people.start(number, iin)
        await people.world.advance(600)
    assert 600 < await refused_for() <= 86_400
    await people.world.advance(86_400)
    await people.signing_in.forget()
    await people.start(number, iin)


async def test_of_two_starts_at_once_one_waits(people: People) -> None:
    number = unknown()
    results = await asyncio.gather(
        *(people.start(number, "000000000000") for _ in range(4)), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, BaseException)]
    assert len(refused) == 3
    assert all(isinstance(each, ResourceExhausted) for each in refused)


async def test_each_start_is_answered_after_the_same_pause(people: People) -> None:
    """Whatever was done for it: the pause ends before it, or it waits for the pause's end."""
    _, iin, subscriber = await people.person()
    asked, ends, number = list[float](), asyncio.Event(), unknown()
    before = await stored(people)

    async def pause(seconds: float) -> None:
        asked.append(seconds)
        await ends.wait()

    people.pause = pause
    starts = [
        asyncio.ensure_future(people.start(subscriber.number, iin)),
        asyncio.ensure_future(people.start(number, iin)),
        # A refusal, by the same number's limit.
        asyncio.ensure_future(people.start(number, iin)),
    ]

    async def all_done() -> bool:
        return len(asked) == len(starts) and await stored(people) == before + 2

    await until(all_done)
    assert not any(each.done() for each in starts)
    ends.set()
    results = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(each, ResourceExhausted) for each in results) == 1
    assert asked == [ANSWER_SECONDS] * 3


async def stored(people: People) -> int:
    async with people.world.database.reading() as connection:
        counted = await connection.execute(sql("SELECT count(*) FROM phone_sign_ins"))
        return int(counted.scalar_one())


async def test_a_sign_in_ends_nobodys_session(people: People) -> None:
    """It is not known who asks: an organization's session goes on, and so does the person's."""
    subject, iin, subscriber = await people.person(Outcome.SILENT)
    bank = officer(people.world.organization())
    session = await people.world.create(subject, bank)
    await people.start(subscriber.number, iin)
    assert (await people.world.get(session.name)).end_time.seconds == 0
    await people.world.cancel(session.name)
    await people.world.advance(SIGN_IN_SECONDS)
    own = await people.world.create(subject, citizen(subject))
    await people.start(subscriber.number, iin)
    assert (await people.world.get(own.name)).end_time.seconds == 0


async def test_the_organization_is_as_the_challenge_has_it(people: People) -> None:
    subject, iin, subscriber = await people.person()
    identity = people.world.identity
    organization = await identity.organization()
    started = await people.start(subscriber.number, iin, organization)
    with pytest.raises(PermissionDenied):
        await people.until_signed(started.name)
    await people.world.advance(SIGN_IN_SECONDS)
    await identity.member(organization, subject)
    token = await people.sign_in(subscriber.number, iin, organization)
    caller = by_token(token).caller
    assert caller.organization == organization
    assert caller.roles == {Role.ROLE_OFFICER}


async def test_a_name_is_a_secret_that_the_database_does_not_have(people: People) -> None:
    _, iin, subscriber = await people.person(Outcome.SILENT)
    started = await people.start(subscriber.number, iin)
    secret = started.name.removeprefix("phoneSignIns/")
    assert len(secret) == 22
    async with people.world.database.reading() as connection:
        rows = (await connection.execute(sql("SELECT * FROM phone_sign_ins"))).all()
    (row,) = (each for each in rows if each.id == id_of(secret))
    for private in (secret, subscriber.number[1:], iin):
        assert private not in str(rows)
    assert b"qagazsyz sign-in" not in row.sealed_challenge
    with pytest.raises(NotFound):
        await people.get(f"phoneSignIns/{'A' * 22}")
    for malformed in ("phoneSignIns/", f"phoneSignIns/{row.id}", "mobileSignatures/x"):
        with pytest.raises(InvalidArgument):
            await people.get(malformed)


async def test_what_is_not_of_its_form_is_refused_and_not_quoted(people: People) -> None:
    _, iin, subscriber = await people.person()
    for number, number_of_person, organization in (
        (subscriber.number[1:], iin, ""),
        (subscriber.number, f"{iin}1", ""),
        (subscriber.number, iin, "subjects/x"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await people.start(number, number_of_person, organization)
        for private in (subscriber.number[1:], iin):
            assert private not in caught.value.message
    request = phone_sign_ins_pb2.GetPhoneSignInRequest(name=f"phoneSignIns/{'A' * 22}")
    for seconds in (-1, 61):
        request.wait.FromSeconds(seconds)
        with pytest.raises(InvalidArgument):
            await people.sign_ins.GetPhoneSignIn(request, nobody())
