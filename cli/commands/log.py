"""`qagazsyz log`: follows the transparency log from outside, and alarms on a fork."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, Gateway
from qagazsyz import merkle, notes

log = typer.Typer(help="The transparency log.", no_args_is_help=True)

# The checkpoint and the proof come a moment apart; a tree grows meanwhile and never shrinks.
Prove = Callable[[int, int], Sequence[bytes]]


class Fork(Exception):
    """Two checkpoints of one log that cannot both be of one history."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What a monitor keeps: the log's key, and the newest checkpoint that it has accepted."""

    key: notes.VerifierKey
    checkpoint: bytes

    @classmethod
    def load(cls, path: Path) -> Followed:
        """From a state file: the key's line, an empty line, the checkpoint. Raises Failure."""
        line, _, checkpoint = path.read_bytes().partition(b"\n\n")
        try:
            return cls(notes.VerifierKey.parse(line.decode()), checkpoint)
        except (notes.NoteError, UnicodeDecodeError) as error:
            raise Failure(f"{path} is no state of qagazsyz log follow: {error}") from None

    def save(self, path: Path) -> None:
        """Writes the state file, all of it or nothing."""
        draft = path.with_name(f"{path.name}.new")
        with draft.open("wb") as file:
            file.write(f"{self.key}\n\n".encode() + self.checkpoint)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def accept(followed: Followed, checkpoint: bytes, prove: Prove) -> Followed:
    """The state after one more checkpoint, whose tree must begin with the last one's.

    An older tree of the same history (an answer that was overtaken) changes nothing. prove gives
    the consistency proof between two sizes. Raises Fork, and notes.NoteError for a checkpoint that
    the log's key has not signed.
    """
    new = notes.open_checkpoint(checkpoint, followed.key)
    if not followed.checkpoint:
        return Followed(followed.key, checkpoint)
    last = notes.open_checkpoint(followed.checkpoint, followed.key)
    older, newer = sorted((last, new), key=lambda tree: tree.tree_size)
    try:
        path = prove(older.tree_size, newer.tree_size) if older.tree_size != newer.tree_size else ()
        merkle.verify_consistency(
            older.tree_size, newer.tree_size, path, older.root_hash, newer.root_hash
        )
    except merkle.ProofError as error:
        raise Fork(
            f"the tree of size {newer.tree_size} does not begin with that of "
            f"{older.tree_size}: {error}"
        ) from None
    return Followed(followed.key, checkpoint) if new.tree_size > last.tree_size else followed


@log.command()
def follow(
    state: Annotated[Path, typer.Option(help="Where the newest accepted checkpoint is kept.")],
    key: Annotated[
        Path | None,
        typer.Option(help="The log's verifier key; the log is asked for it the first time."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option(help="Look once and end.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Check that each new checkpoint continues the last; exit code 1, with evidence, on a fork."""
    import grpc

    from cli.connection import TIMEOUT_SECONDS, anonymous
    from qagazsyz.registry.v1 import log_pb2, log_pb2_grpc

    with anonymous(gateway) as channel:
        stub = log_pb2_grpc.LogServiceStub(channel)

        def prove(first: int, second: int) -> Sequence[bytes]:
            request = log_pb2.GetConsistencyProofRequest(first_size=first, second_size=second)
            return list(stub.GetConsistencyProof(request, timeout=TIMEOUT_SECONDS).path)

        def newest() -> bytes:
            request = log_pb2.GetCheckpointRequest()
            return bytes(stub.GetCheckpoint(request, timeout=TIMEOUT_SECONDS).data)

        def published_key() -> bytes:
            request = log_pb2.GetLogKeyRequest()
            return bytes(stub.GetLogKey(request, timeout=TIMEOUT_SECONDS).data)

        followed = _begin(state, key, published_key)
        while True:
            try:
                followed = _look(followed, newest(), prove, state)
            except grpc.RpcError as error:
                # A log that cannot be reached now is no fork; the next look may reach it.
                if once:
                    raise
                print(f"not reached: {error.code().name}", flush=True)
            if once:
                return
            time.sleep(every)


def _begin(state: Path, key: Path | None, published_key: Callable[[], bytes]) -> Followed:
    given = key.read_text() if key else ""
    if state.exists():
        followed = Followed.load(state)
        if given and notes.VerifierKey.parse(given) != followed.key:
            raise Failure(f"{state} follows another key")
        return followed
    try:
        return Followed(notes.VerifierKey.parse(given or published_key().decode()), b"")
    except notes.NoteError as error:
        raise Failure(f"no verifier key: {error}") from None


def _look(followed: Followed, checkpoint: bytes, prove: Prove, state: Path) -> Followed:
    try:
        accepted = accept(followed, checkpoint, prove)
    except (Fork, notes.NoteError) as error:
        evidence = state.with_name(f"{state.name}.fork")
        evidence.write_bytes(followed.checkpoint + b"\n" + checkpoint)
        raise Failure(f"FORK: {error}; both checkpoints are in {evidence}", CHECK_FAILED) from None
    if accepted is not followed:
        accepted.save(state)
        tree = notes.open_checkpoint(checkpoint, accepted.key)
        print(f"{tree.origin}: {tree.tree_size} entries, consistent", flush=True)
    return accepted
