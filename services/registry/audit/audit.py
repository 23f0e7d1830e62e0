"""The audit: recompute the log, trusting nothing but its key, and name every difference.

It asks three questions of one snapshot of the database:

- Is the tree the one that was signed? (tree_audit.py)
- Does every record - document, consent, access - stand in the log as it stands in its table, and
  does every entry have its record? (record_audit.py)
- Is every content there, and the registered one? (content_audit.py)

A fourth needs identity: does the log tell of every certificate and membership? (identity_audit.py)
"""

from __future__ import annotations

from collections.abc import Sequence

from qagazsyz import notes
from services.registry.audit.content_audit import check_contents
from services.registry.audit.differences import Difference
from services.registry.audit.record_audit import Records, check_records
from services.registry.audit.tree_audit import check_tree
from services.registry.contents.packs import Contents
from services.registry.log.kept_checkpoint import KEPT_CHECKPOINT
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import ObjectMissing, ObjectStore


async def audit(
    database: Database,
    contents: Contents,
    objects: ObjectStore,
    key: notes.VerifierKey,
    *,
    records: Records,
    seen: Sequence[bytes] = (),
) -> list[Difference]:
    """Return every difference, in the order of the questions above.

    records: yields all rows that have entries (source.py). seen: checkpoints that were received
    from this log at any time.
    """
    async with database.snapshot() as connection:
        kept = await _read_kept_checkpoint(objects)
        tree_size, differences = await check_tree(connection, key, kept=kept, seen=seen)
        differences += await check_records(connection, tree_size, records)
        differences += await check_contents(connection, contents, objects)
    return differences


async def _read_kept_checkpoint(objects: ObjectStore) -> bytes | None:
    try:
        return await objects.get(KEPT_CHECKPOINT)
    except ObjectMissing:
        return None
