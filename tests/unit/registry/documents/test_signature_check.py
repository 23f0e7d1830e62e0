"""Signatures of a registration: over the statement, by the issuer, verified in one call."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from services.registry.documents.interface import Officer
from services.runtime.errors import (
    InvalidArgument,
    Unavailable,
)
from tests.unit.registry.world import (
    ADDRESS,
    CITIZEN,
    CLERK,
    MARRIAGE,
    MINISTRY,
    SPOUSE,
    TELLER,
    World,
    by,
    ministry_officer,
    registration,
    sign,
)


async def test_every_signature_of_a_batch_is_verified_in_one_call(world: World) -> None:
    world.verifier.batches.clear()
    results = await world.register_batch(
        *(registration(signers=[CLERK, MINISTRY, CITIZEN]) for _ in range(20))
    )
    assert all(result.HasField("document") for result in results)
    assert world.verifier.batches == [60]


async def test_a_signature_over_another_subject_is_refused(world: World) -> None:
    request = registration(subjects=[CITIZEN])
    request.document.subjects[0] = SPOUSE
    with pytest.raises(InvalidArgument, match=r"signatures\[0\]"):
        await world.documents.RegisterDocument(request, by(ministry_officer))


async def test_a_signature_over_another_type_is_refused(world: World) -> None:
    request = registration(document_type=ADDRESS)
    request.document.document_type = MARRIAGE
    with pytest.raises(InvalidArgument, match=r"signatures\[0\]"):
        await world.documents.RegisterDocument(request, by(ministry_officer))


async def test_a_revoked_certificate_names_its_signature(world: World) -> None:
    world.verifier.untrusted.add(CITIZEN)
    with pytest.raises(InvalidArgument, match=r"signatures\[1\].*revoked"):
        await world.register(signers=[CLERK, CITIZEN])


async def test_an_indeterminate_signature_is_neither_accepted_nor_invalid(world: World) -> None:
    world.verifier.doubts.add(CLERK)
    with pytest.raises(Unavailable):
        await world.register()
    (result,) = await world.register_batch(registration())
    assert result.error.code == code_pb2.UNAVAILABLE
    world.verifier.doubts.clear()
    world.verifier.is_down = True
    with pytest.raises(Unavailable):
        await world.register()
    world.verifier.is_down = False
    world.directory.is_down = True
    with pytest.raises(Unavailable):
        await world.register()


async def test_a_signature_by_the_issuers_seal_is_enough(world: World) -> None:
    document = await world.register(signers=[MINISTRY])
    assert document.signatures[0].signer == MINISTRY


@pytest.mark.parametrize("signers", [[CITIZEN], [TELLER], [CITIZEN, TELLER]])
async def test_signatures_of_others_alone_are_not_enough(world: World, signers: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="signatures"):
        await world.register(signers=signers)


async def test_an_officer_who_left_signs_no_more(world: World) -> None:
    world.directory.officers.discard(Officer(MINISTRY, CLERK))
    with pytest.raises(InvalidArgument, match="signatures"):
        await world.register()


def test_a_signature_is_made_for_one_statement_only() -> None:
    assert sign(b"one", CLERK).signature != sign(b"two", CLERK).signature
