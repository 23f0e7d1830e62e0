"""The newest checkpoint, kept a second time, outside the database.

A database that was restored from an old backup looks sound by itself: its own
head signs its own tree. So the newest checkpoint lies beside the contents too,
written after the commit and at most a second late, never early. A registry
that finds its database older than this refuses to sign.
"""

from __future__ import annotations

import asyncio
import logging

from qagazsyz import notes
from services.registry.log.transparency_log import LogDamaged, LogKey
from services.runtime.storage.object_store import ObjectMissing, ObjectStore

log = logging.getLogger(__name__)

KEPT_CHECKPOINT = "log/checkpoint"
# How far the kept checkpoint may be behind; each write is one small flush.
KEEP_SECONDS = 1.0


class KeptCheckpoint:
    """Writes the newest checkpoint now and then, and reads it at the start."""

    def __init__(self, objects: ObjectStore, key: LogKey) -> None:
        self._objects = objects
        self._key = key
        self._newest = b""
        self._written = b""
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def read(self) -> notes.Checkpoint | None:
        """The kept checkpoint, or None before the first. Raises LogDamaged for a forged one."""
        try:
            data = await self._objects.get(KEPT_CHECKPOINT)
        except ObjectMissing:
            return None
        try:
            return notes.open_checkpoint(data, self._key.verifier)
        except notes.NoteError as error:
            raise LogDamaged(f"the kept checkpoint: {error}") from None

    def note(self, checkpoint: bytes) -> None:
        """Has that checkpoint kept soon."""
        self._newest = checkpoint
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Returns once the newest checkpoint is kept."""
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
        # Another replica may be ahead; what it kept must not go back.
        if (
            kept is None
            or kept.tree_size < notes.open_checkpoint(newest, self._key.verifier).tree_size
        ):
            await self._objects.put(KEPT_CHECKPOINT, newest)
