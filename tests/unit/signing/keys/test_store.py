"""What the store finds and lists."""

from __future__ import annotations

import pytest

from services.runtime.errors import InvalidArgument
from services.runtime.storage.database import Database
from services.signing.keys import store
from services.signing.keys.rules import own_key_id
from services.signing.keys.servicer import KeyServicer
from tests.unit.signing.builders import BANK, MINISTRY, create, key_name, officer, rotate


async def test_public_keys_are_found_by_name_and_unknown_versions_left_out(
    service: KeyServicer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOOK_UP_CHUNK", 2)
    await create(service, key_id="a")
    key = await rotate(service, key_name("a"))
    other = await create(service, officer(BANK), organization=BANK, key_id="b")
    names = [*(v.name for v in key.versions), f"{key.name}/versions/3", other.primary_version]
    async with database.reading() as connection:
        found = await store.find_public_keys(connection, names)
        assert await store.find_public_keys(connection, []) == {}
    assert found == {v.name: v.public_key for made in (key, other) for v in made.versions}


async def test_a_name_of_another_form_is_refused(database: Database) -> None:
    async with database.reading() as connection:
        with pytest.raises(InvalidArgument):
            await store.find_public_keys(connection, ["keys/a"])


async def test_public_keys_are_listed_by_key_and_number(
    service: KeyServicer, database: Database
) -> None:
    for key_id in ("b", "a"):
        await create(service, key_id=key_id)
    await rotate(service, key_name("a"))
    async with database.reading() as connection:
        first = await store.list_public_keys(connection, ("", 0), 2)
        rest = await store.list_public_keys(connection, first[-1][0], 10)
    assert [place for place, _ in (*first, *rest)] == [
        (own_key_id("a", MINISTRY), 1),
        (own_key_id("a", MINISTRY), 2),
        (own_key_id("b", MINISTRY), 1),
    ]
