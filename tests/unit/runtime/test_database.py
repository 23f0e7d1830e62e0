"""Transactions, idempotent requests, pages and migrations."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.identity.v1 import subjects_pb2
from services.runtime.clock import uuid7
from services.runtime.errors import AlreadyExists, InvalidArgument
from services.runtime.paging import decode_token, encode_token, page_size
from services.runtime.storage.database import Database, UtcDateTime, sqlite_url, with_driver
from services.runtime.storage.idempotency import KEPT_FOR, IdempotencyStore, requests_table
from services.runtime.storage.migrations import migrate

METADATA = MetaData()
MOMENTS = Table(
    "moments", METADATA, Column("id", Integer, primary_key=True), Column("at", UtcDateTime)
)
REQUESTS = requests_table(METADATA)
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(sqlite_url(tmp_path / "test.db"))
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    yield database
    await database.close()


async def test_a_time_comes_back_in_utc(database: Database) -> None:
    almaty = NOW.astimezone(timezone(timedelta(hours=5)))
    async with database.transaction() as connection:
        await connection.execute(insert(MOMENTS).values(id=1, at=almaty))
    async with database.reading() as connection:
        found = (await connection.execute(select(MOMENTS.c.at))).scalar_one()
    assert (found, found.tzinfo) == (NOW, UTC)


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="a time without a zone"):
        async with database.transaction() as connection:
            await connection.execute(insert(MOMENTS).values(id=1, at=NOW.replace(tzinfo=None)))


async def test_an_exception_undoes_the_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await connection.execute(insert(MOMENTS).values(id=1, at=NOW))
            raise RuntimeError
    async with database.reading() as connection:
        assert (await connection.execute(select(MOMENTS.c.id))).all() == []


async def test_many_writers_at_once_all_succeed(database: Database) -> None:
    async def write(number: int) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(select(MOMENTS.c.id))
            await connection.execute(insert(MOMENTS).values(id=number, at=NOW))

        await database.run(work)

    await asyncio.gather(*(write(number) for number in range(40)))
    async with database.reading() as connection:
        assert len((await connection.execute(select(MOMENTS.c.id))).all()) == 40


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_transaction_that_lost_against_another_is_run_again(
    postgres_url: str, state: str
) -> None:
    database = Database(postgres_url)
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    tries = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute(insert(MOMENTS).values(id=tries, at=NOW))
        if tries < 3:
            # As the server itself says it.
            await connection.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{state}'; END $$"
            )

    await database.run(work)
    async with database.reading() as connection:
        assert (await connection.execute(select(MOMENTS.c.id))).scalars().all() == [3]
    await database.close()


async def test_two_serializable_transactions_that_conflict_both_succeed(postgres_url: str) -> None:
    database = Database(postgres_url)
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    tries = 0
    both_have_read = asyncio.Barrier(2)

    async def count_and_add(connection: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        found = (await connection.execute(select(MOMENTS.c.id))).all()
        if tries <= 2:
            await both_have_read.wait()
        await connection.execute(insert(MOMENTS).values(id=len(found), at=NOW))

    await asyncio.gather(database.run(count_and_add), database.run(count_and_add))
    async with database.reading() as connection:
        assert len((await connection.execute(select(MOMENTS.c.id))).all()) == 2
    assert tries == 3
    await database.close()


async def test_a_commit_is_flushed_to_the_disk(database: Database) -> None:
    async with database.reading() as connection:
        modes = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert modes == ["wal", 2, 1]


async def test_what_was_overwritten_is_forgotten_once_nobody_reads_it(
    database: Database, tmp_path: Path
) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(MOMENTS).values(id=1, at=NOW))
    async with database.reading() as reader:
        await reader.execute(select(MOMENTS.c.id))
        async with database.transaction() as connection:
            await connection.execute(delete(MOMENTS))
        assert not await database.purge_deleted()
    assert await database.purge_deleted()
    assert (tmp_path / "test.db-wal").read_bytes() == b""


def kept(database: Database, now: datetime = NOW) -> IdempotencyStore:
    return IdempotencyStore(REQUESTS, database, lambda: now)


class Creation:
    """Makes a subject and counts how often it did."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self, connection: AsyncConnection) -> subjects_pb2.Subject:
        await connection.execute(select(MOMENTS.c.id))
        self.made += 1
        return subjects_pb2.Subject(name=f"subjects/{self.made}")


def request(request_id: str, name: str = "") -> subjects_pb2.CreateSubjectRequest:
    return subjects_pb2.CreateSubjectRequest(
        subject=subjects_pb2.Subject(name=name), request_id=request_id
    )


async def create(
    answers: IdempotencyStore,
    creation: Creation,
    asked: subjects_pb2.CreateSubjectRequest,
    scope: str = "subjects/o",
) -> str:
    subject = await answers.run_once(
        creation, request=asked, scope=scope, response_type=subjects_pb2.Subject
    )
    return subject.name


async def test_a_repeated_request_gets_the_first_answer(database: Database) -> None:
    answers, creation, request_id = kept(database), Creation(), str(uuid.uuid4())
    first = await create(answers, creation, request(request_id))
    assert await create(answers, creation, request(request_id.upper())) == first
    assert creation.made == 1


async def test_the_same_request_at_once_has_one_effect(database: Database) -> None:
    answers, creation, request_id = kept(database), Creation(), str(uuid.uuid4())
    names = await asyncio.gather(
        *(create(answers, creation, request(request_id)) for _ in range(8))
    )
    assert len(set(names)) == 1


async def test_a_repeat_with_another_body_already_exists(database: Database) -> None:
    answers, request_id = kept(database), str(uuid.uuid4())
    await create(answers, Creation(), request(request_id))
    with pytest.raises(AlreadyExists):
        await create(answers, Creation(), request(request_id, "another"))


async def test_a_request_id_is_its_callers_alone(database: Database) -> None:
    answers, creation, request_id = kept(database), Creation(), str(uuid.uuid4())
    first = await create(answers, creation, request(request_id), scope="subjects/o")
    assert await create(answers, creation, request(request_id), scope="subjects/p") != first


async def test_kept_answers_are_forgotten_in_time(database: Database) -> None:
    creation, request_id = Creation(), str(uuid.uuid4())
    first = await create(kept(database), creation, request(request_id))
    later = kept(database, NOW + KEPT_FOR + timedelta(seconds=1))
    await later.purge_expired()
    assert await create(later, creation, request(request_id)) != first


BRACED = "{00000000-0000-4000-8000-000000000000}"


@pytest.mark.parametrize("bad", ["x", "0" * 32, BRACED, "urn:uuid:1"])
async def test_a_request_id_that_is_no_uuid_is_refused(database: Database, bad: str) -> None:
    with pytest.raises(InvalidArgument, match="request_id"):
        await create(kept(database), Creation(), request(bad))


def test_a_page_token_serves_for_its_own_list_only() -> None:
    token = encode_token(["2026", "a"], of="ListSubjects")
    assert decode_token(token, of="ListSubjects", parts=2) == ["2026", "a"]
    assert decode_token("", of="ListSubjects", parts=2) is None
    for bad in (token[:-2], "x", token + "AAAA", "é", "a" * 2000, encode_token(["a"], of="x")):
        with pytest.raises(InvalidArgument, match="page_token"):
            decode_token(bad, of="ListSubjects", parts=2)
    with pytest.raises(InvalidArgument):
        decode_token(token, of="ListKeys", parts=2)


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1000, 1000), (2**31 - 1, 1000)])
def test_page_sizes(asked: int, given: int) -> None:
    assert page_size(asked) == given


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="page_size"):
        page_size(-1)


def test_ids_sort_by_their_time() -> None:
    ids = [uuid7(NOW + timedelta(milliseconds=number)) for number in range(50)]
    assert ids == sorted(ids)
    assert {(made.version, made.variant) for made in ids} == {(7, uuid.RFC_4122)}


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
        ("cockroachdb://h/d", "cockroachdb+asyncpg://h/d"),
        ("sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
    ],
)
def test_urls_get_the_driver_that_is_installed(url: str, driver: str) -> None:
    assert with_driver(url) == driver


async def test_migrations_run_once(database: Database, tmp_path: Path) -> None:
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    for revision, previous in (("0001", None), ("0002", "0001")):
        (versions / f"{revision}_step.py").write_text(
            f"from alembic import op\nimport sqlalchemy as sa\n"
            f"revision = {revision!r}\ndown_revision = {previous!r}\n"
            f"def upgrade():\n    op.create_table('t{revision}', sa.Column('id', sa.Integer))\n"
        )
    for _ in range(2):
        assert await migrate(database, tmp_path / "migrations") == "0002"
    async with database.reading() as connection:
        await connection.exec_driver_sql("SELECT id FROM t0001, t0002".replace("id", "t0001.id"))
