"""The log's reader: proofs against the latest checkpoint, and tiles that are cached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import delete

from qagazsyz import merkle, notes
from services.registry import tables
from services.registry.log import stored_tiles
from services.registry.log.stored_tiles import LogDamaged, StoredTiles
from services.registry.log.tiles import Edge, Tile, tile_width
from services.registry.log.transparency_log import InclusionProof, TransparencyLog, encode_entry
from services.runtime.errors import Unavailable
from tests.unit.registry.ledger import Ledger, entries, log_key, opened

T = TypeVar("T")


async def tile(ledger: Ledger, log: TransparencyLog, index: int) -> bytes | None:
    async with ledger.database.reading() as connection:
        return await log.tile(connection, Tile(0, index))


async def delete_tiles(ledger: Ledger) -> None:
    async with ledger.database.transaction() as connection:
        await connection.execute(delete(tables.log_tiles))


async def test_an_entry_that_is_not_there_cannot_be_proved(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, 3))
        with pytest.raises(Unavailable, match="damaged"):
            await ledger.receipt(3)


async def test_a_full_tile_is_read_once(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, 256))
        log, another = TransparencyLog(log_key()), TransparencyLog(log_key())
        first = await tile(ledger, log, 0)
        await delete_tiles(ledger)
        assert await tile(ledger, log, 0) == first
        with pytest.raises(Unavailable, match="damaged"):
            await tile(ledger, another, 0)


async def test_the_tile_that_was_used_least_recently_leaves_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_tiles, "CACHED_TILES", 2)
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, 768))
        tiles = StoredTiles()

        async def read(index: int) -> None:
            async with ledger.database.reading() as connection:
                await tiles.read(connection, {Tile(0, index)})

        for index in (0, 1, 0, 2):
            await read(index)
        await delete_tiles(ledger)
        await read(0)
        await read(2)
        with pytest.raises(LogDamaged, match="missing"):
            await read(1)


def test_an_entry_longer_than_a_bundle_holds_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode_entry({"v": 1, "event": "x" * 65_536})


# What one bit, flipped in the database, breaks.
DAMAGE = [
    ("log_tiles", "hashes", "level = 0 AND tile_index = 0"),
    ("log_tiles", "root_hash", "tile_index = 0"),
    ("log_entries", "entry", "log_index IN (2, 300)"),
    ("log_entries", "leaf_hash", "log_index = 300"),
    ("log_head", "root_hash", "id = 1"),
    ("log_head", "checkpoint", "id = 1"),
]
# 256 entries are one full tile; the others are in a partial one.
SIZE = 301


async def flip(ledger: Ledger, table: str, column: str, where: str) -> None:
    """Change the first byte of some values."""
    changed = f"CAST(? || substr({column}, 2) AS BLOB)"
    async with ledger.database.transaction() as connection:
        await connection.exec_driver_sql(
            f"UPDATE {table} SET {column} = {changed} WHERE {where}",  # noqa: S608
            (b"\xff",),
        )


async def served_well(ledger: Ledger, log: TransparencyLog) -> dict[str, bool]:
    """What the log serves, each compared with the tree of the checkpoint from before; a refusal is
    well too."""
    leaves = [merkle.leaf_hash(each) for each in entries(0, SIZE)]
    key = log_key().verifier
    edge = Edge()
    edge.append(leaves)
    signed = log_key().sign(SIZE, edge.root())

    def proves(proof: InclusionProof) -> bool:
        tree = notes.open_checkpoint(proof.checkpoint, key)
        leaf = merkle.leaf_hash(proof.entry)
        merkle.verify_inclusion(leaf, proof.log_index, tree.tree_size, proof.path, tree.root_hash)
        return proof.checkpoint == signed

    found: dict[str, bool] = {}

    async def ask(what: str, answer: Awaitable[T], is_well: Callable[[T], bool]) -> None:
        try:
            found[what] = is_well(await answer)
        except Unavailable:
            found[f"{what}, refused"] = True

    async with ledger.database.reading() as connection:
        await ask("checkpoint", log.checkpoint(connection), lambda data: data == signed)
        for place in (Tile(0, 0), Tile(0, 1, SIZE - 256)):
            start = place.index * 256
            here = leaves[start : start + place.width]
            await ask(
                f"tile {place.index}",
                log.tile(connection, place),
                lambda data, here=here: data == b"".join(here),  # type: ignore[misc]
            )
            bundle = b"".join(
                len(each).to_bytes(2, "big") + each for each in entries(start, start + place.width)
            )
            await ask(
                f"entries {place.index}",
                log.entries(connection, place),
                lambda data, bundle=bundle: data == bundle,  # type: ignore[misc]
            )
        for index in (2, 100, 300):
            await ask(
                f"receipt {index}",
                log.prove_inclusion(connection, [index]),
                lambda proofs: all(map(proves, proofs)),
            )
        await ask("consistency", log.consistency(connection, 200, SIZE), lambda _: True)
    return found


@pytest.mark.parametrize(("table", "column", "where"), DAMAGE)
async def test_no_damaged_byte_is_served_and_nothing_more_is_signed(
    tmp_path: Path, table: str, column: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, SIZE))
        sound = await served_well(ledger, TransparencyLog(log_key()))
        assert all(sound.values())
        assert not any("refused" in what for what in sound)
        await flip(ledger, table, column, where)
        log = TransparencyLog(log_key(), on_damage=ledger.sequencer.stop_signing)
        found = await served_well(ledger, log)
        assert all(found.values()), found
        assert any("refused" in what for what in found), found
        assert "the log is not served" in caplog.text
        with pytest.raises(Unavailable):
            await ledger.sequencer.submit(entries(SIZE, SIZE + 1))


async def test_what_was_repaired_is_served_again(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, SIZE))
        log = TransparencyLog(log_key())
        async with ledger.database.transaction() as connection:
            await connection.exec_driver_sql("CREATE TABLE sound AS SELECT * FROM log_tiles")
        await flip(ledger, *DAMAGE[0])
        with pytest.raises(Unavailable):
            await tile(ledger, log, 0)
        async with ledger.database.transaction() as connection:
            await connection.exec_driver_sql("DELETE FROM log_tiles")
            await connection.exec_driver_sql("INSERT INTO log_tiles SELECT * FROM sound")
        assert await tile(ledger, log, 0)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513, 700])
async def test_every_tile_of_every_width_is_proved(tmp_path: Path, size: int) -> None:
    async with opened(f"sqlite:///{tmp_path}/test.db", tmp_path) as ledger:
        await ledger.sequencer.submit(entries(0, size))
        log = TransparencyLog(log_key())
        async with ledger.database.reading() as connection:
            for level in (0, 1):
                count = size >> 8 * level
                for index in range(-(-count // 256)):
                    for width in {1, 2, 3, 100, tile_width(level, index, size)}:
                        if width <= tile_width(level, index, size):
                            found = await log.tile(connection, Tile(level, index, width))
                            assert found is not None
                            assert len(found) == 32 * width
