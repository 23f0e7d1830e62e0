"""The log as a client of C2SP tlog-tiles reads it, and what witnesses add."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qagazsyz import notes
from qagazsyz.merkle import leaf_hash, verify_consistency, verify_inclusion
from qagazsyz.receipts import verify_receipt
from qagazsyz.registry.v1 import log_pb2
from services.registry.log.tile_paths import tile_path
from services.registry.log.tiles import (
    TILE_WIDTH,
    Edge,
    Tile,
    inclusion_ranges,
    node_in_tile,
    range_hash,
    split_hashes,
    tile_of,
    tile_rows,
    tile_width,
)
from services.runtime.errors import InvalidArgument, NotFound
from tests.unit.registry.ledger import (
    ORIGIN,
    WITNESS,
    cosigned,
    entries,
    entry,
    opened,
)
from tests.unit.registry.log.reader import reader


def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/test.db"


async def test_a_follower_rebuilds_the_tree_from_bundles_and_tiles(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        log = reader(ledger)
        for stop in (1, 255, 256, 257, 700):
            head = await log.checkpoint(ledger.key.verifier)
            await ledger.sequencer.submit(entries(head.tree_size, stop))
            head = await log.checkpoint(ledger.key.verifier)
            assert log.caching == "no-cache"
            assert head.tree_size == stop
            leaves: list[bytes] = []
            for index in range(-(-stop // TILE_WIDTH)):
                tile = Tile(0, index, tile_width(0, index, stop))
                bundle = await log.tile(tile_path(tile, entries=True))
                assert "immutable" in log.caching
                hashes: list[bytes] = []
                while bundle:
                    length = int.from_bytes(bundle[:2], "big")
                    hashes.append(leaf_hash(bundle[2 : 2 + length]))
                    bundle = bundle[2 + length :]
                assert await log.tile(tile_path(tile)) == b"".join(hashes)
                leaves += hashes
            edge = Edge()
            full = edge.append(leaves)
            assert edge.root() == head.root_hash
            for tile, _, stored in full:
                assert await log.tile(tile_path(tile)) == stored
            if stop >= TILE_WIDTH:
                upper = Tile(1, 0, tile_width(1, 0, stop))
                assert await log.tile(tile_path(upper)) == b"".join(edge.partial(1))


async def test_a_follower_proves_inclusion_from_tiles_alone(
    database_url: str, tmp_path: Path
) -> None:
    size = 700
    async with opened(database_url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, size))
        log = reader(ledger)
        head = await log.checkpoint(ledger.key.verifier)
        rows = {}
        for level in range(2):
            for index in range(-(-(size >> (8 * level)) // TILE_WIDTH)):
                tile = Tile(level, index, tile_width(level, index, size))
                data = await log.tile(tile_path(tile))
                rows[tile] = tile_rows(split_hashes(data))
        for index in (0, 255, 256, 511, 512, 699):
            path = [
                range_hash(a, b, lambda node: node_in_tile(node, rows[tile_of(node, size)]))
                for a, b in inclusion_ranges(index, size)
            ]
            verify_inclusion(leaf_hash(entry(index)), index, size, path, head.root_hash)


async def test_partial_tiles_of_former_sizes_are_served_on(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 300))
        log = reader(ledger)
        assert len(await log.tile("0/000.p/7")) == 7 * 32
        assert (await log.tile("0/000"))[: 7 * 32] == await log.tile("0/000.p/7")
        assert len(await log.tile("0/001.p/44")) == 44 * 32
        assert (await log.tile("entries/000"))[2:].startswith(entry(0))


@pytest.mark.parametrize("path", ["0/001", "0/001.p/45", "0/002.p/1", "1/000", "2/000.p/1"])
async def test_a_tile_beyond_the_tree_is_not_found_and_no_cache_keeps_that(
    tmp_path: Path, path: str
) -> None:
    async with opened(sqlite(tmp_path), tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 300))
        log = reader(ledger)
        with pytest.raises(NotFound):
            await log.tile(path)
        assert log.caching == "no-store"


async def test_the_key_is_served_as_verifiers_write_it(tmp_path: Path) -> None:
    async with opened(sqlite(tmp_path), tmp_path / "contents") as ledger:
        answer = await reader(ledger).get("GetLogKey", log_pb2.GetLogKeyRequest())
        assert answer.content_type == "text/plain; charset=utf-8"
        assert notes.VerifierKey.parse(answer.data.decode()) == ledger.key.verifier
        assert answer.data.decode().startswith(f"{ORIGIN}+")


async def test_consistency_is_proved_between_any_two_sizes(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "contents") as ledger:
        heads = [await reader(ledger).checkpoint(ledger.key.verifier)]
        for stop in (1, 7, 256, 300):
            await ledger.sequencer.submit(entries(heads[-1].tree_size, stop))
            heads.append(await reader(ledger).checkpoint(ledger.key.verifier))
        log = reader(ledger)
        for i, first in enumerate(heads):
            for second in heads[i:]:
                proof = await log.proof(first.tree_size, second.tree_size)
                if second.tree_size:
                    assert proof.second_size == second.tree_size
                    verify_consistency(
                        first.tree_size, second.tree_size, proof.path,
                        first.root_hash, second.root_hash,
                    )  # fmt: skip
                is_latest = second == heads[-1] or not second.tree_size
                assert bool(proof.checkpoint) == is_latest


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [(-1, 0, "first_size"), (4, 3, "first_size"), (1, 6, "second_size"), (1, -3, "second_size")],
)
async def test_a_proof_between_sizes_outside_the_log_is_refused(
    tmp_path: Path, first: int, second: int, field: str
) -> None:
    async with opened(sqlite(tmp_path), tmp_path / "contents") as ledger:
        await ledger.sequencer.submit(entries(0, 5))
        with pytest.raises(InvalidArgument) as refused:
            await reader(ledger).proof(first, second)
        assert refused.value.field == field


async def test_a_witness_cosignature_is_kept_and_served(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        log = reader(ledger)
        with pytest.raises(NotFound):
            await log.get("GetCosignedCheckpoint", log_pb2.GetCosignedCheckpointRequest())
        committed = await ledger.sequencer.submit(entries(0, 3))
        assert await log.add_cosignature(cosigned(committed.checkpoint, time=5)) == 1
        # A later one by the same witness takes its place.
        assert await log.add_cosignature(cosigned(committed.checkpoint, time=77)) == 1
        latest = await log.get("GetCheckpoint", log_pb2.GetCheckpointRequest())
        verified = notes.Note.parse(latest.data).verify([ledger.key.verifier, WITNESS])
        assert verified == {ledger.key.verifier: None, WITNESS: 77}
        proved = verify_receipt(await ledger.receipt(2), ledger.key.verifier, witnesses=[WITNESS])
        assert proved.witnesses == {"witness.example": 77}

        # The log grows: the cosigned checkpoint is no longer the latest, and is still served.
        await ledger.sequencer.submit(entries(3, 300))
        latest = await log.get("GetCheckpoint", log_pb2.GetCheckpointRequest())
        assert WITNESS not in notes.Note.parse(latest.data).verify([WITNESS])
        kept = await log.get("GetCosignedCheckpoint", log_pb2.GetCosignedCheckpointRequest())
        assert notes.open_checkpoint(kept.data, ledger.key.verifier).tree_size == 3
        assert notes.Note.parse(kept.data).verify([WITNESS]) == {WITNESS: 77}


async def test_a_witness_may_bring_an_older_checkpoint(tmp_path: Path) -> None:
    url = sqlite(tmp_path)
    async with opened(url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        older = await ledger.sequencer.submit(entries(0, 3))
        await ledger.sequencer.submit(entries(3, 9))
        assert await reader(ledger).add_cosignature(cosigned(older.checkpoint)) == 1


async def test_an_unknown_witness_is_passed_over(tmp_path: Path) -> None:
    url = sqlite(tmp_path)
    private = Ed25519PrivateKey.from_private_bytes(bytes([10]) * 32)
    unknown = notes.verifier_key("other.example", private, notes.SignatureType.COSIGNATURE)
    async with opened(url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        committed = await ledger.sequencer.submit(entries(0, 3))
        note = cosigned(committed.checkpoint, key=unknown, private=private)
        assert await reader(ledger).add_cosignature(note) == 0


async def test_a_note_that_is_not_over_this_log_is_refused(tmp_path: Path) -> None:
    url = sqlite(tmp_path)
    async with opened(url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        committed = await ledger.sequencer.submit(entries(0, 3))
        good = committed.checkpoint
        root = base64.b64encode(notes.open_checkpoint(good, ledger.key.verifier).root_hash)
        forged = [
            b"",
            b"garbage",
            cosigned(good).replace(b"\n3\n", b"\n4\n"),
            cosigned(good.replace(b"\n3\n", b"\n4\n")),
            cosigned(good.replace(b"\n3\n", b"\n2\n")),
            cosigned(good.replace(root, base64.b64encode(bytes(32)))),
            cosigned(good.replace(ORIGIN.encode(), b"other.example", 1)),
            cosigned(good.replace(root, root + b"\nextension")),
            cosigned(good, private=Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)),
        ]
        for data in forged:
            with pytest.raises(InvalidArgument):
                await reader(ledger).add_cosignature(data)
