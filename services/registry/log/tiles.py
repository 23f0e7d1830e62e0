"""The arithmetic of a growing Merkle tree: appending, tiles, and the ranges that proofs consist of.

Pure functions over bytes and numbers. Hashing and the verification of proofs are in
qagazsyz.merkle, which the client shares, and which says why this is own code. The tree is laid out
as in C2SP tlog-tiles: at level 0 the leaf hashes, 256 to a tile; at each level above, the roots of
the full tiles below. A proof is a list of hashes over ranges of leaves, and every such range
consists of nodes that lie inside tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from qagazsyz.merkle import EMPTY_ROOT, HASH_SIZE, node_hash

# A tile is a subtree of this height, and so many hashes wide (C2SP tlog-tiles).
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
# "between 0 and 63" (C2SP tlog-tiles).
LEVEL_LIMIT = 63


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile's place: its level, its index within the level, and its width."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def is_full(self) -> bool:
        return self.width == TILE_WIDTH


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """The root of a whole subtree: over the leaves [index << height, (index + 1) << height)."""

    height: int
    index: int


# --- Ranges of proofs --------------------------------------------------------


def inclusion_ranges(index: int, tree_size: int) -> list[tuple[int, int]]:
    """Return the ranges of leaves whose hashes are a leaf's path, in order (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < tree_size:
        raise ValueError("the leaf is outside the tree")
    ranges: list[tuple[int, int]] = []
    start, stop = 0, tree_size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(first_size: int, second_size: int) -> list[tuple[int, int]]:
    """Return the ranges whose hashes prove that the second tree begins with the first (RFC 9162,
    section 2.1.4.1)."""
    if not 0 <= first_size <= second_size:
        raise ValueError("the first tree is larger than the second")
    if first_size in (0, second_size):
        return []
    ranges: list[tuple[int, int]] = []
    start, stop = 0, second_size
    while first_size != stop:
        middle = start + _split(stop - start)
        if first_size <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    # The part that both trees share; the verifier knows it if it is the whole first tree.
    if start:
        ranges.append((start, stop))
    return ranges[::-1]


def nodes_of(start: int, stop: int) -> list[Node]:
    """Return the whole subtrees, left to right, that a range of leaves consists of.

    The range must be one that the tree's own splits make: it starts at a multiple of the
    power of two that covers it.
    """
    nodes: list[Node] = []
    while start < stop:
        height = (stop - start).bit_length() - 1
        nodes.append(Node(height, start >> height))
        start += 1 << height
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over the subtrees of one range, given left to right."""
    if not hashes:
        return EMPTY_ROOT
    *rest, root = hashes
    for left in reversed(rest):
        root = node_hash(left, root)
    return root


def range_hash(start: int, stop: int, hash_of: Callable[[Node], bytes]) -> bytes:
    """Return the hash over a range of leaves; over [0, size) it is the tree's root."""
    return fold([hash_of(node) for node in nodes_of(start, stop)])


# --- Tiles -------------------------------------------------------------------


def tile_of(node: Node, tree_size: int) -> Tile:
    """Return the tile that holds the node, in a tree of that size, which must hold the node."""
    level = node.height // TILE_HEIGHT
    index = (node.index << (node.height % TILE_HEIGHT)) // TILE_WIDTH
    return Tile(level, index, tile_width(level, index, tree_size))


def tile_width(level: int, index: int, tree_size: int) -> int:
    """Return how many hashes the tile has in a tree of that size; 0 if there is no such tile."""
    hashes = tree_size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def full_tiles(level: int, tree_size: int) -> int:
    """Return how many full tiles a level has in a tree of that size."""
    return tree_size >> (TILE_HEIGHT * (level + 1))


def tile_rows(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Return all whole subtrees inside a tile: at [height][i] the i-th one of that height."""
    rows = [list(hashes)]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)])
    return rows


def node_in_tile(node: Node, rows: Sequence[Sequence[bytes]]) -> bytes:
    """Return the node's hash from the rows of its tile."""
    height = node.height % TILE_HEIGHT
    return rows[height][node.index % (TILE_WIDTH >> height)]


def split_hashes(data: bytes) -> list[bytes]:
    """Split a tile, as it is stored and served, into its hashes."""
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]


# --- Appending ---------------------------------------------------------------


class Edge:
    """The right edge of a tree: its partial tiles, which suffice to append.

    Appending returns the tiles that became full, and changes the edge in place; append to a copy()
    where the change may have to be undone.
    """

    def __init__(self, tree_size: int = 0, partial: Iterable[Sequence[bytes]] = ()) -> None:
        self.tree_size = tree_size
        # At [level] the hashes of that level's last, partial tile; may be empty.
        self._partial = [list(hashes) for hashes in partial]
        if len(self._partial) < edge_levels(tree_size):
            raise ValueError("an edge of another size")
        for level, hashes in enumerate(self._partial):
            if len(hashes) != (tree_size >> (TILE_HEIGHT * level)) % TILE_WIDTH:
                raise ValueError("an edge of another size")

    def copy(self) -> Edge:
        return Edge(self.tree_size, self._partial)

    def partial(self, level: int) -> Sequence[bytes]:
        """Return the hashes of the level's last tile if it is partial."""
        return self._partial[level] if level < len(self._partial) else ()

    def append(self, leaves: Iterable[bytes]) -> list[tuple[Tile, bytes, bytes]]:
        """Append leaf hashes; return each tile that became full: place, root, hashes."""
        full: list[tuple[Tile, bytes, bytes]] = []
        for leaf in leaves:
            self._push(0, leaf, full)
            self.tree_size += 1
        return full

    def _push(self, level: int, hash_: bytes, full: list[tuple[Tile, bytes, bytes]]) -> None:
        if level == len(self._partial):
            self._partial.append([])
        hashes = self._partial[level]
        hashes.append(hash_)
        if len(hashes) == TILE_WIDTH:
            index = self.tree_size >> (TILE_HEIGHT * (level + 1))
            root = tile_rows(hashes)[TILE_HEIGHT][0]
            full.append((Tile(level, index), root, b"".join(hashes)))
            self._partial[level] = []
            self._push(level + 1, root, full)

    def root(self) -> bytes:
        """Return the root hash of the tree."""
        rows = [tile_rows(hashes) for hashes in self._partial]
        return range_hash(
            0, self.tree_size, lambda node: node_in_tile(node, rows[node.height // TILE_HEIGHT])
        )


def edge_levels(tree_size: int) -> int:
    """Return how many levels of tiles a tree of that size has."""
    return (tree_size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT


def _split(count: int) -> int:
    """Return the largest power of two below count, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)
