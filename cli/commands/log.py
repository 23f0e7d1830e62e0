"""`qagazsyz log`: monitor the transparency log from outside, and report a fork."""

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
from cli.terminal import say
from qagazsyz import merkle, notes

log = typer.Typer(help="The transparency log.", no_args_is_help=True)

# Fetches the consistency proof between two tree sizes.
Prove = Callable[[int, int], Sequence[bytes]]


class Fork(Exception):
    """Two checkpoints of one log contradict each other."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A monitor's state: the log's key, and the newest checkpoint that it accepted."""

    key: notes.VerifierKey
    checkpoint: bytes

    @classmethod
    def load(cls, path: Path) -> Followed:
        """Read a state file: the key's line, an empty line, the checkpoint. Raises Failure."""
        line, _, checkpoint = path.read_bytes().partition(b"\n\n")
        try:
            return cls(notes.VerifierKey.parse(line.decode()), checkpoint)
        except (notes.NoteError, UnicodeDecodeError) as error:
            raise Failure(f"{path}: not a state of qagazsyz log follow: {error}") from None

    def save(self, path: Path) -> None:
        """Write the state file atomically."""
        draft = path.with_name(f"{path.name}.new")
        with draft.open("wb") as file:
            file.write(f"{self.key}\n\n".encode() + self.checkpoint)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def accept(followed: Followed, checkpoint: bytes, prove: Prove) -> Followed:
    """Verify one more checkpoint against the last; return the state after it.

    A smaller tree of the same history (a response that was overtaken) changes nothing. Raises Fork
    if neither tree begins with the other, notes.NoteError if the log's key has not signed it.
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
    state: Annotated[Path, typer.Option(help="File that keeps the newest accepted checkpoint.")],
    key: Annotated[
        Path | None,
        typer.Option(help="File of the log's verifier key; fetched the first time if not given."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two checks.")] = 10.0,
    once: Annotated[bool, typer.Option(help="Check once and end.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Check that each new checkpoint extends the last; on a fork, keep evidence and exit with 1."""
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
                followed = _check(followed, newest(), prove, state)
            except grpc.RpcError as error:
                # An unreachable log is no fork; the next check may reach it.
                if once:
                    raise
                say(f"not reached: {error.code().name}")
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


def _check(followed: Followed, checkpoint: bytes, prove: Prove, state: Path) -> Followed:
    try:
        accepted = accept(followed, checkpoint, prove)
    except (Fork, notes.NoteError) as error:
        evidence = state.with_name(f"{state.name}.fork")
        evidence.write_bytes(followed.checkpoint + b"\n" + checkpoint)
        raise Failure(f"FORK: {error}; both checkpoints are in {evidence}", CHECK_FAILED) from None
    if accepted is not followed:
        accepted.save(state)
        tree = notes.open_checkpoint(checkpoint, accepted.key)
        say(f"{tree.origin}: {tree.tree_size} entries, consistent")
    return accepted
