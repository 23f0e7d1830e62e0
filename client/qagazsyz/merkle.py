"""Hash Merkle trees and verify their proofs (RFC 9162, section 2.1).

Pure functions over bytes, enough to verify a receipt or to follow a log with this package alone.
The code is our own because the libraries looked at do not fit: pymerkle numbers leaves from one,
has a proof format of its own, and reads its storage leaf by leaf; sigstore's verification is
private (_internal) and has no consistency proofs; neither knows tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_SIZE = 32
# The hash of a tree without leaves.
EMPTY_ROOT = sha256(b"").digest()
# A tree of 2**63 leaves, more than an int64 counts, has paths of 63 hashes.
PATH_LIMIT = 63


class ProofError(ValueError):
    """The proof is malformed, or does not prove what it should."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over two subtrees: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def root_from_inclusion(leaf: bytes, index: int, tree_size: int, path: Sequence[bytes]) -> bytes:
    """Compute the root from a leaf's hash and its inclusion path (RFC 9162, section 2.1.3.2).

    Raises ProofError if a tree of that size has no such path for that leaf.
    """
    if not 0 <= index < tree_size:
        raise ProofError("the leaf is outside the tree")
    _check_hashes([leaf, *path])
    node, last = index, tree_size - 1
    root = leaf
    for hash_ in path:
        if last == 0:
            raise ProofError("the path is too long")
        if node & 1 or node == last:
            root = node_hash(hash_, root)
            # A right edge without a sibling is carried up unhashed.
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            root = node_hash(root, hash_)
        node >>= 1
        last >>= 1
    if last:
        raise ProofError("the path is too short")
    return root


def verify_inclusion(
    leaf: bytes, index: int, tree_size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Verify that the tree with that root has the leaf at that index. Raises ProofError."""
    if root_from_inclusion(leaf, index, tree_size, path) != root:
        raise ProofError("the path leads to another root")


def verify_consistency(
    first_size: int,
    second_size: int,
    path: Sequence[bytes],
    first_root: bytes,
    second_root: bytes,
) -> None:
    """Verify that the second tree begins with the first (RFC 9162, section 2.1.4.2).

    The path is empty if both are the same tree, or if the first is empty. Raises ProofError.
    """
    if not 0 <= first_size <= second_size:
        raise ProofError("the first tree is larger than the second")
    _check_hashes([*path, first_root, second_root])
    if first_size == 0 or first_size == second_size:
        if path:
            raise ProofError("the path is too long")
        if first_size == 0 and first_root != EMPTY_ROOT:
            raise ProofError("the first tree is empty and its root is not")
        if first_size == second_size and first_root != second_root:
            raise ProofError("two roots of one size")
        return
    if not path:
        raise ProofError("the path is too short")
    if first_size & (first_size - 1) == 0:
        # The first tree is one whole subtree of the second: its root opens the path.
        path = [first_root, *path]
    node, last = first_size - 1, second_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = path[0]
    for hash_ in path[1:]:
        if last == 0:
            raise ProofError("the path is too long")
        if node & 1 or node == last:
            first = node_hash(hash_, first)
            second = node_hash(hash_, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, hash_)
        node >>= 1
        last >>= 1
    if last:
        raise ProofError("the path is too short")
    if first != first_root:
        raise ProofError("the path leads to another first root")
    if second != second_root:
        raise ProofError("the path leads to another second root")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > PATH_LIMIT + 3:
        raise ProofError("the path is too long")
    if any(len(hash_) != HASH_SIZE for hash_ in hashes):
        raise ProofError("a hash that has not 32 bytes")
