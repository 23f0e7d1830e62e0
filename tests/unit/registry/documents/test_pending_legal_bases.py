"""New legal bases take two operators, unless the platform never had a second one."""

from __future__ import annotations

import pytest

from qagazsyz.registry.v1 import documents_pb2
from services.runtime.errors import Aborted, FailedPrecondition, NotFound, PermissionDenied
from tests.unit.registry.ledger import NOW
from tests.unit.registry.log.reader import entries_of
from tests.unit.registry.world import (
    ADDRESS,
    FIRST_BANK,
    LAW,
    OPERATOR,
    PURPOSE,
    SECOND_BANK,
    World,
    by,
    operator,
    second_operator,
)


def law(organization: str = FIRST_BANK) -> documents_pb2.LegalBasis:
    return documents_pb2.LegalBasis(organization=organization, purpose=PURPOSE, citation=LAW)


async def ask(world: World, *bases: documents_pb2.LegalBasis) -> documents_pb2.DocumentType:
    """Ask for all legal bases of the type as the first operator."""
    return await world.update_type(ADDRESS, "legal_bases", legal_bases=list(bases))


@pytest.fixture
def two_operators(world: World) -> World:
    world.operators.is_second_known = True
    return world


async def test_one_operator_decides_until_there_is_a_second(world: World) -> None:
    changed = await ask(world, law())
    assert list(changed.legal_bases) == [law()]
    assert not changed.HasField("pending_legal_bases")
    await world.look_up()


async def test_a_new_legal_basis_waits_and_says_who_asked(two_operators: World) -> None:
    world = two_operators
    asked = await ask(world, law())
    assert not asked.legal_bases
    pending = asked.pending_legal_bases
    assert list(pending.legal_bases) == [law()]
    assert pending.proposer == OPERATOR
    assert pending.create_time.ToDatetime(NOW.tzinfo) == NOW
    assert await world.get_type(ADDRESS) == asked
    await world.look_up_refused()


async def test_look_ups_rest_on_it_once_another_operator_approves(two_operators: World) -> None:
    world = two_operators
    approved = await world.approve_bases(await ask(world, law()))
    assert list(approved.legal_bases) == [law()]
    assert not approved.HasField("pending_legal_bases")
    assert await world.get_type(ADDRESS) == approved
    await world.look_up()
    # Identity decides by the certificate that the approver confirmed with.
    assert world.operators.certificates == [second_operator.certificate]


async def test_a_new_type_has_no_legal_basis_before_the_approval(two_operators: World) -> None:
    world = two_operators
    made = await world.create_type("diploma", legal_bases=[law()])
    assert not made.legal_bases
    assert list((await world.approve_bases(made)).legal_bases) == [law()]


async def test_who_asked_approves_nothing(two_operators: World) -> None:
    asked = await ask(two_operators, law())
    with pytest.raises(PermissionDenied):
        await two_operators.approve_bases(asked, operator)


async def test_who_depends_on_the_proposer_approves_nothing(two_operators: World) -> None:
    world = two_operators
    asked = await ask(world, law())
    world.operators.dependent.add((OPERATOR, second_operator.subject))
    with pytest.raises(PermissionDenied):
        await world.approve_bases(asked)
    assert await world.get_type(ADDRESS) == asked


async def test_removing_a_legal_basis_takes_effect_at_once(world: World) -> None:
    await ask(world, law(), law(SECOND_BANK))
    world.operators.is_second_known = True
    changed = await ask(world, law(SECOND_BANK))
    assert list(changed.legal_bases) == [law(SECOND_BANK)]
    assert not changed.HasField("pending_legal_bases")
    await world.look_up_refused()


async def test_what_a_change_leaves_out_ends_while_the_new_waits(world: World) -> None:
    await ask(world, law())
    world.operators.is_second_known = True
    changed = await ask(world, law(SECOND_BANK))
    assert not changed.legal_bases
    assert list(changed.pending_legal_bases.legal_bases) == [law(SECOND_BANK)]


async def test_a_changed_citation_is_a_new_legal_basis(world: World) -> None:
    await ask(world, law())
    world.operators.is_second_known = True
    other = law()
    other.citation = "Another law, article 1"
    changed = await ask(world, other)
    assert not changed.legal_bases


async def test_a_change_without_new_ones_withdraws_what_waits(two_operators: World) -> None:
    world = two_operators
    asked = await ask(world, law())
    withdrawn = await ask(world)
    assert not withdrawn.HasField("pending_legal_bases")
    with pytest.raises(Aborted):
        await world.approve_bases(asked)
    with pytest.raises(FailedPrecondition, match="no legal bases wait"):
        await world.approve_bases(withdrawn)


async def test_a_change_of_other_fields_leaves_it_waiting(two_operators: World) -> None:
    world = two_operators
    asked = await ask(world, law())
    changed = await world.update_type(ADDRESS, "display_names", display_names={"en": "Address"})
    assert changed.pending_legal_bases == asked.pending_legal_bases


async def test_what_was_changed_since_it_was_read_is_not_approved(two_operators: World) -> None:
    world = two_operators
    read = await ask(world, law())
    await ask(world, law(), law(SECOND_BANK))
    with pytest.raises(Aborted):
        await world.approve_bases(read)
    assert not (await world.get_type(ADDRESS)).legal_bases


async def test_it_lapses_after_seven_days(two_operators: World) -> None:
    world = two_operators
    asked = await ask(world, law())
    world.clock.move(days=7, seconds=-1)
    assert (await world.get_type(ADDRESS)).HasField("pending_legal_bases")
    world.clock.move(seconds=1)
    assert not (await world.get_type(ADDRESS)).HasField("pending_legal_bases")
    with pytest.raises(FailedPrecondition):
        await world.approve_bases(asked)


async def test_a_repeated_approval_answers_with_the_type(two_operators: World) -> None:
    world = two_operators
    asked = await ask(world, law())
    request = documents_pb2.ApproveLegalBasesRequest(
        name=ADDRESS, etag=asked.etag, request_id="00000000-0000-4000-8000-000000000001"
    )
    first = await world.documents.ApproveLegalBases(request, by(second_operator))
    assert await world.documents.ApproveLegalBases(request, by(second_operator)) == first


async def test_an_unknown_type_has_nothing_to_approve(world: World) -> None:
    unknown = documents_pb2.DocumentType(name="documentTypes/nothing", etag="e")
    with pytest.raises(NotFound):
        await world.approve_bases(unknown)


async def test_the_log_tells_of_a_legal_basis_once_it_is_in_force(two_operators: World) -> None:
    world = two_operators
    asked = await ask(world, law())
    assert (await entries_of(world.database))[-1]["legal_bases"] == []
    await world.approve_bases(asked)
    (basis,) = (await entries_of(world.database))[-1]["legal_bases"]
    assert basis == {"organization": FIRST_BANK, "purpose": PURPOSE, "citation": LAW}
