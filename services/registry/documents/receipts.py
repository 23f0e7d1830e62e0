"""Receipts: the contract's message for a proof of inclusion and the openings that go with it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.registry.v1 import receipts_pb2
from services.registry.log.transparency_log import InclusionProof, TransparencyLog
from services.registry.model.log_entries import Opening


async def read_receipts(
    connection: AsyncConnection,
    transparency_log: TransparencyLog,
    wanted: Sequence[tuple[int, Sequence[Opening]]],
) -> list[receipts_pb2.Receipt]:
    """Return a receipt for each log index, with its openings, all against one checkpoint.

    Raises Unavailable if the stored log is damaged.
    """
    if not wanted:
        return []
    proofs = await transparency_log.prove_inclusion(connection, [index for index, _ in wanted])
    return [
        receipt_message(proof, openings)
        for proof, (_, openings) in zip(proofs, wanted, strict=True)
    ]


def receipt_message(proof: InclusionProof, openings: Sequence[Opening]) -> receipts_pb2.Receipt:
    """Return the receipt of an entry, with these openings."""
    return receipts_pb2.Receipt(
        entry=proof.entry,
        log_index=proof.log_index,
        inclusion_path=proof.path,
        checkpoint=proof.checkpoint,
        openings=[
            receipts_pb2.Opening(field=each.field, salt=each.salt, value=each.value)
            for each in openings
        ],
    )
