"""request_id (AIP-155): a repeated request has one effect and one answer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2
from services.runtime.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import KEPT_FOR, IdempotencyStore, requests_table
from tests.clock import Clock

METADATA = MetaData()
REQUESTS = requests_table(METADATA)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BRACED = "{00000000-0000-4000-8000-000000000000}"


class Creation:
    """Work that makes a subject, named by how often it did."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self, connection: AsyncConnection) -> subjects_pb2.Subject:
        self.made += 1
        return subjects_pb2.Subject(name=f"subjects/{self.made}")


class Store:
    """An IdempotencyStore, its clock, and the work that its requests do."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock(NOW)
        self.idempotency = IdempotencyStore(REQUESTS, database, self.clock)
        self.creation = Creation()

    async def create(self, request_id: str, title: str = "", *, scope: str = "subjects/o") -> str:
        """The name of the subject that the request made, now or before."""
        subject = await self.idempotency.run_once(
            self.creation,
            request=subjects_pb2.CreateSubjectRequest(
                subject=subjects_pb2.Subject(name=title), request_id=request_id
            ),
            scope=scope,
            response_type=subjects_pb2.Subject,
        )
        return subject.name


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    database = Database(database_url)
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    yield Store(database)
    await database.close()


async def test_a_repeat_gets_the_first_answer_and_does_no_work(store: Store) -> None:
    request_id = str(uuid.uuid4())
    first = await store.create(request_id)
    assert await store.create(request_id.upper()) == first
    assert store.creation.made == 1


async def test_requests_without_an_id_are_all_carried_out(store: Store) -> None:
    assert await store.create("") != await store.create("")


async def test_a_repeat_with_another_body_already_exists(store: Store) -> None:
    request_id = str(uuid.uuid4())
    await store.create(request_id)
    with pytest.raises(AlreadyExists) as refused:
        await store.create(request_id, "another")
    assert refused.value.field == "request_id"
    assert store.creation.made == 1


async def test_an_id_is_its_scopes_alone(store: Store) -> None:
    request_id = str(uuid.uuid4())
    first = await store.create(request_id, scope="subjects/o")
    assert await store.create(request_id, scope="subjects/p") != first


async def test_an_id_is_its_methods_alone(store: Store) -> None:
    request_id = str(uuid.uuid4())
    first = await store.create(request_id)
    issued = await store.idempotency.run_once(
        store.creation,
        request=certificates_pb2.IssueCertificateRequest(request_id=request_id),
        scope="subjects/o",
        response_type=subjects_pb2.Subject,
    )
    assert issued.name != first


async def test_the_same_request_sent_at_once_gets_one_answer(store: Store) -> None:
    request_id = str(uuid.uuid4())
    names = await asyncio.gather(*(store.create(request_id) for _ in range(8)))
    assert len(set(names)) == 1


async def test_work_that_failed_is_done_by_the_repeat(store: Store) -> None:
    request_id = str(uuid.uuid4())

    async def fail(connection: AsyncConnection) -> subjects_pb2.Subject:
        raise FailedPrecondition("NOT_YET", "not yet")

    request = subjects_pb2.CreateSubjectRequest(request_id=request_id)
    with pytest.raises(FailedPrecondition):
        await store.idempotency.run_once(
            fail, request=request, scope="subjects/o", response_type=subjects_pb2.Subject
        )
    assert await store.create(request_id) == "subjects/1"


async def test_an_answer_is_kept_for_its_time_and_then_purged(store: Store) -> None:
    request_id = str(uuid.uuid4())
    first = await store.create(request_id)
    store.clock.now += KEPT_FOR
    await store.idempotency.purge_expired()
    assert await store.create(request_id) == first
    store.clock.now += timedelta(seconds=1)
    await store.idempotency.purge_expired()
    assert await store.create(request_id) != first


@pytest.mark.parametrize("bad", ["x", "0" * 32, BRACED, "urn:uuid:1"])
async def test_an_id_that_is_not_a_uuid_in_its_usual_form_is_refused(
    store: Store, bad: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await store.create(bad)
    assert refused.value.field == "request_id"
    assert store.creation.made == 0
