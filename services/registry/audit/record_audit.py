"""Does every record stand in the log as in its table, and does every entry have its record?

Each record makes its entry anew, and the two are compared. A deleted row, or a table that was
rolled back, leaves entries that no record claims.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.receipts import MalformedReceipt, parse_entry
from services.registry.audit.differences import Difference, DifferenceKind
from services.registry.log import store

# Records whose entries are read at once.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Record:
    """A row, and the entry that it must have."""

    name: str
    log_index: int
    # The members that the entry must hold.
    members: Mapping[str, Any]
    # Whether it must hold no others; False for a document whose other members were erased.
    exact: bool = True
    # The versions that the entry may have, where its other members are the same in each.
    versions: tuple[int, ...] = ()
    # Members that an entry of an earlier release lacks: compared where the entry has them.
    optional: frozenset[str] = frozenset()
    # Members that cannot be made without another one, which alone is reported then.
    made_with: Mapping[str, str] = field(default_factory=dict)
    # What is wrong with the row itself: "revoke_time without revoke_index".
    flaws: Sequence[str] = ()


Records = Callable[[AsyncConnection], AsyncIterator[Record]]


async def check_records(
    connection: AsyncConnection, tree_size: int, records: Records
) -> list[Difference]:
    """Return every difference between records and the entries of a tree of that size."""
    audit = _RecordAudit(connection, tree_size)
    chunk: list[Record] = []
    async for record in records(connection):
        chunk.append(record)
        if len(chunk) == _CHUNK:
            await audit.check_records(chunk)
            chunk = []
    await audit.check_records(chunk)
    await audit.check_unclaimed()
    return audit.differences


class _RecordAudit:
    def __init__(self, connection: AsyncConnection, tree_size: int) -> None:
        self.differences: list[Difference] = []
        self._connection = connection
        self._size = tree_size
        # A bit for each entry that a record claims.
        self._claimed = bytearray(tree_size // 8 + 1)

    def _differs(self, kind: DifferenceKind, where: str, what: str) -> None:
        self.differences.append(Difference(kind, where, what))

    async def check_records(self, records: Sequence[Record]) -> None:
        """Compare records with their entries, and mark the entries as claimed."""
        entries = await store.read_some_entries(
            self._connection, [each.log_index for each in records]
        )
        for record in records:
            for flaw in record.flaws:
                self._differs(DifferenceKind.RECORD, record.name, flaw)
            found = entries.get(record.log_index)
            if found is None or record.log_index >= self._size:
                what = f"has no entry {record.log_index}"
                self._differs(DifferenceKind.RECORD, record.name, what)
            elif self._is_claimed(record.log_index):
                what = f"claims entry {record.log_index}, which is another record's"
                self._differs(DifferenceKind.RECORD, record.name, what)
            else:
                self._claimed[record.log_index >> 3] |= 1 << (record.log_index & 7)
                self._compare(record, found.entry)

    def _compare(self, record: Record, encoded: bytes) -> None:
        try:
            entry = parse_entry(encoded)
        except MalformedReceipt:
            return  # The tree's audit reports it.
        expected = dict(record.members)
        if entry.get("v") in record.versions:
            expected["v"] = entry["v"]
        for name in record.optional - entry.keys():
            expected.pop(name, None)
        differing = [name for name in expected if entry.get(name) != expected[name]]
        differing = [name for name in differing if record.made_with.get(name) not in differing]
        if record.exact:
            differing += sorted(entry.keys() - expected.keys())
        if differing:
            what = f"differs from entry {record.log_index} in {', '.join(differing)}"
            self._differs(DifferenceKind.RECORD, record.name, what)

    def _is_claimed(self, index: int) -> bool:
        return bool(self._claimed[index >> 3] & 1 << (index & 7))

    async def check_unclaimed(self) -> None:
        """Report the entries that no record claims."""
        for start in range(0, self._size, _CHUNK):
            stop = min(start + _CHUNK, self._size)
            if all(self._is_claimed(index) for index in range(start, stop)):
                continue
            for found in await store.read_entries(self._connection, start, stop):
                if not self._is_claimed(found.log_index):
                    what = f"has no record ({_event_of(found.entry)})"
                    self._differs(DifferenceKind.ENTRY, f"entry {found.log_index}", what)


def _event_of(entry: bytes) -> str:
    try:
        return str(parse_entry(entry).get("event", "no event"))
    except MalformedReceipt:
        return "unreadable"
