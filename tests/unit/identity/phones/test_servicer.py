"""Who reads and ends which phones, and what each of them sees of a number."""

from __future__ import annotations

import uuid

import grpc

from qagazsyz.identity.v1 import certificates_pb2, phones_pb2, subjects_pb2
from tests.unit.identity.phones import sims
from tests.unit.identity.phones.sims import (
    ACTIVE,
    ENDED,
    GET,
    LIST,
    MATCH,
    PENDING_APPROVAL,
    RESOLVE,
    RESOLVE_SIMS,
    UNBIND,
    Card,
    ask,
    bind,
    get,
    new_card,
    unbind,
)
from tests.unit.identity.service import Identity, Role

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND


def requests_service(identity: Identity) -> str:
    return identity.token(Role.ROLE_SERVICE, subject="services/requests", internal=True)


async def test_each_sees_of_a_phone_what_they_may(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await bind(identity, person, card, "ru")
    asked = phones_pb2.GetPhoneRequest(name=phone.name)
    listing = phones_pb2.ListPhonesRequest(subject=person)
    for token, number, is_service in (
        (identity.as_citizen(person), card.number, False),
        (identity.as_registrar, card.number[-2:], False),
        (identity.as_signing, card.number, True),
        (requests_service(identity), card.number, True),
    ):
        found = await identity.call(GET, asked, token)
        assert list((await identity.call(LIST, listing, token)).phones) == [found]
        assert found.number == number
        assert (found.state, found.language, found.certificate) == (ACTIVE, "ru", phone.certificate)
        assert bool(found.sim) == is_service
        assert found.public_key == (card.public_key if is_service else b"")
        assert not found.challenge


async def test_others_see_no_phone_and_learn_not_whether_there_is_one(identity: Identity) -> None:
    person = await identity.person()
    phone = await bind(identity, person)
    nobody = f"subjects/{uuid.uuid4()}"
    for token in (
        identity.as_citizen(await identity.person()),
        # An operator is a citizen too, and no registrar.
        identity.as_operator,
        identity.as_auditor,
        identity.as_officer(person),
        identity.as_service,
    ):
        for name in (phone.name, f"{nobody}/phones/{uuid.uuid4()}"):
            request = phones_pb2.GetPhoneRequest(name=name)
            assert await identity.refused(GET, request, token) == DENIED
        for subject in (person, nobody):
            asked = phones_pb2.ListPhonesRequest(subject=subject)
            assert await identity.refused(LIST, asked, token) == DENIED
    missing = phones_pb2.GetPhoneRequest(name=f"{person}/phones/{uuid.uuid4()}")
    assert await identity.refused(GET, missing, identity.as_registrar) == MISSING
    wrong = phones_pb2.GetPhoneRequest(name=person)
    assert await identity.refused(GET, wrong, identity.as_registrar) == INVALID


async def test_whose_phone_a_message_came_from(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    request = phones_pb2.ResolvePhoneRequest(number=card.number)
    waiting = await ask(identity, await identity.person(), card, identity.as_operator)
    assert await identity.refused(RESOLVE, request, identity.as_signing) == MISSING
    phone = await bind(identity, person, card)
    for token in (identity.as_signing, requests_service(identity)):
        assert (await identity.call(RESOLVE, request, token)).name == phone.name != waiting.name
    for token in (identity.as_operator, identity.as_citizen(person), identity.as_service):
        assert await identity.refused(RESOLVE, request, token) == DENIED
    unknown = phones_pb2.ResolvePhoneRequest(number=Card().number)
    assert await identity.refused(RESOLVE, unknown, identity.as_signing) == MISSING
    malformed = phones_pb2.ResolvePhoneRequest(number="8701")
    assert await identity.refused(RESOLVE, malformed, identity.as_signing) == INVALID
    await unbind(identity, phone.name, identity.as_citizen(person))
    assert await identity.refused(RESOLVE, request, identity.as_signing) == MISSING


async def test_which_cards_the_lists_have(identity: Identity) -> None:
    first, second, unknown = await new_card(identity), await new_card(identity), Card()
    request = phones_pb2.ResolveSimsRequest(
        iccids=[second.iccid, unknown.iccid, first.iccid, second.iccid]
    )
    found = list((await identity.call(RESOLVE_SIMS, request, identity.as_signing)).sims)
    assert (found[0], found[1]) == (found[3], "")
    phone = await bind(identity, await identity.person(), first)
    assert (await get(identity, phone.name)).sim == found[2]
    malformed = phones_pb2.ResolveSimsRequest(iccids=[first.iccid, "x"])
    assert await identity.refused(RESOLVE_SIMS, malformed, identity.as_signing) == INVALID
    for token in (requests_service(identity), identity.as_operator):
        assert await identity.refused(RESOLVE_SIMS, request, token) == DENIED


async def test_a_holder_or_a_registrar_unbinds_and_the_certificate_is_revoked(
    identity: Identity,
) -> None:
    person = await identity.person()
    for token in (identity.as_citizen(person), identity.as_registrar):
        phone = await bind(identity, person)
        ended = await unbind(identity, phone.name, token)
        assert ended.state == ENDED
        assert await unbind(identity, phone.name, token) == ended
        certificate = await identity.call(
            "CertificateService/GetCertificate",
            certificates_pb2.GetCertificateRequest(name=phone.certificate),
            identity.as_operator,
        )
        assert certificate.revocation_reason == (
            certificates_pb2.REVOCATION_REASON_CESSATION_OF_OPERATION
        )
    listed = await identity.call(
        LIST, phones_pb2.ListPhonesRequest(subject=person), identity.as_registrar
    )
    assert not listed.phones


async def test_a_holder_ends_what_others_ask_for_in_their_name(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    await identity.issue(person)
    phone = await ask(identity, person, card, identity.as_operator)
    assert phone.state == PENDING_APPROVAL
    assert (await unbind(identity, phone.name, identity.as_citizen(person))).state == ENDED


async def test_nobody_else_unbinds(identity: Identity) -> None:
    person = await identity.person()
    phone = await bind(identity, person)
    for token in (
        identity.as_citizen(await identity.person()),
        identity.as_operator,
        identity.as_officer(person),
        identity.as_signing,
    ):
        for name in (phone.name, f"{person}/phones/{uuid.uuid4()}"):
            request = phones_pb2.UnbindPhoneRequest(name=name)
            assert await identity.refused(UNBIND, request, token) == DENIED
    assert (await get(identity, phone.name)).state == ACTIVE


async def test_only_signing_completes(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await ask(identity, person, card, identity.as_operator)
    request = await sims.completion(identity, phone.name, card)
    for token in (
        identity.as_operator,
        identity.as_citizen(person),
        identity.as_service,
        requests_service(identity),
    ):
        assert await identity.refused(sims.COMPLETE, request, token) == DENIED
    missing = phones_pb2.CompletePhoneRequest(
        name=f"{person}/phones/{uuid.uuid4()}", signature=request.signature
    )
    assert await identity.refused(sims.COMPLETE, missing, identity.as_signing) == MISSING


async def test_a_phone_ends_with_its_certificate(identity: Identity) -> None:
    person = await identity.person()
    revoked, expired = await bind(identity, person), await bind(identity, person)
    await identity.revoke(revoked.certificate, identity.as_operator)
    assert (await get(identity, revoked.name)).state == ENDED
    assert (await get(identity, expired.name)).state == ACTIVE
    identity.clock.move(days=366)
    assert (await get(identity, expired.name)).state == ENDED


async def test_number_and_iin_match_only_their_own_phone(identity: Identity) -> None:
    person, other = await identity.person(), await identity.person()
    iin, other_iin = await iin_of(identity, person), await iin_of(identity, other)
    phone = await bind(identity, person)
    number = (await get(identity, phone.name)).number
    waiting = await new_card(identity)
    await ask(identity, other, waiting, identity.as_registrar)

    async def match(number: str, iin: str) -> phones_pb2.MatchPhoneResponse:
        request = phones_pb2.MatchPhoneRequest(number=number, iin=iin)
        answer: phones_pb2.MatchPhoneResponse = await identity.call(
            MATCH, request, identity.as_signing
        )
        return answer

    found = await match(number, iin)
    assert found.phone.name == phone.name
    for wrong in ((number, other_iin), (number, "000000000000"), (waiting.number, other_iin)):
        answer = await match(*wrong)
        assert not answer.HasField("phone")
        # Attempts at the same number count together, whatever the IIN.
        assert (answer.number_key == found.number_key) == (wrong[0] == number)
        assert number[1:] not in answer.number_key
    for malformed in ((number, "1"), ("7701", iin)):
        request = phones_pb2.MatchPhoneRequest(number=malformed[0], iin=malformed[1])
        assert await identity.refused(MATCH, request, identity.as_signing) == INVALID
    request = phones_pb2.MatchPhoneRequest(number=number, iin=iin)
    for token in (identity.as_operator, requests_service(identity)):
        assert await identity.refused(MATCH, request, token) == DENIED
    await unbind(identity, phone.name, identity.as_registrar)
    assert not (await match(number, iin)).HasField("phone")


async def iin_of(identity: Identity, subject: str) -> str:
    request = subjects_pb2.GetSubjectRequest(name=subject)
    found = await identity.call("SubjectService/GetSubject", request, identity.as_operator)
    return str(found.person.iin)
