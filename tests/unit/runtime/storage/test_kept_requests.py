"""Tables of requests: found one by one or many at once, replaced, and stripped of fingerprints."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import MetaData, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.errors import AlreadyExists, InvalidArgument
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import (
    fingerprint_of_json,
    fingerprint_of_parts,
    read_request_key,
)
from services.runtime.storage.kept_requests import (
    KeptRequest,
    KeptRequests,
    RequestKey,
    resource_requests_table,
)

METADATA = MetaData()
KEPT: KeptRequests[str] = KeptRequests(resource_requests_table(METADATA), "resource")
SHA256 = bytes(range(32))
REQUEST_ID = "00000000-0000-4000-8000-00000000000a"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    database = Database(database_url)
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    async with database.transaction() as connection:
        yield connection
    await database.close()


def key(number: int, scope: str = "subjects/a", method: str = "Make") -> RequestKey:
    return RequestKey(method, scope, f"id-{number}")


async def keep(connection: AsyncConnection, *keys: RequestKey) -> None:
    rows = [KEPT.row(each, SHA256, f"things/{each.request_id}") for each in keys]
    await connection.execute(insert(KEPT.table), rows)


async def test_a_kept_request_is_found_by_its_whole_key(connection: AsyncConnection) -> None:
    await keep(connection, key(1))
    assert await KEPT.find(connection, key(1)) == KeptRequest(SHA256, "things/id-1")
    for other in (key(2), key(1, scope="subjects/b"), key(1, method="Change")):
        assert await KEPT.find(connection, other) is None


async def test_the_result_is_that_of_the_same_request_only(connection: AsyncConnection) -> None:
    assert await KEPT.find_result(connection, key(1), SHA256) is None
    await keep(connection, key(1))
    assert await KEPT.find_result(connection, key(1), SHA256) == "things/id-1"
    with pytest.raises(AlreadyExists, match="request_id"):
        await KEPT.find_result(connection, key(1), bytes(32))


async def test_many_are_found_at_once_and_no_others(connection: AsyncConnection) -> None:
    kept = [key(1, "subjects/a"), key(2, "subjects/b"), key(1, "subjects/b", "Change")]
    # The second half of the first with the first half of the second is a key that nobody asked for.
    await keep(connection, *kept, key(2, "subjects/a"))
    found = await KEPT.find_many(connection, [kept[0], key(3), kept[1]])
    assert {each: kept.result for each, kept in found.items()} == {
        kept[0]: "things/id-1",
        kept[1]: "things/id-2",
    }
    assert await KEPT.find_many(connection, []) == {}


async def test_a_thousand_keys_are_found_in_one_statement(connection: AsyncConnection) -> None:
    keys = [key(number) for number in range(1_000)]
    await keep(connection, *keys)
    assert list(await KEPT.find_many(connection, keys)) == keys


async def test_a_replaced_request_has_the_newer_result(connection: AsyncConnection) -> None:
    await KEPT.replace(connection, key(1), SHA256, "things/one")
    await KEPT.replace(connection, key(1), bytes(32), "things/two")
    assert await KEPT.find(connection, key(1)) == KeptRequest(bytes(32), "things/two")


async def test_destroyed_fingerprints_are_those_of_the_result(connection: AsyncConnection) -> None:
    await keep(connection, key(1), key(2))
    await KEPT.destroy_fingerprints(connection, "things/id-1")
    assert await KEPT.find(connection, key(1)) == KeptRequest(None, "things/id-1")
    assert await KEPT.find(connection, key(2)) == KeptRequest(SHA256, "things/id-2")


def test_another_fingerprint_is_refused_where_one_is_kept() -> None:
    KeptRequest(SHA256, "things/one").check_is(SHA256)
    KeptRequest(None, "things/one").check_is(SHA256)
    with pytest.raises(AlreadyExists, match="request_id"):
        KeptRequest(SHA256, "things/one").check_is(bytes(32))


def test_a_request_without_an_id_has_no_key() -> None:
    assert read_request_key("Make", "subjects/a", "") is None
    found = read_request_key("Make", "subjects/a", REQUEST_ID.upper())
    assert found == RequestKey("Make", "subjects/a", REQUEST_ID)
    with pytest.raises(InvalidArgument, match="request_id"):
        read_request_key("Make", "subjects/a", "seven")


def test_fingerprints_tell_parts_apart() -> None:
    assert fingerprint_of_parts([b"ab", b"c"]) != fingerprint_of_parts([b"a", b"bc"])
    assert fingerprint_of_json(["ab", "c"]) != fingerprint_of_json(["a", "bc"])


def test_fingerprints_stay_those_of_requests_that_are_kept_for_ever() -> None:
    assert fingerprint_of_parts([b"one", b""]).hex() == (
        "9245aecdd2ce9ba0dab5bd6db64ccb768b656032954df5959dee66130d5d764c"
    )
    assert fingerprint_of_json(["one", None, [1, 2]]).hex() == (
        "985b9ef992af1e03c26992156207cb05d0af89bf1d228978aed2ae4eae141d7a"
    )
