"""The transparency log as its readers see it: checkpoints, tiles, proofs, receipts (C2SP tlog-tiles).

Nothing here writes; sequencer.py does. Every answer is made from the database,
so that each replica tells the same at once.

The interface, for the domain above it:

    entry = encode_entry({"v": 1, "event": "registered", "time": ..., ...})
    salt, hexadecimal = make_commitment(value, randomness)   # qagazsyz.receipts.commitment
    log = Log(origin=..., log_key=...)
    receipt = await log.receipt(connection, log_index, openings)
    receipts = await log.receipts(connection, [(log_index, openings), ...])   # a page at once
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.registry.v1 import receipts_pb2


def encode_entry(members: Mapping[str, Any]) -> bytes:
    """The entry as RFC 8785 JSON. Raises ValueError over MAX_ENTRY_BYTES."""
    raise NotImplementedError


class Log:
    """Reads the log."""

    async def receipt(
        self,
        connection: AsyncConnection,
        log_index: int,
        openings: Sequence[receipts_pb2.Opening] = (),
    ) -> receipts_pb2.Receipt:
        """The receipt of an entry against the latest checkpoint, with these openings."""
        raise NotImplementedError
