"""An organization asks for consent: the person reads who and why, and signs or declines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.registry.v1 import consent_requests_pb2 as pb
from qagazsyz.registry.v1 import consents_pb2, delegated_pb2
from qagazsyz.request_texts import ConsentStatement, WithdrawalStatement
from services.registry.audit.record_audit import check_records
from services.registry.audit.source import all_records
from services.registry.model.consent_requests import PERSON_DAILY_LIMIT, WAITS_FOR
from services.runtime.access import Caller
from services.runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
)
from tests.unit.registry.delegation.builders import requests_service, signed
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    CITIZEN_IIN,
    FIRST_BANK,
    PLATFORM,
    PURPOSE,
    SPOUSE,
    World,
    bank_officer,
    by,
    citizen,
    other_bank_officer,
    spouse,
    verified,
)

WAITING, GIVEN = pb.CONSENT_REQUEST_STATE_WAITING, pb.CONSENT_REQUEST_STATE_GIVEN
DECLINED, LAPSED = pb.CONSENT_REQUEST_STATE_DECLINED, pb.CONSENT_REQUEST_STATE_LAPSED
NOBODYS_IIN = "850505300018"


async def ask(
    world: World, iin: str = CITIZEN_IIN, request_id: str = "", **changes: Any
) -> pb.ConsentRequest:
    """Ask as the first bank's teller, a second after whatever was before: names sort by time."""
    world.clock.now += timedelta(seconds=1)
    members: dict[str, Any] = {
        "document_type": ADDRESS,
        "purpose": PURPOSE,
        "purpose_text": "For your mortgage",
    }
    request = pb.CreateConsentRequestRequest(
        consent_request=pb.ConsentRequest(**members | changes), iin=iin, request_id=request_id
    )
    return await world.registry.consent_requests.CreateConsentRequest(request, by(bank_officer))


async def get(world: World, name: str, caller: Caller = citizen) -> pb.ConsentRequest:
    request = pb.GetConsentRequestRequest(name=name)
    return await world.registry.consent_requests.GetConsentRequest(request, by(caller))


async def waiting(world: World, caller: Caller = citizen) -> list[str]:
    request = pb.ListConsentRequestsRequest()
    response = await world.registry.consent_requests.ListConsentRequests(request, by(caller))
    return [each.name for each in response.consent_requests]


async def decline(world: World, name: str, caller: Caller = citizen) -> pb.ConsentRequest:
    request = pb.DeclineConsentRequestRequest(name=name)
    return await world.registry.consent_requests.DeclineConsentRequest(request, by(caller))


async def sign_in_person(
    world: World, name: str, statement: signatures_pb2.SignedText, caller: Caller = citizen
) -> pb.ConsentRequest:
    request = pb.SignConsentRequestRequest(name=name, statement=statement)
    return await world.registry.consent_requests.SignConsentRequest(request, by(caller))


async def grant(world: World, statement: signatures_pb2.SignedText) -> consents_pb2.Consent:
    """Bring a signed statement as the service requests."""
    request = delegated_pb2.GrantConsentForSubjectRequest(statement=statement)
    return await world.registry.delegated.GrantConsentForSubject(request, by(requests_service))


async def read_waiting(world: World, after: str = "") -> list[pb.ConsentRequest]:
    """What the service requests is told, to tell the people."""
    request = delegated_pb2.ReadConsentRequestsRequest(after=after)
    response = await world.registry.delegated.ReadConsentRequests(request, by(requests_service))
    return list(response.consent_requests)


@pytest.fixture
async def asked(world: World) -> AsyncIterator[pb.ConsentRequest]:
    """The request, as the person reads it."""
    yield await get(world, (await ask(world)).name)


async def test_a_person_reads_who_and_why_and_signs_exactly_that(
    world: World, asked: pb.ConsentRequest
) -> None:
    assert await waiting(world) == [asked.name]
    read = ConsentStatement.parse(asked.statement.encode())
    assert (read.organization, read.purpose_text) == (FIRST_BANK, "For your mortgage")
    consent = await grant(world, signed(asked.statement.encode(), CITIZEN))
    assert (consent.subject, consent.organization, consent.purpose) == (
        CITIZEN,
        FIRST_BANK,
        PURPOSE,
    )
    assert consent.expire_time == asked.expire_time
    assert verified(consent.grant_receipt).entry["event"] == "consented"
    told = await get(world, asked.name, bank_officer)
    assert (told.state, told.consent, told.subject) == (GIVEN, consent.name, CITIZEN)
    assert await waiting(world) == []
    await world.register()
    assert (await world.look_up()).documents


async def test_it_is_given_once_and_a_repeat_returns_the_same_consent(
    world: World, asked: pb.ConsentRequest
) -> None:
    statement = signed(asked.statement.encode(), CITIZEN)
    consent = await grant(world, statement)
    assert await grant(world, statement) == consent
    await world.withdraw(consent.name)
    # A statement that was used gives no consent again after the withdrawal.
    again = await grant(world, statement)
    assert again.name == consent.name
    assert again.HasField("withdraw_time")
    await world.register()
    await world.look_up_refused()
    with pytest.raises(FailedPrecondition):
        await decline(world, asked.name)


async def test_a_signed_in_person_gives_it_too(world: World, asked: pb.ConsentRequest) -> None:
    statement = signed(asked.statement.encode(), CITIZEN)
    with pytest.raises(PermissionDenied):
        await sign_in_person(world, asked.name, statement, spouse)
    with pytest.raises(PermissionDenied):
        await sign_in_person(world, asked.name, signed(asked.statement.encode(), SPOUSE))
    given = await sign_in_person(world, asked.name, statement)
    assert given.state == GIVEN
    assert await world.list_consents(citizen) == [given.consent]


async def test_nothing_but_the_persons_signature_over_this_statement_gives_it(
    world: World, asked: pb.ConsentRequest
) -> None:
    text = asked.statement.encode()
    read = ConsentStatement.parse(text)
    with pytest.raises(PermissionDenied):
        await grant(world, signed(text, SPOUSE))
    forged = signed(text, CITIZEN)
    forged.signature = bytes(32)
    with pytest.raises(PermissionDenied):
        await grant(world, forged)
    values: dict[str, Any] = {
        "platform": "test.example",
        "request": "consentRequests/other",
        "subject": SPOUSE,
        "organization": "subjects/second-bank",
        "document_type": "documentTypes/marriage-certificate",
        "purpose": "other",
        "purpose_text": "",
        "expire_time": read.expire_time + timedelta(days=1),
    }
    for member, value in values.items():
        changed = {name: getattr(read, name) for name in values} | {member: value}
        with pytest.raises(PermissionDenied):
            await grant(world, signed(ConsentStatement(**changed).encode(), CITIZEN))
    with pytest.raises(InvalidArgument):
        await grant(world, signed(b"qagazsyz consent v1\n{}", CITIZEN))
    assert await world.list_consents(citizen) == []
    assert (await get(world, asked.name)).state == WAITING


async def test_declined_is_declined(world: World, asked: pb.ConsentRequest) -> None:
    with pytest.raises(PermissionDenied):
        await decline(world, asked.name, spouse)
    assert (await decline(world, asked.name)).state == DECLINED
    assert (await decline(world, asked.name)).state == DECLINED
    with pytest.raises(FailedPrecondition):
        await grant(world, signed(asked.statement.encode(), CITIZEN))
    told = await get(world, asked.name, bank_officer)
    assert (told.state, told.subject, told.statement) == (DECLINED, "", "")
    assert await waiting(world) == []


async def test_it_lapses_within_a_day(world: World, asked: pb.ConsentRequest) -> None:
    world.clock.now += WAITS_FOR
    assert (await get(world, asked.name)).state == LAPSED
    assert await waiting(world) == []
    assert await read_waiting(world) == []
    with pytest.raises(FailedPrecondition):
        await grant(world, signed(asked.statement.encode(), CITIZEN))
    with pytest.raises(FailedPrecondition):
        await decline(world, asked.name)


async def test_the_organization_does_not_learn_whether_there_is_such_a_person(
    world: World,
) -> None:
    known, unknown = await ask(world), await ask(world, NOBODYS_IIN)
    for each in (known, unknown):
        assert (each.subject, each.statement, each.state) == ("", "", WAITING)
    for name in ("name", "create_time", "expire_time"):
        known.ClearField(name)
        unknown.ClearField(name)
    assert known == unknown
    world.clock.now += WAITS_FOR
    states = [
        (await get(world, name, bank_officer)).state for name in await waiting(world, bank_officer)
    ]
    assert states == [LAPSED, LAPSED]


async def test_a_person_is_not_worn_down(world: World) -> None:
    made = [(await ask(world)).name for _ in range(PERSON_DAILY_LIMIT + 2)]
    assert sorted(await waiting(world)) == made[:PERSON_DAILY_LIMIT]
    assert sorted(await waiting(world, bank_officer)) == made
    world.clock.now += WAITS_FOR
    later = await ask(world)
    assert await waiting(world) == [later.name]


async def test_only_who_asks_and_who_is_asked_read_it(
    world: World, asked: pb.ConsentRequest
) -> None:
    for caller in (spouse, other_bank_officer):
        with pytest.raises(PermissionDenied):
            await get(world, asked.name, caller)
        assert await waiting(world, caller) == []
    with pytest.raises(PermissionDenied):
        await get(world, "consentRequests/none")


async def test_requests_is_told_who_is_asked_and_reads_on(world: World) -> None:
    first, second = (await ask(world)).name, (await ask(world)).name
    await ask(world, NOBODYS_IIN)
    told = await read_waiting(world)
    assert [(each.name, each.subject) for each in told] == [(first, CITIZEN), (second, CITIZEN)]
    assert [each.name for each in await read_waiting(world, first)] == [second]


async def test_a_repeat_with_the_same_id_asks_once(world: World) -> None:
    id_ = "01a4c9d2-3b7d-7000-8000-000000000001"
    first = await ask(world, request_id=id_)
    assert await ask(world, request_id=id_) == first
    with pytest.raises(AlreadyExists):
        await ask(world, request_id=id_, purpose="other")
    with pytest.raises(AlreadyExists):
        await ask(world, NOBODYS_IIN, request_id=id_)


async def test_what_cannot_be_consented_to_is_not_asked(world: World) -> None:
    soon = Timestamp(seconds=int(NOW.timestamp()) + 86_400, nanos=1)
    wrong: list[dict[str, Any]] = [
        {"iin": "12345"},
        {"document_type": "documentTypes/none"},
        {"purpose": "Not a code"},
        {"purpose_text": " "},
        {"purpose_text": "x" * 2_001},
        {"expire_time": Timestamp(seconds=int(NOW.timestamp()) - 1)},
        {"expire_time": Timestamp(seconds=int(NOW.timestamp()) + 400 * 86_400)},
        {"expire_time": soon},
    ]
    for changes in wrong:
        with pytest.raises(InvalidArgument):
            await ask(world, **changes)
    assert await waiting(world, bank_officer) == []


async def test_a_consent_is_withdrawn_by_a_signature(
    world: World, asked: pb.ConsentRequest
) -> None:
    consent = await grant(world, signed(asked.statement.encode(), CITIZEN))

    async def withdraw(text: WithdrawalStatement, signer: str = CITIZEN) -> consents_pb2.Consent:
        request = delegated_pb2.WithdrawConsentForSubjectRequest(
            statement=signed(text.encode(), signer)
        )
        return await world.registry.delegated.WithdrawConsentForSubject(
            request, by(requests_service)
        )

    right = WithdrawalStatement(platform=PLATFORM, consent=consent.name, subject=CITIZEN)
    for text, signer in (
        (right, SPOUSE),
        (WithdrawalStatement(platform=PLATFORM, consent=consent.name, subject=SPOUSE), SPOUSE),
        (WithdrawalStatement(platform="test", consent=consent.name, subject=CITIZEN), CITIZEN),
        (WithdrawalStatement(platform=PLATFORM, consent="consents/x", subject=CITIZEN), CITIZEN),
    ):
        with pytest.raises(PermissionDenied):
            await withdraw(text, signer)
    withdrawn = await withdraw(right)
    assert withdrawn.HasField("withdraw_time")
    assert (await withdraw(right)).withdraw_time == withdrawn.withdraw_time
    await world.register()
    await world.look_up_refused()
    async with world.database.snapshot() as connection:
        found = [each async for each in _entries(connection)]
        assert await check_records(connection, len(found), all_records) == []


async def _entries(connection: Any) -> AsyncIterator[Any]:
    async for record in all_records(connection):
        yield record
