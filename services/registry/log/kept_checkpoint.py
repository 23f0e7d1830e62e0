"""The newest checkpoint, kept a second time, outside the database.

A database restored from an old backup looks sound by itself: its own head signs its own tree. So
the newest checkpoint is also written into the object store, after the commit and at most a second
late. A registry whose database is older than this checkpoint refuses to sign.
"""

from __future__ import annotations

import asyncio
import logging

from qagazsyz import notes
from services.registry.log.stored_tiles import LogDamaged
from services.registry.log.transparency_log import LogKey
from services.runtime.storage.object_store import ObjectMissing, ObjectStore

log = logging.getLogger(__name__)

KEPT_CHECKPOINT = "log/checkpoint"
# How far the kept checkpoint may be behind. Each write costs one small flush.
KEEP_SECONDS = 1.0


class KeptCheckpoint:
    """Writes the newest checkpoint at most once in KEEP_SECONDS, and reads it at the start."""

    def __init__(self, objects: ObjectStore, key: LogKey) -> None:
        self._objects = objects
        self._key = key
        self._newest = b""
        self._written = b""
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def read(self) -> notes.Checkpoint | None:
        """Return the kept checkpoint, None before the first. Raises LogDamaged for a forged one."""
        try:
            data = await self._objects.get(KEPT_CHECKPOINT)
        except ObjectMissing:
            return None
        try:
            return notes.open_checkpoint(data, self._key.verifier)
        except notes.NoteError as error:
            raise LogDamaged(f"the kept checkpoint: {error}") from None

    def note(self, checkpoint: bytes) -> None:
        """Write that checkpoint soon."""
        self._newest = checkpoint
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Write the newest checkpoint, and stop."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _keep(self) -> None:
        while self._written != self._newest:
            newest = self._newest
            try:
                await self._write(newest)
            except Exception as error:
                log.warning("the checkpoint was not kept: %s", type(error).__name__)
                if self._closing.is_set():
                    return
            else:
                self._written = newest
            if not self._closing.is_set():
                try:
                    async with asyncio.timeout(KEEP_SECONDS):
                        await self._closing.wait()
                except TimeoutError:
                    continue

    async def _write(self, newest: bytes) -> None:
        kept = await self.read()
        # Another replica may be ahead: never replace a checkpoint by an older one.
        if (
            kept is None
            or kept.tree_size < notes.open_checkpoint(newest, self._key.verifier).tree_size
        ):
            await self._objects.put(KEPT_CHECKPOINT, newest)
