"""The arithmetic of tiles; vectors of transparency-dev/merkle (RFC 6962) where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qagazsyz.merkle import (
    EMPTY_ROOT,
    ProofError,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from services.registry.log.tiles import (
    Edge,
    Node,
    consistency_ranges,
    inclusion_ranges,
    node_in_tile,
    range_hash,
    tile_rows,
)

VECTORS = Path(__file__).parents[4] / ".." / "shared" / "data" / "merkle" / "rfc6962.json"


@pytest.fixture(scope="module")
def vectors() -> Any:
    if not VECTORS.exists():
        pytest.skip("shared/data is not here")
    return json.loads(VECTORS.read_text())


@pytest.fixture(scope="module")
def leaves(vectors: Any) -> list[bytes]:
    return [leaf_hash(bytes.fromhex(data)) for data in vectors["leaf_inputs_hex"]]


def test_the_hashes_of_leaves_nodes_and_nothing_are_those_of_the_vectors(
    vectors: Any, leaves: list[bytes]
) -> None:
    hasher = vectors["hasher"]
    assert EMPTY_ROOT.hex() == hasher["empty_root"]
    assert leaf_hash(b"").hex() == hasher["empty_leaf"]
    assert leaf_hash(b"L123456").hex() == hasher["leaf_L123456"]
    assert node_hash(b"N123", b"N456").hex() == hasher["node_N123_N456"]
    rows = tile_rows(leaves)
    assert [[hash_.hex() for hash_ in row] for row in rows] == vectors["node_hashes_by_level_hex"]


def test_every_root_is_that_of_the_vectors(vectors: Any, leaves: list[bytes]) -> None:
    edge = Edge()
    roots = [edge.root().hex()]
    for leaf in leaves:
        edge.append([leaf])
        roots.append(edge.root().hex())
    assert roots == vectors["root_hashes_by_size_hex"]


def test_every_proof_leads_to_the_roots_of_the_vectors(vectors: Any, leaves: list[bytes]) -> None:
    roots = [bytes.fromhex(root) for root in vectors["root_hashes_by_size_hex"]]
    rows = tile_rows(leaves)

    def hash_of(node: Node) -> bytes:
        return node_in_tile(node, rows)

    for size in range(1, len(leaves) + 1):
        for index in range(size):
            path = [range_hash(a, b, hash_of) for a, b in inclusion_ranges(index, size)]
            verify_inclusion(leaves[index], index, size, path, roots[size])
        for first in range(size + 1):
            path = [range_hash(a, b, hash_of) for a, b in consistency_ranges(first, size)]
            verify_consistency(first, size, path, roots[first], roots[size])


def test_a_tree_is_not_consistent_with_a_smaller_one_or_another_of_its_size() -> None:
    one, other = leaf_hash(b"one"), leaf_hash(b"other")
    with pytest.raises(ProofError):
        verify_consistency(2, 1, [], one, other)
    with pytest.raises(ProofError):
        verify_consistency(1, 1, [], one, other)
    with pytest.raises(ProofError):
        verify_consistency(0, 1, [], one, other)
    verify_consistency(0, 1, [], EMPTY_ROOT, other)
    verify_consistency(1, 1, [], one, one)


def test_ranges_outside_the_tree_are_refused() -> None:
    for index, size in [(0, 0), (5, 5), (-1, 5)]:
        with pytest.raises(ValueError, match="outside"):
            inclusion_ranges(index, size)
    with pytest.raises(ValueError, match="larger"):
        consistency_ranges(6, 5)
    with pytest.raises(ValueError, match="another size"):
        Edge(300, [[]])
