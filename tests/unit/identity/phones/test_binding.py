"""Who binds a phone, and how many people it takes; and that the SIM decides."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import grpc
import pytest
from cryptography import x509
from google.protobuf import message_factory

from qagazsyz.identity.v1 import certificates_pb2, phones_pb2
from services.identity.certificates.dual_control import PENDING_LIMIT
from services.identity.phones import store
from services.identity.phones.rules import PHONES_LIMIT
from services.runtime.descriptors import service_descriptors
from signatures import oids
from tests.unit.identity.phones import sims
from tests.unit.identity.phones.sims import (
    ACTIVE,
    APPROVE,
    BIND,
    COMPLETE,
    ENDED,
    PENDING,
    PENDING_APPROVAL,
    Card,
    approve,
    ask,
    bind,
    complete,
    completion,
    import_sims,
    new_card,
    unbind,
)
from tests.unit.identity.service import AUTHENTICATE, CONCURRENT, Identity, Role

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
FAILED = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


async def registrar(identity: Identity) -> str:
    return (await identity.official(Role.ROLE_REGISTRAR)).token


# --- How many people it takes ---------------------------------------------------------------------


async def test_a_registrar_alone_binds_the_phone_of_who_never_had_a_certificate(
    identity: Identity,
) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, await registrar(identity))
    assert phone.state == PENDING
    bound = await complete(identity, phone.name, card)
    assert bound.state == ACTIVE
    (certificate,) = await identity.certificates(person)
    assert certificate.name == bound.certificate
    assert certificate.info.on_sim
    assert certificate.info.policies == [oids.KEY_ON_SIM]
    assert certificate.info.usage == certificates_pb2.CERTIFICATE_USAGE_SIGN
    loaded = x509.load_der_x509_certificate(certificate.der)
    assert loaded.public_key() == card.key.public_key()
    assert loaded.not_valid_before_utc == identity.clock().replace(microsecond=0)


async def test_who_ever_had_a_certificate_takes_two_people_even_if_it_is_revoked(
    identity: Identity,
) -> None:
    person, card = await identity.person(), await new_card(identity)
    made, _ = await identity.issue(person)
    await identity.revoke(made.name, identity.as_operator)
    first, second = await registrar(identity), await registrar(identity)
    phone = await ask(identity, person, card, first)
    assert phone.state == PENDING_APPROVAL
    assert not (await sims.get(identity, phone.name)).challenge
    unsigned = phones_pb2.CompletePhoneRequest(name=phone.name, signature=card.sign(b""))
    assert await identity.refused(COMPLETE, unsigned, identity.as_signing) == FAILED
    request = phones_pb2.ApprovePhoneRequest(name=phone.name)
    assert await identity.refused(APPROVE, request, first) == DENIED
    assert (await approve(identity, phone.name, second)).state == PENDING
    assert await identity.refused(APPROVE, request, second) == FAILED
    assert (await complete(identity, phone.name, card)).state == ACTIVE


async def test_of_two_phones_that_one_registrar_binds_at_once_the_second_takes_two_people(
    identity: Identity,
) -> None:
    person, token = await identity.person(), await registrar(identity)
    cards = [await new_card(identity), await new_card(identity)]
    first, second = [await ask(identity, person, card, token) for card in cards]
    await complete(identity, first.name, cards[0])
    late = await completion(identity, second.name, cards[1])
    assert await identity.refused(COMPLETE, late, identity.as_signing) == FAILED
    assert len(await identity.certificates(person)) == 1


async def test_a_citizen_binds_their_phone_with_a_certificate_that_signs(
    identity: Identity,
) -> None:
    person, card = await identity.person(), await new_card(identity)
    made, _ = await identity.issue(person)
    fingerprint = made.name.rpartition("/")[2]
    phone = await ask(identity, person, card, identity.as_citizen(person, fingerprint))
    assert phone.state == PENDING
    assert phone.number == card.number
    bound = await complete(identity, phone.name, card)
    assert bound.state == ACTIVE
    # With the SIM's own key too: it signs.
    other, certificate = await new_card(identity), bound.certificate.rpartition("/")[2]
    again = await ask(identity, person, other, identity.as_citizen(person, certificate))
    assert again.state == PENDING


async def test_a_citizen_who_only_signs_in_waits_for_a_second_person(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    made, _ = await identity.issue(person, usage=AUTHENTICATE)
    token = identity.as_citizen(person, made.name.rpartition("/")[2])
    phone = await ask(identity, person, card, token)
    assert phone.state == PENDING_APPROVAL
    assert (await approve(identity, phone.name, await registrar(identity))).state == PENDING


async def test_a_citizen_whose_certificate_is_revoked_meanwhile_binds_nothing(
    identity: Identity,
) -> None:
    person, card = await identity.person(), await new_card(identity)
    made, _ = await identity.issue(person)
    token = identity.as_citizen(person, made.name.rpartition("/")[2])
    phone = await ask(identity, person, card, token)
    await identity.revoke(made.name, identity.as_operator)
    request = await completion(identity, phone.name, card)
    assert await identity.refused(COMPLETE, request, identity.as_signing) == FAILED


@pytest.mark.parametrize("who", ["asked", "approved"])
async def test_an_official_whose_certificate_is_revoked_meanwhile_bound_nothing(
    identity: Identity, who: str
) -> None:
    person, card = await identity.person(), await new_card(identity)
    await identity.issue(person)
    first, second = await identity.official(), await identity.official()
    phone = await ask(identity, person, card, first.token)
    await approve(identity, phone.name, second.token)
    thief = first if who == "asked" else second
    name = f"{thief.subject}/certificates/{thief.certificate}"
    await identity.revoke(name, identity.as_operator)
    request = await completion(identity, phone.name, card)
    assert await identity.refused(COMPLETE, request, identity.as_signing) == FAILED


async def test_a_dismissed_officials_binding_is_approved_by_nobody(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    await identity.issue(person)
    first, second = await identity.official(), await identity.official()
    phone = await ask(identity, person, card, first.token)
    await identity.dismiss(first.subject)
    request = phones_pb2.ApprovePhoneRequest(name=phone.name)
    assert await identity.refused(APPROVE, request, second.token) == FAILED


async def test_registrars_bind_no_phones_of_the_platforms_own(identity: Identity) -> None:
    official, card = await identity.official(), await new_card(identity)
    request = phones_pb2.BindPhoneRequest(subject=official.subject, number=card.number)
    assert await identity.refused(BIND, request, await registrar(identity)) == DENIED


# --- Who may not ----------------------------------------------------------------------------------


async def test_a_phone_is_bound_to_people_by_those_who_may(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    card, unlisted = await new_card(identity), Card()
    stranger = identity.as_citizen(await identity.person())
    nobody = f"subjects/{uuid.uuid4()}"
    token = await registrar(identity)
    for subject, number, who, expected in (
        (person, card.number, stranger, DENIED),
        (nobody, card.number, stranger, DENIED),
        (nobody, card.number, token, DENIED),
        (nobody, card.number, identity.as_operator, MISSING),
        (organization, card.number, token, DENIED),
        (organization, card.number, identity.as_operator, INVALID),
        (person, unlisted.number, token, FAILED),
        (person, "87011234567", token, INVALID),
        (person, "+7701123456٧", token, INVALID),
        (person, "", token, INVALID),
    ):
        request = phones_pb2.BindPhoneRequest(subject=subject, number=number)
        assert await identity.refused(BIND, request, who) == expected, (subject, number)
    wrong = phones_pb2.BindPhoneRequest(subject=person, number=card.number, language="de")
    assert await identity.refused(BIND, wrong, token) == INVALID


async def test_an_act_that_is_not_confirmed_binds_nothing(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    request = phones_pb2.BindPhoneRequest(subject=person, number=card.number)
    headers = [("authorization", f"Bearer {await registrar(identity)}")]
    code = await identity.refused(BIND, request, headers=headers)
    assert code == grpc.StatusCode.UNAUTHENTICATED
    async with identity.database.reading() as connection:
        assert await store.list_phones(connection, person) == []


async def test_the_same_request_twice_is_one_binding(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    request = phones_pb2.BindPhoneRequest(
        subject=person, number=card.number, request_id=str(uuid.uuid4())
    )
    token = await registrar(identity)
    first = await identity.call(BIND, request, token)
    assert await identity.call(BIND, request, token) == first
    request.number = (await new_card(identity)).number
    assert await identity.refused(BIND, request, token) == grpc.StatusCode.ALREADY_EXISTS


async def test_nobody_fills_a_persons_list_of_phones(identity: Identity) -> None:
    person, card, token = await identity.person(), await new_card(identity), identity.as_operator
    await identity.issue(person)
    for _ in range(PHONES_LIMIT):
        await ask(identity, person, card, token)
    request = phones_pb2.BindPhoneRequest(subject=person, number=card.number)
    assert await identity.refused(BIND, request, token) == EXHAUSTED
    identity.clock.move(days=1)
    await ask(identity, person, card, identity.as_operator)


async def test_nobody_asks_for_phones_without_end(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.identity.phones.binding.PENDING_LIMIT", 1)
    assert PENDING_LIMIT > 1
    card, token = await new_card(identity), await registrar(identity)
    await ask(identity, await identity.person(), card, token)
    request = phones_pb2.BindPhoneRequest(subject=await identity.person(), number=card.number)
    assert await identity.refused(BIND, request, token) == EXHAUSTED


async def test_nobody_has_a_strangers_phone_ask_on_and_on(identity: Identity) -> None:
    """Ending what was asked for makes no room for more before a day has passed."""
    person, card = await identity.person(), await new_card(identity)
    made, _ = await identity.issue(person)
    token = identity.as_citizen(person, made.name.rpartition("/")[2])
    for _ in range(PHONES_LIMIT):
        phone = await ask(identity, person, card, token)
        await unbind(identity, phone.name, token)
    request = phones_pb2.BindPhoneRequest(subject=person, number=card.number)
    assert await identity.refused(BIND, request, token) == EXHAUSTED
    await ask(identity, person, card, identity.as_operator)


# --- The SIM decides ------------------------------------------------------------------------------


async def test_only_the_sims_signature_over_this_challenge_binds(identity: Identity) -> None:
    person, card, token = await identity.person(), await new_card(identity), identity.as_operator
    phone = await ask(identity, person, card, token)
    other = await ask(identity, person, card, token)
    challenge = (await sims.get(identity, phone.name)).challenge
    assert challenge.startswith(b"qagazsyz phone v1\n")
    assert card.number.encode() not in challenge
    of_other = (await completion(identity, other.name, card)).signature
    good = card.sign(challenge)
    for signature in (
        of_other,
        Card().sign(challenge),
        good[32:] + good[:32],
        good[:63],
        bytes(64),
    ):
        request = phones_pb2.CompletePhoneRequest(name=phone.name, signature=signature)
        assert await identity.refused(COMPLETE, request, identity.as_signing) == INVALID
    assert await identity.certificates(person) == []
    request = phones_pb2.CompletePhoneRequest(name=phone.name, signature=good)
    first = await identity.call(COMPLETE, request, identity.as_signing)
    assert first.state == ACTIVE
    assert await identity.call(COMPLETE, request, identity.as_signing) == first
    assert len(await identity.certificates(person)) == 1


async def test_a_pending_binding_lapses_after_a_day(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, identity.as_operator)
    request = await completion(identity, phone.name, card)
    identity.clock.move(days=1)
    assert await identity.refused(COMPLETE, request, identity.as_signing) == FAILED
    assert (await sims.get(identity, phone.name)).state == ENDED


async def test_a_binding_ends_with_the_card_that_it_was_asked_for_with(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, identity.as_operator)
    request = await completion(identity, phone.name, card)
    await import_sims(identity, Card(number=card.number))
    assert await identity.refused(COMPLETE, request, identity.as_signing) == FAILED


async def test_completed_at_the_same_moment_it_is_bound_once(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, identity.as_operator)
    request = await completion(identity, phone.name, card)
    answers = await asyncio.gather(
        *(identity.call(COMPLETE, request, identity.as_signing) for _ in range(CONCURRENT))
    )
    assert {(each.state, each.certificate) for each in answers} == {
        (ACTIVE, answers[0].certificate)
    }
    assert len(await identity.certificates(person)) == 1


# --- Another holder -------------------------------------------------------------------------------


async def test_binding_tells_nothing_of_another_holder(identity: Identity) -> None:
    """The same answer, bit for bit, but for its name and time; and the holder's phone stays."""
    person, held, free = await identity.person(), await new_card(identity), await new_card(identity)
    theirs = await bind(identity, await identity.person(), held)
    await sims.notices(identity)
    answers = []
    for card in (held, free):
        phone = await ask(identity, person, card, await registrar(identity))
        phone.ClearField("name")
        phone.ClearField("number")
        phone.ClearField("create_time")
        answers.append(phone)
    assert answers[0] == answers[1]
    told = await sims.notices(identity)
    assert all(not notice.recipients for notice in told)
    assert (await sims.get(identity, theirs.name)).state == ACTIVE


async def test_the_sims_signature_for_another_ends_the_former_holders_phone(
    identity: Identity,
) -> None:
    father, son = await identity.person(), await identity.person()
    card = await new_card(identity)
    theirs = await bind(identity, father, card)
    identity.clock.move(minutes=10)
    mine = await bind(identity, son, card)
    assert mine.state == ACTIVE
    assert (await sims.get(identity, theirs.name)).state == ENDED
    (former,) = await identity.certificates(father)
    (present,) = await identity.certificates(son)
    assert former.revoke_time.seconds
    # At no moment are both good.
    assert present.not_before.seconds == former.revoke_time.seconds
    # And back again: the key moves with its card.
    assert (await bind(identity, father, card)).state == ACTIVE
    assert (await sims.get(identity, mine.name)).state == ENDED


async def test_a_key_that_is_certified_otherwise_does_not_move(identity: Identity) -> None:
    card = Card()
    await identity.issue(await identity.person(), key=card.key)
    await import_sims(identity, card)
    person = await identity.person()
    phone = await ask(identity, person, card, identity.as_operator)
    request = await completion(identity, phone.name, card)
    assert await identity.refused(COMPLETE, request, identity.as_signing) == FAILED
    assert await identity.certificates(person) == []


async def test_a_number_that_is_bound_anew_by_its_holder_has_one_phone(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    first = await bind(identity, person, card)
    identity.clock.move(days=200)
    second = await bind(identity, person, card)
    assert (await sims.get(identity, first.name)).state == ENDED
    assert (await sims.get(identity, second.name)).state == ACTIVE


# --- In the database ------------------------------------------------------------------------------


async def test_no_number_and_no_card_stands_in_the_database(identity: Identity) -> None:
    """Nor a hash of a request that the number could be guessed from."""
    card = await new_card(identity)
    person = await identity.person()
    request = phones_pb2.BindPhoneRequest(
        subject=person, number=card.number, request_id=str(uuid.uuid4())
    )
    await identity.call(BIND, request, identity.as_operator)
    from sqlalchemy import select

    from services.identity.tables import metadata
    from services.runtime.storage.idempotency import fingerprint

    guessable = fingerprint(request)
    async with identity.database.reading() as connection:
        for table in metadata.sorted_tables:
            for row in await connection.execute(select(table)):
                text = repr(tuple(row))
                assert card.number.removeprefix("+") not in text, table.name
                assert card.iccid not in text, table.name
                assert guessable not in tuple(row), table.name


def test_every_method_of_the_contract_is_tried_here() -> None:
    service = service_descriptors()["qagazsyz.identity.v1.PhoneService"]
    names = {value for name, value in vars(sims).items() if isinstance(value, str)}
    for method in service.methods:
        assert f"PhoneService/{method.name}" in names
        assert message_factory.GetMessageClass(method.input_type)


def test_a_binding_outlives_no_day() -> None:
    from services.identity.phones.rules import LAPSES_AFTER

    assert timedelta(days=1) == LAPSES_AFTER
