"""The audit: recompute the log, trusting nothing but its key, and name every difference.

It asks four questions of one snapshot of the database:

- Is the database's own file sound? (SQLite's integrity_check)
- Is the tree the one that was signed? (tree_audit.py)
- Does every record - document, consent, access - stand in the log as it stands in its table, and
  does every entry have its record? (record_audit.py)
- Is every content there, and the registered one? (content_audit.py)

What no entry commits to stands in unaudited.py, column by column, with its reason. A fifth question
needs identity: does the log tell of every certificate and membership? (identity_audit.py)
"""

from __future__ import annotations

from collections.abc import Sequence

from qagazsyz import notes
from services.registry.audit import store
from services.registry.audit.content_audit import check_contents
from services.registry.audit.differences import Difference, DifferenceKind
from services.registry.audit.record_audit import Records, check_records
from services.registry.audit.tree_audit import check_tree
from services.registry.contents.packs import Contents
from services.registry.log.kept_checkpoint import KEPT_CHECKPOINT
from services.runtime.storage.database import Database
from services.runtime.storage.object_store import ObjectMissing, ObjectStore
from services.runtime.storage.outages import is_malformed


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
    kept = await _read_kept_checkpoint(objects)
    differences: list[Difference] = []
    try:
        async with database.snapshot() as connection:
            differences += [_of_database(line) for line in await store.check_integrity(connection)]
            tree_size, found = await check_tree(connection, key, kept=kept, seen=seen)
            differences += found
            differences += await check_records(connection, tree_size, records)
            async for name, table in store.find_gaps(connection):
                what = f"position in {table} is not 0, 1, 2 …"
                differences.append(Difference(DifferenceKind.RECORD, name, what))
            differences += await check_contents(connection, contents, objects)
    except Exception as error:
        if not is_malformed(error):
            raise
        differences.append(_of_database("is malformed, and cannot be read to its end"))
    return differences


def _of_database(what: str) -> Difference:
    return Difference(DifferenceKind.DATABASE, "database", what)


async def _read_kept_checkpoint(objects: ObjectStore) -> bytes | None:
    try:
        return await objects.get(KEPT_CHECKPOINT)
    except ObjectMissing:
        return None
