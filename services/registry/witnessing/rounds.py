"""Ask witnesses to cosign the log, in the background, round by round.

A witness cosigns a checkpoint if it extends the one that it cosigned last, so that nobody can be
shown another log without its help. Each round sends every witness the latest checkpoint; callers
never wait for a witness. The log need not have grown: a cosignature also says when it was made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from qagazsyz import notes
from services.registry.log.transparency_log import TransparencyLog
from services.registry.witnessing.witness_calls import (
    StaleProof,
    Witness,
    WitnessCalls,
    WitnessFailed,
)
from services.runtime.storage.database import Database

log = logging.getLogger(__name__)


class WitnessRounds:
    """Keeps the cosignatures of some witnesses fresh."""

    def __init__(
        self,
        database: Database,
        transparency_log: TransparencyLog,
        witnesses: Sequence[Witness],
        calls: WitnessCalls,
    ) -> None:
        self._database = database
        self._log = transparency_log
        self._witnesses = tuple(witnesses)
        self._calls = calls
        # By the witness' name: the size of the tree that it saw last, as far as is known here.
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """Ask every witness once; log those that did not cosign."""
        await asyncio.gather(*(self._ask(witness) for witness in self._witnesses))

    async def _ask(self, witness: Witness) -> None:
        name = witness.key.name
        try:
            try:
                await self._send(witness, self._seen.get(name, 0))
            except StaleProof as stale:
                # Another replica, or this one before its restart, was there.
                self._seen[name] = stale.tree_size
                await self._send(witness, stale.tree_size)
        except (WitnessFailed, StaleProof, notes.NoteError) as error:
            log.warning("the witness %s did not cosign: %s", name, error)

    async def _send(self, witness: Witness, old_size: int) -> None:
        async with self._database.reading() as connection:
            checkpoint = await self._log.own_checkpoint(connection)
            note = notes.Note.parse(checkpoint)
            size = notes.Checkpoint.parse(note.text).tree_size
            if size == 0:
                return
            if old_size > size:
                # Either a restored backup, or the witness was shown a log that is not this one.
                log.critical(
                    "the witness %s saw %d entries, the log has %d",
                    witness.key.name,
                    old_size,
                    size,
                )
                raise WitnessFailed("it saw a larger tree")
            proof = await self._log.consistency(connection, old_size, size)
        lines = await self._calls.add_checkpoint(witness, old_size, proof, checkpoint)
        cosigned = notes.Note.parse(f"{note.text}\n{lines}".encode())
        async with self._database.reading() as connection:
            verified = await self._log.verify_cosignatures(connection, cosigned)
        if str(witness.key) not in {each.witness for each in verified}:
            raise WitnessFailed("its cosignature is not in its answer")
        await self._database.run(
            lambda connection: self._log.add_cosignatures(connection, verified)
        )
        self._seen[witness.key.name] = size
