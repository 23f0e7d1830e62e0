"""Numbers of phones that have ended are erased, a set time after the end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from services.identity.phones import erasing
from services.identity.phones.erasing import NumberErasing
from services.identity.tables import phones
from tests.unit.identity.phones.sims import ENDED, Card, ask, bind, get, import_sims, unbind
from tests.unit.identity.service import Identity

KEPT = timedelta(days=90)


async def erase(identity: Identity) -> None:
    await NumberErasing(database=identity.database, kept=KEPT, clock=identity.clock).erase()


async def kept_numbers(identity: Identity) -> set[str]:
    """The phones whose number the database has, hashed or sealed."""
    async with identity.database.reading() as connection:
        rows = list(await connection.execute(select(phones)))
    return {f"{row.subject}/phones/{row.id}" for row in rows if row.number or row.number_hash}


async def test_the_number_of_a_phone_goes_a_set_time_after_its_end(identity: Identity) -> None:
    person = await identity.person()
    holder = identity.as_citizen(person)
    ended, other = await bind(identity, person), await bind(identity, person)
    await unbind(identity, ended.name, holder)
    identity.clock.move(days=89)
    await erase(identity)
    assert await kept_numbers(identity) == {ended.name, other.name}
    identity.clock.move(days=1)
    await erase(identity)
    assert await kept_numbers(identity) == {other.name}
    left = await get(identity, ended.name)
    assert (left.state, left.number) == (ENDED, "")
    assert left.certificate == ended.certificate
    assert (await get(identity, other.name)).number.startswith("+")


async def test_a_number_that_was_erased_is_bound_as_any_other(identity: Identity) -> None:
    person, card = await identity.person(), Card()
    await import_sims(identity, card)
    first = await bind(identity, person, card)
    await unbind(identity, first.name, identity.as_citizen(person))
    identity.clock.move(days=91)
    await erase(identity)
    again = await bind(identity, person, card)
    assert again.name != first.name
    assert (await get(identity, again.name)).number == card.number
    assert (await get(identity, first.name)).number == ""


async def test_all_that_are_due_go_in_one_round(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "ERASE_LIMIT", 1)
    person = await identity.person()
    for _ in range(3):
        card = Card()
        await import_sims(identity, card)
        asked = await ask(identity, person, card, identity.as_operator)
        await unbind(identity, asked.name, identity.as_registrar)
    assert len(await kept_numbers(identity)) == 3
    identity.clock.move(days=91)
    await erase(identity)
    assert await kept_numbers(identity) == set()
