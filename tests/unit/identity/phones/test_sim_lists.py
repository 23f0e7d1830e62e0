"""Lists of SIMs and reports of swaps: a number with another card has another phone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qagazsyz.identity.v1 import certificates_pb2, events_pb2, phones_pb2
from tests.unit.identity.phones import sims
from tests.unit.identity.phones.sims import (
    ACTIVE,
    BIND,
    COMPLETE,
    ENDED,
    IMPORT,
    REPORT,
    Card,
    ask,
    bind,
    complete,
    completion,
    get,
    import_sims,
    new_card,
)
from tests.unit.identity.service import CONCURRENT, Identity

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED = grpc.StatusCode.FAILED_PRECONDITION
SWAPPED = events_pb2.PHONE_NOTICE_KIND_SWAPPED


async def report(identity: Identity, *numbers: str, token: str = "") -> None:
    request = phones_pb2.ReportSimSwapRequest(numbers=numbers)
    answer = await identity.call(REPORT, request, token or identity.as_operator)
    assert answer == phones_pb2.ReportSimSwapResponse()


async def revoked(identity: Identity, phone: phones_pb2.Phone) -> bool:
    request = certificates_pb2.GetCertificateRequest(name=phone.certificate)
    found = await identity.call("CertificateService/GetCertificate", request, identity.as_operator)
    return bool(found.HasField("revoke_time"))


def spki(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- Lists ----------------------------------------------------------------------------------------


async def test_the_same_list_again_changes_nothing(identity: Identity) -> None:
    card = await new_card(identity)
    phone = await bind(identity, await identity.person(), card)
    await sims.notices(identity)
    await import_sims(identity, card, Card())
    assert (await get(identity, phone.name)).state == ACTIVE
    assert await sims.notices(identity) == []


@pytest.mark.parametrize("what", ["card", "key"])
async def test_another_card_behind_a_number_is_a_swap(identity: Identity, what: str) -> None:
    card = await new_card(identity)
    phone = await bind(identity, await identity.person(), card)
    await sims.notices(identity)
    other = replace(card, iccid=Card().iccid) if what == "card" else replace(card, key=Card().key)
    await import_sims(identity, other)
    assert (await get(identity, phone.name)).state == ENDED
    assert await revoked(identity, phone)
    (notice,) = await sims.notices(identity)
    assert (notice.kind, notice.phone) == (SWAPPED, phone.name)
    # The new card is bound by its own signature.
    again = await ask(identity, await identity.person(), other, identity.as_operator)
    assert (await complete(identity, again.name, other)).state == ACTIVE


async def test_cards_that_changed_places_are_two_swaps(identity: Identity) -> None:
    cards = [await new_card(identity), await new_card(identity)]
    phones = [await bind(identity, await identity.person(), card) for card in cards]
    first, second = cards
    await import_sims(
        identity, replace(second, number=first.number), replace(first, number=second.number)
    )
    for phone in phones:
        assert (await get(identity, phone.name)).state == ENDED
        assert await revoked(identity, phone)


async def test_a_card_that_went_to_another_number_ends_the_phone_of_the_old_one(
    identity: Identity,
) -> None:
    card = await new_card(identity)
    phone = await bind(identity, await identity.person(), card)
    await import_sims(identity, replace(card, number=Card().number))
    assert (await get(identity, phone.name)).state == ENDED
    request = phones_pb2.BindPhoneRequest(subject=await identity.person(), number=card.number)
    assert await identity.refused(BIND, request, identity.as_operator) == FAILED


async def test_a_list_with_one_wrong_sim_is_not_imported(identity: Identity) -> None:
    good, other = Card(), Card()
    p384 = ec.generate_private_key(ec.SECP384R1())
    for wrong in (
        phones_pb2.Sim(number="87011234567", iccid=other.iccid, public_key=other.public_key),
        phones_pb2.Sim(number=other.number, iccid="1", public_key=other.public_key),
        phones_pb2.Sim(number=other.number, iccid=other.iccid, public_key=b"key"),
        phones_pb2.Sim(number=other.number, iccid=other.iccid, public_key=spki(p384)),
        phones_pb2.Sim(
            number=other.number,
            iccid=other.iccid,
            public_key=spki(ed25519.Ed25519PrivateKey.generate()),
        ),
        phones_pb2.Sim(number=other.number, iccid=other.iccid),
        replace(other, number=good.number).listed,
        replace(other, iccid=good.iccid).listed,
    ):
        request = phones_pb2.ImportSimsRequest(sims=[good.listed, wrong])
        assert await identity.refused(IMPORT, request, identity.as_operator) == INVALID
    many = phones_pb2.ImportSimsRequest(sims=[good.listed] * 1_001)
    assert await identity.refused(IMPORT, many, identity.as_operator) == INVALID
    bound = phones_pb2.BindPhoneRequest(subject=await identity.person(), number=good.number)
    assert await identity.refused(BIND, bound, identity.as_operator) == FAILED


async def test_a_list_of_a_thousand_is_imported_at_once(identity: Identity) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    cards = [Card(key=key) for _ in range(1_000)]
    await import_sims(identity, *cards)
    await import_sims(identity, *(replace(card, iccid=Card().iccid) for card in cards))


async def test_only_operators_import(identity: Identity) -> None:
    request = phones_pb2.ImportSimsRequest(sims=[Card().listed])
    for token in (
        identity.as_registrar,
        identity.as_auditor,
        identity.as_citizen("subjects/x"),
        identity.as_officer("subjects/x"),
        identity.as_signing,
    ):
        assert await identity.refused(IMPORT, request, token) == DENIED


# --- Reports --------------------------------------------------------------------------------------


async def test_a_report_ends_phone_certificate_and_pending_bindings_at_once(
    identity: Identity,
) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await bind(identity, person, card)
    pending = await ask(identity, await identity.person(), card, identity.as_operator)
    request = await completion(identity, pending.name, card)
    await sims.notices(identity)
    await report(identity, card.number, Card().number)
    assert (await get(identity, phone.name)).state == ENDED
    assert (await get(identity, pending.name)).state == ENDED
    assert await revoked(identity, phone)
    assert await identity.refused(COMPLETE, request, identity.as_signing) == FAILED
    told = await sims.notices(identity)
    assert {(notice.kind, notice.phone) for notice in told} == {
        (SWAPPED, phone.name),
        (SWAPPED, pending.name),
    }
    # Nobody binds the old card until a list has it.
    anew = phones_pb2.BindPhoneRequest(subject=person, number=card.number)
    assert await identity.refused(BIND, anew, identity.as_operator) == FAILED
    await import_sims(identity, card)
    await ask(identity, person, card, identity.as_operator)


async def test_who_signed_in_with_a_swapped_sim_confirms_nothing_more(identity: Identity) -> None:
    person, card = await identity.person(), await new_card(identity)
    phone = await bind(identity, person, card)
    certificate = await identity.call(
        "CertificateService/GetCertificate",
        certificates_pb2.GetCertificateRequest(name=phone.certificate),
        identity.as_operator,
    )
    assert (await identity.sign_in(certificate.der, card.key)).subject == person
    exchange = await identity.exchange(certificate.der, card.key)
    await report(identity, card.number)
    code = await identity.refused("TokenService/ExchangeToken", exchange)
    assert code == grpc.StatusCode.UNAUTHENTICATED


async def test_known_and_unknown_numbers_are_answered_alike(identity: Identity) -> None:
    card, listed = await new_card(identity), await new_card(identity)
    await bind(identity, await identity.person(), card)
    for number in (card.number, listed.number, Card().number, card.number):
        await report(identity, number)
    wrong = phones_pb2.ReportSimSwapRequest(numbers=[Card().number, "8701"])
    assert await identity.refused(REPORT, wrong, identity.as_operator) == INVALID


async def test_only_systems_of_listed_organizations_report(identity: Identity) -> None:
    network, bank = await identity.organization("Network"), await identity.organization("Bank")
    card = await new_card(identity)
    phone = await bind(identity, await identity.person(), card)
    request = phones_pb2.ReportSimSwapRequest(numbers=[card.number])
    system = identity.as_officer(network, subject=network)
    assert await identity.refused(REPORT, request, system) == DENIED
    identity.swap_reporters.add(network)
    for token in (
        identity.as_officer(network, subject=await identity.person()),
        identity.as_officer(bank, subject=bank),
        identity.as_registrar,
        identity.as_citizen(network),
        identity.as_signing,
    ):
        assert await identity.refused(REPORT, request, token) == DENIED
    assert (await get(identity, phone.name)).state == ACTIVE
    await report(identity, card.number, token=system)
    assert (await get(identity, phone.name)).state == ENDED


async def test_a_swap_and_a_completion_at_the_same_moment_leave_no_phone(
    identity: Identity,
) -> None:
    """Whichever is first: a phone that is bound then has ended, or never is."""
    asked = []
    for _ in range(CONCURRENT):
        card = await new_card(identity)
        phone = await ask(identity, await identity.person(), card, identity.as_operator)
        asked.append((card, phone, await completion(identity, phone.name, card)))
    calls = [identity.call(COMPLETE, request, identity.as_signing) for _, _, request in asked]
    swaps = [report(identity, card.number) for card, _, _ in asked]
    answers = await asyncio.gather(*calls, *swaps, return_exceptions=True)
    # A completion may come too late; a report is always taken.
    assert not [answer for answer in answers[len(calls) :] if isinstance(answer, BaseException)]
    for _, phone, _ in asked:
        assert (await get(identity, phone.name)).state == ENDED
        for certificate in await identity.certificates(phone.name.partition("/phones/")[0]):
            assert certificate.HasField("revoke_time")
