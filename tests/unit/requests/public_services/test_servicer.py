"""Public services: made by operators, approved version by version, suspended at once."""

from __future__ import annotations

from typing import Any

import pytest

from qagazsyz.common.v1 import access_pb2
from qagazsyz.requests.v1 import public_services_pb2 as pb
from services.requests.public_services.interface import DocumentType
from services.runtime.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from tests.calls import call
from tests.unit.requests.world import ADDRESS, CERTIFICATE, World


async def get(world: World, name: str = "publicServices/address") -> pb.PublicService:
    return await world.parts.public_services.GetPublicService(
        pb.GetPublicServiceRequest(name=name), call()
    )


async def suspend(world: World, name: str) -> pb.PublicService:
    return await world.parts.public_services.SuspendPublicService(
        pb.SuspendPublicServiceRequest(name=name), world.as_officer()
    )


async def test_a_service_waits_for_its_providers_approval(world: World) -> None:
    created = await world.create(world.by_rule(keywords={"kk": "Мекенжай"}, short_number="1414"))
    assert created.version == 1
    assert not created.HasField("approval")
    with pytest.raises(FailedPrecondition, match="nobody can ask") as refusal:
        await world.draft(created)
    assert refusal.value.reason == "SERVICE_NOT_OFFERED"
    approved = await world.approve(created)
    assert approved.approval.officer == world.officer
    assert approved.etag != created.etag
    assert await get(world) == approved
    listed = await world.parts.public_services.ListPublicServices(
        pb.ListPublicServicesRequest(), call()
    )
    assert list(listed.public_services) == [approved]


async def test_a_change_makes_a_version_that_nobody_approved(world: World) -> None:
    before = await world.offered()
    update = pb.UpdatePublicServiceRequest(
        public_service=pb.PublicService(name=before.name, time_limit_days=5, etag=before.etag)
    )
    after = await world.parts.public_services.UpdatePublicService(update, world.operator())
    assert (after.version, after.time_limit_days) == (2, 5)
    assert not after.HasField("approval")
    with pytest.raises(Aborted):
        await world.parts.public_services.UpdatePublicService(update, world.operator())
    with pytest.raises(FailedPrecondition) as refusal:
        await world.approve(before)
    assert refusal.value.reason == "VERSION_CHANGED"
    assert (await world.approve(after)).approval.version == 2


async def test_an_approval_is_by_the_providers_officer_over_this_mandate(world: World) -> None:
    service = await world.create(world.definition())
    request = pb.ApprovePublicServiceRequest(
        name=service.name, version=1, signature=world.sign(world.officer, service.mandate)
    )
    approve = world.parts.public_services.ApprovePublicService
    with pytest.raises(PermissionDenied):
        await approve(request, world.as_officer(organization=world.appeal_body))
    with pytest.raises(InvalidArgument, match="somebody else"):
        await approve(request, world.as_officer(world.person))
    request.signature.CopyFrom(world.sign(world.officer, service.mandate + " "))
    with pytest.raises(InvalidArgument, match="does not verify"):
        await approve(request, world.as_officer())
    world.platform.is_away = True
    with pytest.raises(Unavailable):
        await approve(request, world.as_officer())


async def test_a_suspension_ends_the_mandate_until_a_new_one_is_signed(world: World) -> None:
    service = await world.offered()
    draft = await world.draft(service)
    world.has_address()
    with pytest.raises(PermissionDenied):
        await world.parts.public_services.SuspendPublicService(
            pb.SuspendPublicServiceRequest(name=service.name),
            world.as_officer(organization=world.appeal_body),
        )
    suspended = await suspend(world, service.name)
    assert not suspended.HasField("approval")
    assert suspended.mandate != service.mandate
    assert world.platform.ended == [service.name]
    for act in (world.draft(service), world.submit(draft)):
        with pytest.raises(FailedPrecondition) as refusal:
            await act
        assert refusal.value.reason == "SERVICE_NOT_OFFERED"
    # What was signed before approves nothing.
    with pytest.raises(InvalidArgument, match="does not verify"):
        await world.approve(service)
    await world.approve(suspended)
    assert (await world.submit(draft)).name == draft.name


async def test_a_suspension_that_the_registry_missed_is_repeated(world: World) -> None:
    service = await world.offered()
    world.platform.is_away = True
    with pytest.raises(Unavailable):
        await suspend(world, service.name)
    assert not (await get(world)).HasField("approval")
    world.platform.is_away = False
    await suspend(world, service.name)
    assert world.platform.ended == [service.name]


async def test_an_operator_suspends_too(world: World) -> None:
    service = await world.offered()
    await world.parts.public_services.SuspendPublicService(
        pb.SuspendPublicServiceRequest(name=service.name),
        call("subjects/operator", "", access_pb2.ROLE_OPERATOR),
    )
    assert not (await get(world)).HasField("approval")


async def test_a_keyword_means_one_service_however_it_is_written(world: World) -> None:
    await world.create(world.definition(keywords={"ru": "АДРЕС"}, short_number="1414"))
    other = world.definition(keywords={"en": "а д р е c."}, short_number="1414")
    with pytest.raises(AlreadyExists, match="keywords"):
        await world.create(other, "other")
    other.short_number = "1415"
    await world.create(other, "other")


async def test_a_service_is_there_once(world: World) -> None:
    await world.create(world.definition())
    with pytest.raises(AlreadyExists):
        await world.create(world.definition())
    with pytest.raises(NotFound):
        await get(world, "publicServices/unknown")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"provider": "subjects/unknown"}, "provider"),
        ({"appeal_body": "subjects/unknown"}, "appeal_body"),
        ({"output": "documentTypes/unknown"}, "output"),
        ({"time_limit_days": 251}, "time_limit_days"),
        ({"time_limit_days": -1}, "time_limit_days"),
        ({"key": "keys/seal"}, "key"),
        ({"output_template": "{}"}, "output_template"),
        ({"short_number": "1414"}, "short_number"),
        ({"display_names": {"e": "x"}}, "display_names"),
        ({"keywords": {"en": "x"}, "short_number": "1414"}, "keywords"),
        ({"evidence": [pb.Evidence(document_type=ADDRESS, purpose="No")]}, "evidence[0].purpose"),
        (
            {"evidence": [pb.Evidence(document_type=ADDRESS, purpose="x", attributes=["/no"])]},
            "evidence[0].attributes",
        ),
        (
            {"evidence": [pb.Evidence(document_type="documentTypes/no", purpose="x")]},
            "evidence[0].document_type",
        ),
        ({"evidence": 2 * [pb.Evidence(document_type=ADDRESS, purpose="x")]}, "evidence[1]"),
    ],
)
async def test_a_service_that_cannot_be_is_refused(
    unstored: World, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await unstored.create(unstored.definition(**changes))
    assert refusal.value.field.startswith(f"public_service.{field}")


async def test_the_provider_issues_the_output(unstored: World) -> None:
    unstored.platform.types[CERTIFICATE] = DocumentType(frozenset(), {})
    with pytest.raises(InvalidArgument, match="does not issue"):
        await unstored.create(unstored.definition())


@pytest.mark.parametrize(
    "template",
    [
        "[]",
        "{",
        '{"city":"x","city":"y"}',
        # No date, which the output type asks for.
        '{"city":"{evidence/0/city}"}',
        # A city that is no text, a date that is none.
        '{"city":1,"on":"{date}"}',
        '{"city":"Astana","on":"2026-02-30"}',
        # Nothing of this name, or of this evidence.
        '{"city":"{applicant/iin}","on":"{date}"}',
        '{"city":"{evidence/0/street}","on":"{date}"}',
        '{"city":"{evidence/1/city}","on":"{date}"}',
    ],
)
async def test_a_template_gives_what_the_output_type_asks_for(
    unstored: World, template: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await unstored.create(unstored.by_rule(output_template=template))
    assert refusal.value.field == "public_service.output_template"


async def test_a_template_names_only_evidence_that_is_required(unstored: World) -> None:
    evidence = pb.Evidence(document_type=ADDRESS, purpose="address", attributes=["/city"])
    with pytest.raises(InvalidArgument, match="require it"):
        await unstored.create(unstored.by_rule(evidence=[evidence]))
