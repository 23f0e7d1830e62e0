"""A log that shows what a test wants: trees of any history, signed by one key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.monitoring.followed import NotReached, Refused
from qagazsyz import merkle, notes

KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
VERIFIER = notes.verifier_key("log.test.example", KEY)
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x02")
WITNESS = notes.verifier_key("witness.test.example", WITNESS_KEY, notes.SignatureType.COSIGNATURE)


def root(leaves: Sequence[bytes]) -> bytes:
    """Compute the tree's root as RFC 9162, section 2.1.1, defines it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else merkle.EMPTY_ROOT
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return merkle.node_hash(root(leaves[:left]), root(leaves[left:]))


def consistency(first: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """Compute the proof that the tree extends that of its first leaves (section 2.1.4.1)."""
    if first == len(leaves):
        return [] if whole else [root(leaves)]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    if first <= left:
        return [*consistency(first, leaves[:left], whole), root(leaves[left:])]
    return [*consistency(first - left, leaves[left:], False), root(leaves[:left])]


def history(word: str, size: int) -> list[bytes]:
    return [merkle.leaf_hash(f"{word} {number}".encode()) for number in range(size)]


def checkpoint(leaves: Sequence[bytes], key: Ed25519PrivateKey = KEY) -> bytes:
    text = notes.Checkpoint(VERIFIER.name, len(leaves), root(leaves)).text
    return bytes(notes.Note(text, (notes.sign(text, VERIFIER, key),)))


def cosigned(leaves: Sequence[bytes], time: int) -> bytes:
    text = notes.Checkpoint(VERIFIER.name, len(leaves), root(leaves)).text
    line = notes.cosign(text, WITNESS, WITNESS_KEY, time).line
    return checkpoint(leaves) + line.encode()


ENTRIES = history("entry", 40)
# A history that has only its first five entries in common with that of ENTRIES.
OTHER = [*ENTRIES[:5], *history("other", 35)]


def prove(first: int, second: int) -> list[bytes]:
    return consistency(first, ENTRIES[:second]) if first else []


@dataclass
class ShownLog:
    """A vantage point whose answers a test sets."""

    leaves: Sequence[bytes]
    address: str = "log.test.example:8080"
    # Raised in place of any answer, or of proofs alone.
    failure: Exception | None = None
    proof_failure: Exception | None = None
    cosigned_checkpoint: bytes | None = None
    proofs: list[tuple[int, int]] = field(default_factory=list)

    def newest(self) -> bytes:
        if self.failure is not None:
            raise self.failure
        return checkpoint(self.leaves)

    def cosigned(self) -> bytes | None:
        return self.cosigned_checkpoint

    def prove(self, first: int, second: int) -> Sequence[bytes]:
        self.proofs.append((first, second))
        if self.proof_failure is not None:
            raise self.proof_failure
        if second > len(self.leaves):
            raise Refused(f"INVALID_ARGUMENT: second_size: the log has {len(self.leaves)} entries")
        return consistency(first, self.leaves[:second]) if first else []


AWAY = NotReached("UNAVAILABLE")
