"""Statements of version 2 name their issuer; those of version 1 are taken where they can be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.registry.documents.interface import Officer
from services.registry.documents.version_one_end import VersionOneEnd
from services.registry.model.statements import VERSION_1_LASTS, StatementVersion
from services.runtime.errors import InvalidArgument
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    CLERK,
    FIRST_BANK,
    MINISTRY,
    SECOND_BANK,
    TELLER,
    World,
    bank_officer,
    by,
    ministry_officer,
    registration,
)

V1, V2 = StatementVersion.WITHOUT_ISSUER, StatementVersion.WITH_ISSUER
REFUSED = r"signatures\[0\].statement_version"


async def test_the_stored_document_says_which_version_was_signed(world: World) -> None:
    for version in StatementVersion:
        document = await world.register(version=version)
        assert document.signatures[0].statement_version == version.value


async def test_a_signature_that_says_no_version_is_over_the_first(world: World) -> None:
    request = registration(version=V1)
    request.signatures[0].ClearField("statement_version")
    document = await world.documents.RegisterDocument(request, by(ministry_officer))
    assert document.signatures[0].statement_version == V1.value


async def test_a_signature_is_verified_over_the_version_that_it_says(world: World) -> None:
    for signed, said in ((V1, V2), (V2, V1)):
        request = registration(version=signed)
        request.signatures[0].statement_version = said.value
        (result,) = await world.register_batch(request)
        assert "invalid signature" in result.error.message


async def test_a_statement_that_names_another_issuer_is_refused(world: World) -> None:
    await world.update_type(ADDRESS, issuers=[MINISTRY, FIRST_BANK])
    world.directory.officers.add(Officer(FIRST_BANK, CLERK))
    request = registration(content=b"filed twice")
    await world.documents.RegisterDocument(request, by(ministry_officer))
    with pytest.raises(InvalidArgument, match=r"signatures\[0\]"):
        await world.documents.RegisterDocument(request, by(bank_officer))


async def test_a_statement_is_the_same_document_in_either_version(world: World) -> None:
    first = await world.register(content=b"once", version=V1)
    again = await world.register(content=b"once", version=V2)
    assert again == first
    other = await world.register(content=b"twice", version=V2)
    assert (await world.register(content=b"twice", version=V1)) == other


async def test_both_versions_in_one_batch_are_the_same_document(world: World) -> None:
    results = await world.register_batch(
        registration(content=b"once", version=V1), registration(content=b"once", version=V2)
    )
    assert results[0].document == results[1].document


@pytest.mark.parametrize("are_former", [False, True])
async def test_an_officer_of_two_organizations_signs_no_version_1(
    world: World, are_former: bool
) -> None:
    second = Officer(SECOND_BANK, CLERK)
    (world.directory.former_officers if are_former else world.directory.officers).add(second)
    with pytest.raises(InvalidArgument, match=REFUSED):
        await world.register(version=V1)
    await world.register(version=V2)


async def test_an_officer_of_another_organization_cosigns_no_version_1(world: World) -> None:
    with pytest.raises(InvalidArgument, match=r"signatures\[1\].statement_version"):
        await world.register(signers=[CLERK, TELLER], version=V1)
    await world.register(signers=[CLERK, TELLER], version=V2)


async def test_a_citizen_cosigns_version_1(world: World) -> None:
    document = await world.register(signers=[CLERK, CITIZEN], version=V1)
    assert len(document.signatures) == 2


async def test_a_seal_binds_version_1_to_its_own_organization_only(world: World) -> None:
    await world.register(signers=[MINISTRY], version=V1)
    with pytest.raises(InvalidArgument, match=r"signatures\[1\].statement_version"):
        await world.register(signers=[MINISTRY, FIRST_BANK], version=V1)


async def test_version_1_ends_ninety_days_after_the_first_start(world: World) -> None:
    world.clock.move(days=90, seconds=-1)
    await world.register(version=V1)
    world.clock.move(seconds=1)
    with pytest.raises(InvalidArgument, match=REFUSED):
        await world.register(version=V1)
    await world.register(version=V2)


async def test_a_request_of_version_1_is_repeated_after_its_end(world: World) -> None:
    request = registration(version=V1, request_id="00000000-0000-4000-8000-000000000001")
    first = await world.documents.RegisterDocument(request, by(ministry_officer))
    world.clock.move(days=91)
    assert await world.documents.RegisterDocument(request, by(ministry_officer)) == first


async def test_a_later_start_does_not_move_the_end(world: World) -> None:
    world.clock.move(days=30)
    later = VersionOneEnd(world.database, world.clock)
    await later.start()
    assert later.time == NOW + VERSION_1_LASTS


async def test_a_setting_decides_before_the_first_start(world: World) -> None:
    end = VersionOneEnd(world.database, world.clock, NOW + timedelta(days=1))
    await end.start()
    assert end.time == NOW + timedelta(days=1)
