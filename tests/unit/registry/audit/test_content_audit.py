"""Every content that is lost, changed or no longer due is named."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, update

from services.registry import tables
from tests.unit.registry.audit.builders import DOCUMENTS, change, differences, name_of
from tests.unit.registry.ledger import (
    Ledger,
)


def a_pack(tmp_path: Path) -> Path:
    """The file of an object with contents."""
    return next((tmp_path / "contents" / "packs").glob("*/*"))


async def test_a_bit_flipped_in_a_content_is_named(ledger: Ledger, tmp_path: Path) -> None:
    pack = a_pack(tmp_path)
    stored = bytearray(pack.read_bytes())
    stored[40] ^= 1
    pack.write_bytes(stored)
    key = f"packs/{pack.parent.name}/{pack.name}"
    assert await differences(ledger) == [
        f"{key}: was changed",
        f"{name_of(1)}: its content in {key} was changed",
    ]


async def test_a_missing_object_is_named_with_all_its_documents(
    ledger: Ledger, tmp_path: Path
) -> None:
    a_pack(tmp_path).unlink()
    found = await differences(ledger)
    assert found[0].endswith(": is missing")
    assert len(found) == 1 + DOCUMENTS


async def test_a_missing_and_a_swapped_key_are_named(ledger_on_each: Ledger) -> None:
    ledger = ledger_on_each
    contents = tables.contents
    await change(ledger, delete(contents).where(contents.c.document == name_of(7)))
    await change(
        ledger, update(contents).where(contents.c.document == name_of(3)).values(document="x")
    )
    found = await differences(ledger)
    assert found == [
        f"{name_of(3)}: its content's key is missing",
        f"{name_of(7)}: its content's key is missing",
        "x: its content's key should not be there",
    ]
