"""Of each phone that is bound or ends, the holder's other phones and the log are told."""

from __future__ import annotations

import grpc

from qagazsyz.identity.v1 import events_pb2 as pb
from qagazsyz.identity.v1 import phones_pb2
from services.identity.events.recorder import EventRecorder
from services.identity.phones.ending import PhoneEnding
from services.runtime.clock import system_randomness
from tests.unit.identity.phones.sims import (
    ACKNOWLEDGE_NOTICES,
    COMPLETE,
    READ_NOTICES,
    REPORT,
    approve,
    ask,
    bind,
    complete,
    completion,
    get,
    new_card,
    notices,
    unbind,
)
from tests.unit.identity.service import Identity, Role

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
FAILED = grpc.StatusCode.FAILED_PRECONDITION
READ = "IdentityEventService/ReadEvents"

ACTIVATED = pb.IDENTITY_EVENT_KIND_PHONE_ACTIVATED
PHONE_ENDED = pb.IDENTITY_EVENT_KIND_PHONE_ENDED
CERTIFIED = pb.IDENTITY_EVENT_KIND_CERTIFIED
REVOKED = pb.IDENTITY_EVENT_KIND_CERTIFICATE_REVOKED


async def told(identity: Identity) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Kind, phone and recipients of each notice that waits."""
    return [
        (
            pb.PhoneNoticeKind.Name(notice.kind).removeprefix("PHONE_NOTICE_KIND_"),
            notice.phone,
            [(each.phone, each.language) for each in notice.recipients],
        )
        for notice in await notices(identity)
    ]


async def events_of(identity: Identity, subject: str) -> list[pb.IdentityEvent]:
    answer = await identity.call(READ, pb.ReadEventsRequest(), identity.as_service)
    return [event for event in answer.events if event.subject == subject]


def ending(identity: Identity) -> PhoneEnding:
    events = EventRecorder(identity.clock, system_randomness)
    return PhoneEnding(database=identity.database, events=events, clock=identity.clock)


async def test_the_holders_other_phones_are_told_of_every_step(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    first = await bind(identity, person, language="ru")
    second = await bind(identity, person, language="en")
    await notices(identity)
    officials = await identity.official(), await identity.official()
    phone = await ask(identity, person, card, officials[0].token)
    others = [(first.name, "ru"), (second.name, "en")]
    assert await told(identity) == [("ASKED", phone.name, others)]
    await approve(identity, phone.name, officials[1].token)
    assert await told(identity) == [("PENDING", phone.name, others)]
    await complete(identity, phone.name, card)
    assert await told(identity) == [("ACTIVE", phone.name, others)]
    await unbind(identity, first.name, identity.as_citizen(person))
    assert await told(identity) == [
        ("UNBOUND", first.name, [(second.name, "en"), (phone.name, "kk")])
    ]


async def test_a_former_holder_is_told_on_other_phones_and_the_new_one_is_not_named(
    identity: Identity,
) -> None:
    father, card = await identity.person(), await new_card(identity)
    lost, kept = await bind(identity, father, card), await bind(identity, father)
    await notices(identity)
    mine = await bind(identity, await identity.person(), card)
    assert await told(identity) == [
        ("PENDING", mine.name, []),
        ("REBOUND", lost.name, [(kept.name, "kk")]),
        ("ACTIVE", mine.name, []),
    ]
    ended = [each for each in await events_of(identity, father) if each.kind == PHONE_ENDED]
    assert [list(event.officers) for event in ended] == [[]]


async def test_phones_that_a_report_ends_together_are_not_told_of_each_other(
    identity: Identity,
) -> None:
    person, cards = await identity.person(), [await new_card(identity), await new_card(identity)]
    first, second = [await bind(identity, person, card) for card in cards]
    kept = await bind(identity, person)
    await notices(identity)
    request = phones_pb2.ReportSimSwapRequest(numbers=[card.number for card in cards])
    await identity.call(REPORT, request, identity.as_operator)
    assert await told(identity) == [
        ("SWAPPED", first.name, [(kept.name, "kk")]),
        ("SWAPPED", second.name, [(kept.name, "kk")]),
    ]


async def test_the_log_is_told_of_phones_and_of_no_number(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    registrar = await identity.official(Role.ROLE_REGISTRAR)
    asked = await ask(identity, person, card, registrar.token)
    phone = await complete(identity, asked.name, card)
    await unbind(identity, phone.name, identity.as_citizen(person))
    found = await events_of(identity, person)
    assert [event.kind for event in found] == [CERTIFIED, ACTIVATED, REVOKED, PHONE_ENDED]
    for event in found:
        assert event.fingerprint.hex() == phone.certificate.rpartition("/")[2]
        assert card.number.encode() not in event.SerializeToString()
        assert len(event.salts) == 3
    assert [list(event.officers) for event in found] == [[registrar.subject]] * 2 + [[person]] * 2


async def test_two_people_stand_in_the_log_for_what_took_two(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    await identity.issue(person)
    first, second = await identity.official(), await identity.official()
    phone = await ask(identity, person, card, first.token)
    await approve(identity, phone.name, second.token)
    await complete(identity, phone.name, card)
    activated = [each for each in await events_of(identity, person) if each.kind == ACTIVATED]
    assert [list(event.officers) for event in activated] == [[first.subject, second.subject]]


async def test_nothing_is_bound_that_the_log_would_not_show(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, identity.as_operator)
    request = await completion(identity, phone.name, card)
    # The registry read once, and then no more.
    done = pb.AcknowledgeEventsRequest(through=1)
    await identity.call("IdentityEventService/AcknowledgeEvents", done, identity.as_service)
    identity.clock.move(hours=2)
    assert await identity.refused(COMPLETE, request, identity.as_signing) == FAILED
    assert await identity.certificates(person) == []


async def test_a_notice_waits_until_it_is_acknowledged(identity: Identity) -> None:
    phone = await bind(identity, await identity.person())
    read = pb.ReadPhoneNoticesRequest()
    first = await identity.call(READ_NOTICES, read, identity.as_signing)
    assert await identity.call(READ_NOTICES, read, identity.as_signing) == first
    assert [notice.number for notice in first.notices] == [1, 2]
    assert {notice.phone for notice in first.notices} == {phone.name}
    behind = pb.ReadPhoneNoticesRequest(after=1, limit=1)
    answer = await identity.call(READ_NOTICES, behind, identity.as_signing)
    assert list(answer.notices) == [first.notices[1]]
    for through in (-1, 0, 3):
        wrong = pb.AcknowledgePhoneNoticesRequest(through=through)
        assert await identity.refused(ACKNOWLEDGE_NOTICES, wrong, identity.as_signing) == INVALID
    for through in (1, 1):
        done = pb.AcknowledgePhoneNoticesRequest(through=through)
        await identity.call(ACKNOWLEDGE_NOTICES, done, identity.as_signing)
        answer = await identity.call(READ_NOTICES, read, identity.as_signing)
        assert [notice.number for notice in answer.notices] == [2]
    for wrong_read in (pb.ReadPhoneNoticesRequest(after=-1), pb.ReadPhoneNoticesRequest(limit=-1)):
        assert await identity.refused(READ_NOTICES, wrong_read, identity.as_signing) == INVALID


async def test_only_signing_reads_and_acknowledges_notices(identity: Identity) -> None:
    await bind(identity, await identity.person())
    done = pb.AcknowledgePhoneNoticesRequest(through=1)
    for token in (identity.as_service, identity.as_operator, identity.as_registrar):
        request = pb.ReadPhoneNoticesRequest()
        assert await identity.refused(READ_NOTICES, request, token) == DENIED
        assert await identity.refused(ACKNOWLEDGE_NOTICES, done, token) == DENIED


async def test_a_phone_whose_certificate_was_revoked_is_told_as_ended(identity: Identity) -> None:
    person = await identity.person()
    lost, kept = await bind(identity, person), await bind(identity, person)
    await identity.revoke(lost.certificate, identity.as_operator)
    await notices(identity)
    await ending(identity).tidy()
    assert await told(identity) == [("REVOKED", lost.name, [(kept.name, "kk")])]
    await ending(identity).tidy()
    assert await told(identity) == []
    kinds = [event.kind for event in await events_of(identity, person)]
    assert kinds.count(PHONE_ENDED) == kinds.count(REVOKED) == 1


async def test_what_lapses_is_told_to_nobody(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    await bind(identity, person)
    phone = await ask(identity, person, card, identity.as_operator)
    await notices(identity)
    identity.clock.move(days=1)
    await ending(identity).tidy()
    assert await told(identity) == []
    assert (await get(identity, phone.name)).state == phones_pb2.PHONE_STATE_ENDED
