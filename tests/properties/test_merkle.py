"""Laws of the Merkle tree, against an implementation written straight from the RFC's recursion."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qagazsyz.merkle import (
    ProofError,
    leaf_hash,
    root_from_inclusion,
    verify_consistency,
    verify_inclusion,
)
from services.registry.log.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Edge,
    Node,
    Tile,
    consistency_ranges,
    inclusion_ranges,
    node_in_tile,
    range_hash,
    tile_of,
    tile_rows,
    tile_width,
)

# Past one tile of the second level, so that three levels exist.
LARGEST = TILE_WIDTH * TILE_WIDTH + 3 * TILE_WIDTH + 77

# The first example computes a large tree by the definition; the others find it kept.
LAWS = settings(deadline=None)

LEAVES = [leaf_hash(str(i).encode()) for i in range(LARGEST)]


class Naive:
    """Merkle tree hashes by the definition (RFC 9162, section 2.1.1), kept once computed."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bytes] = {}

    def hash(self, start: int, stop: int) -> bytes:
        if start == stop:
            return sha256(b"").digest()
        if stop - start == 1:
            return LEAVES[start]
        if (start, stop) not in self._known:
            k = 1
            while k * 2 < stop - start:
                k *= 2
            left, right = self.hash(start, start + k), self.hash(start + k, stop)
            self._known[start, stop] = sha256(b"\x01" + left + right).digest()
        return self._known[start, stop]

    def inclusion(self, index: int, start: int, stop: int) -> list[bytes]:
        if stop - start == 1:
            return []
        k = 1
        while k * 2 < stop - start:
            k *= 2
        if index < start + k:
            return [*self.inclusion(index, start, start + k), self.hash(start + k, stop)]
        return [*self.inclusion(index, start + k, stop), self.hash(start, start + k)]

    def consistency(self, first: int, start: int, stop: int, whole: bool) -> list[bytes]:
        if first == stop:
            return [] if whole else [self.hash(start, stop)]
        k = 1
        while k * 2 < stop - start:
            k *= 2
        if first <= start + k:
            path = self.consistency(first, start, start + k, whole)
            return [*path, self.hash(start + k, stop)]
        path = self.consistency(first, start + k, stop, False)
        return [*path, self.hash(start, start + k)]


NAIVE = Naive()


def hash_from_tiles(tree_size: int, node: Node) -> bytes:
    """The node's hash, read as a client of tlog-tiles reads it."""
    tile = tile_of(node, tree_size)
    scale = 1 << (TILE_HEIGHT * tile.level)
    first = tile.index * TILE_WIDTH
    hashes = [NAIVE.hash(i * scale, (i + 1) * scale) for i in range(first, first + tile.width)]
    return node_in_tile(node, tile_rows(hashes))


def path_of(ranges: list[tuple[int, int]], tree_size: int) -> list[bytes]:
    return [range_hash(a, b, lambda node: hash_from_tiles(tree_size, node)) for a, b in ranges]


sizes = st.one_of(
    st.integers(1, 300),
    st.integers(1, LARGEST),
    st.sampled_from([255, 256, 257, 65535, 65536, 65537, LARGEST]),
)


@LAWS
@given(sizes, st.data())
def test_every_inclusion_proof_verifies_and_is_the_one_of_the_definition(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = path_of(inclusion_ranges(index, size), size)
    assert path == NAIVE.inclusion(index, 0, size)
    verify_inclusion(LEAVES[index], index, size, path, NAIVE.hash(0, size))


@LAWS
@given(sizes, sizes)
def test_every_consistency_proof_verifies_and_is_the_one_of_the_definition(
    one: int, other: int
) -> None:
    first, second = sorted((one, other))
    path = path_of(consistency_ranges(first, second), second)
    assert path == NAIVE.consistency(first, 0, second, True)
    verify_consistency(first, second, path, NAIVE.hash(0, first), NAIVE.hash(0, second))


@LAWS
@given(sizes, st.data())
def test_a_tampered_inclusion_proof_does_not_verify(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    root = NAIVE.hash(0, size)
    path = NAIVE.inclusion(index, 0, size)
    leaf, claimed_index, claimed_size = LEAVES[index], index, size
    match data.draw(st.sampled_from(["leaf", "bit", "drop", "add", "index", "swap"])):
        case "leaf":
            leaf = leaf_hash(b"another")
        case "bit" if path:
            at = data.draw(st.integers(0, len(path) - 1))
            bit = data.draw(st.integers(0, 255))
            flipped = int.from_bytes(path[at], "big") ^ (1 << bit)
            path[at] = flipped.to_bytes(32, "big")
        case "drop" if path:
            path.pop(data.draw(st.integers(0, len(path) - 1)))
        case "index" if size > 1:
            claimed_index = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
        case "swap" if len(path) > 1:
            path.reverse()
        case _:
            path.append(leaf_hash(b"more"))
    with pytest.raises(ProofError):
        verify_inclusion(leaf, claimed_index, claimed_size, path, root)


@LAWS
@given(sizes, sizes, st.data())
def test_a_tampered_consistency_proof_does_not_verify(
    one: int, other: int, data: st.DataObject
) -> None:
    first, second = sorted((one, other))
    roots = [NAIVE.hash(0, first), NAIVE.hash(0, second)]
    path = NAIVE.consistency(first, 0, second, True)
    match data.draw(st.sampled_from(["first", "second", "bit", "drop", "add"])):
        case "first":
            roots[0] = leaf_hash(b"another")
        case "second":
            roots[1] = leaf_hash(b"another")
        case "bit" if path:
            at = data.draw(st.integers(0, len(path) - 1))
            path[at] = bytes([path[at][0] ^ 1]) + path[at][1:]
        case "drop" if path:
            path.pop(data.draw(st.integers(0, len(path) - 1)))
        case _:
            path.append(leaf_hash(b"more"))
    with pytest.raises(ProofError):
        verify_consistency(first, second, path, roots[0], roots[1])


@LAWS
@given(st.lists(st.integers(0, 700), max_size=5))
def test_an_edge_grown_in_any_steps_has_the_root_and_the_tiles_of_the_definition(
    steps: list[int],
) -> None:
    edge = Edge()
    tiles: dict[Tile, tuple[bytes, bytes]] = {}
    for step in steps:
        for tile, root, hashes in edge.append(LEAVES[edge.tree_size : edge.tree_size + step]):
            tiles[tile] = (root, hashes)
    size = sum(steps)
    assert edge.tree_size == size
    assert edge.root() == NAIVE.hash(0, size)
    assert sorted(tiles) == [Tile(0, i) for i in range(size // TILE_WIDTH)]
    for tile, (root, hashes) in tiles.items():
        start = tile.index * TILE_WIDTH
        assert hashes == b"".join(LEAVES[start : start + TILE_WIDTH])
        assert root == NAIVE.hash(start, start + TILE_WIDTH)


def test_an_edge_past_the_second_level_makes_the_tile_of_tiles() -> None:
    edge = Edge()
    full = {tile: (root, hashes) for tile, root, hashes in edge.append(LEAVES)}
    square = TILE_WIDTH * TILE_WIDTH
    assert full[Tile(1, 0)][0] == NAIVE.hash(0, square)
    assert [len(edge.partial(level)) for level in range(3)] == [77, 3, 1]
    assert edge.root() == NAIVE.hash(0, LARGEST)


@LAWS
@given(st.integers(0, 10**15), st.integers(0, 6))
def test_the_widths_of_a_level_add_up_to_its_hashes(size: int, level: int) -> None:
    hashes = size >> (TILE_HEIGHT * level)
    last = hashes // TILE_WIDTH
    assert tile_width(level, last, size) == hashes % TILE_WIDTH
    assert tile_width(level, last + 1, size) == 0
    if last:
        assert tile_width(level, last - 1, size) == TILE_WIDTH


@LAWS
@given(st.binary(max_size=40), st.integers(-2, 70), st.integers(-2, 70))
def test_nonsense_is_refused_and_nothing_else_is_raised(
    noise: bytes, index: int, size: int
) -> None:
    with pytest.raises(ProofError):
        root = root_from_inclusion(noise, index, size, [noise])
        assert len(noise) == 32
        assert len(root) == 32
        raise ProofError("well-formed by chance")
