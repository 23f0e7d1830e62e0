"""Who may ask, read and cancel; and that no officer gets past anybody's screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from phones.outcomes import Outcome
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
)
from services.runtime.server import Call
from tests.unit.signing.mobile.world import World, citizen, officer, operator, service

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRANGER = "subjects/018f0000-0000-7000-8000-00000000000e"
CANCELLED = pb.MOBILE_SIGNATURE_STATE_CANCELLED
BUSY = pb.MOBILE_SIGNATURE_OUTCOME_BUSY


async def listed(world: World, subject: str) -> list[pb.MobileSignature]:
    request = pb.ListMobileSignaturesRequest(subject=subject, page_size=1)
    found: list[pb.MobileSignature] = []
    while True:
        page = await world.servicer.ListMobileSignatures(request, citizen(subject))
        found += page.mobile_signatures
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def test_an_organization_with_leave_asks_under_its_short_name(world: World) -> None:
    subject, _ = await world.person()
    bank = world.organization("Bank")
    created = await world.create(subject, officer(bank))
    assert created.display_text == "Bank: contract 17"
    assert created.requester == bank
    signed = await world.until(created.name)
    assert signed.signature
    # The person sees who asked.
    (seen,) = await listed(world, subject)
    assert seen == signed


async def test_an_organization_without_leave_asks_nobody(world: World) -> None:
    subject, subscriber = await world.person()
    with pytest.raises(PermissionDenied):
        await world.create(subject, officer("subjects/unknown"))
    assert world.asked(subscriber) == 0


async def test_nobody_asks_others_or_with_the_platforms_purposes(world: World) -> None:
    subject, _ = await world.person()
    bank = officer(world.organization())
    with pytest.raises(PermissionDenied):
        await world.create(subject, citizen(STRANGER))
    with pytest.raises(PermissionDenied):
        await world.create(subject, operator())
    for purpose in (2, 3, 4, 5):
        for caller in (citizen(subject), bank):
            with pytest.raises(PermissionDenied):
                await world.create(
                    subject, caller, message=b"qagazsyz sign-in v1\n", purpose=purpose
                )
    for caller in (citizen(subject), bank, service()):
        with pytest.raises(InvalidArgument) as refused:
            await world.create(subject, caller, message=b"qagazsyz sign-in v1\n")
        assert refused.value.field == "message"


@pytest.mark.parametrize(
    "text", ["line\nbreak", "end\r", "a\u202eb", "Каspi", "қ" * 51, "two  spaces"]
)
async def test_no_officers_text_gets_past_the_screen(world: World, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await world.create(STRANGER, officer(world.organization()), text=text)
    assert refused.value.field == "display_text"


async def test_whoever_pushes_on_waits_longer_each_time(world: World) -> None:
    subject, subscriber = await world.person(Outcome.CANCELS)
    bank = officer(world.organization())
    for minutes in (10, 60, 600):
        created = await world.create(subject, bank)
        await world.until(created.name)
        with pytest.raises(ResourceExhausted) as refused:
            await world.create(subject, bank)
        assert refused.value.retry_after_seconds == minutes * 60
        await world.advance(minutes * 60)
    assert world.asked(subscriber) == 3


async def test_an_own_session_ends_a_foreign_one_and_not_the_other_way(world: World) -> None:
    subject, _ = await world.person(Outcome.SILENT)
    bank = officer(world.organization())
    theirs = await world.create(subject, bank)
    own = await world.create(subject)
    ended = await world.get(theirs.name, bank)
    assert (ended.state, ended.outcome) == (CANCELLED, BUSY)
    with pytest.raises(FailedPrecondition) as refused:
        await world.create(subject, officer(world.organization()))
    assert refused.value.reason == "SESSION_OPEN"
    await world.cancel(own.name, citizen(subject))


async def test_requester_subject_and_services_read_and_nobody_else(world: World) -> None:
    nobody = await world.identity.person()
    bank = world.organization()
    created = await world.create(nobody, officer(bank))
    for caller in (officer(bank), citizen(nobody), service("registry")):
        assert await world.get(created.name, caller) == created
    unknown = "mobileSignatures/018f0000-0000-7000-8000-00000000000d"
    for caller in (officer(world.organization()), citizen(STRANGER), operator()):
        for name in (created.name, unknown):
            with pytest.raises(PermissionDenied):
                await world.get(name, caller)
            with pytest.raises(PermissionDenied):
                await world.cancel(name, caller)
    with pytest.raises(PermissionDenied):
        request = pb.ListMobileSignaturesRequest(subject=nobody)
        await world.servicer.ListMobileSignatures(request, citizen(STRANGER))


async def test_cancelled_by_its_subject_it_is_refused(world: World) -> None:
    nobody = await world.identity.person()
    bank = officer(world.organization())
    created = await world.create(nobody, bank)
    ended = await world.cancel(created.name, citizen(nobody))
    assert ended.outcome == pb.MOBILE_SIGNATURE_OUTCOME_USER_CANCELLED
    with pytest.raises(ResourceExhausted):
        await world.create(nobody, bank)
    other = officer(world.organization())
    withdrawn = await world.create(nobody, other)
    ended = await world.cancel(withdrawn.name, other)
    assert (ended.state, ended.outcome) == (CANCELLED, 0)
    assert (await world.create(nobody, other)).state == pb.MOBILE_SIGNATURE_STATE_WAITING


async def test_a_watcher_sees_each_state_to_the_last(world: World) -> None:
    subject, _ = await world.person()
    created = await world.create(subject)
    seen = [each.state async for each in watch(world, created.name, citizen(subject))]
    assert seen[-1] == pb.MOBILE_SIGNATURE_STATE_SIGNED
    assert seen == sorted(set(seen))


def watch(world: World, name: str, by: Call) -> AsyncIterator[pb.MobileSignature]:
    request = pb.WatchMobileSignatureRequest(name=name)
    watching: AsyncIterator[pb.MobileSignature] = world.servicer.WatchMobileSignature(request, by)
    return watching


@pytest.mark.parametrize("seconds", [-1, 61])
async def test_a_wait_has_a_bound(world: World, seconds: int) -> None:
    with pytest.raises(InvalidArgument):
        await world.get("mobileSignatures/x", wait=seconds)


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "subjects/x"},
        {"phone": "subjects/x/phones/y"},
        {"phone": f"{STRANGER}/phones/018f0000-0000-7000-8000-00000000000d"},
        {"purpose": 9},
        {"request_id": "x"},
    ],
)
async def test_a_malformed_request_names_its_field(world: World, fields: dict[str, Any]) -> None:
    subject = fields.pop("subject", "subjects/018f0000-0000-7000-8000-00000000000f")
    (field,) = fields or {"subject"}
    with pytest.raises(InvalidArgument) as refused:
        await world.create(subject, service(), **fields)
    assert refused.value.field == field


async def test_keys_are_taken_whole_or_not_at_all(world: World) -> None:
    subscriber = world.subscriber()
    with pytest.raises(InvalidArgument) as refused:
        await world.import_keys(subscriber)
    assert refused.value.field == "keys[0].iccid"
    wrong = pb.SimKey(iccid=subscriber.sim.iccid, wrapped_key=bytes(24))
    with pytest.raises(InvalidArgument) as refused:
        await world.servicer.ImportSimKeys(pb.ImportSimKeysRequest(keys=[wrong]), operator())
    assert refused.value.field == "keys[0].wrapped_key"
