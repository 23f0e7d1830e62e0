"""Contents and the kept checkpoint on S3, against a real server that speaks it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.registry.contents.packs import ContentLost, Contents
from services.registry.contents.store import content_row
from services.registry.log.store import Rows
from services.registry.tables import contents as contents_table
from tests import s3
from tests.unit.registry.ledger import CONTENT_KEY, entry, opened


@pytest.fixture(scope="module")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.serving(tmp_path_factory.mktemp("seaweedfs")) as address:
        yield address


async def test_a_registry_keeps_its_contents_and_its_checkpoint_on_s3(
    s3_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = s3.use(s3_address, monkeypatch)
    url = f"sqlite:///{tmp_path}/test.db"
    async with opened(url, location) as ledger:
        kept, orphan = [
            (await ledger.contents.put_many([content]))[0] for content in (b"kept", b"orphan")
        ]
        rows = [Rows(contents_table, [content_row("documents/one", kept)])]
        await ledger.sequencer.submit([entry(1)], rows=rows)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        later = Contents(ledger.objects, CONTENT_KEY, clock=lambda: tomorrow)
        assert await later.collect_orphans(ledger.database) == 1
        assert await later.get(kept, hashlib.sha256(b"kept").digest()) == b"kept"
        with pytest.raises(ContentLost):
            await later.get(orphan, hashlib.sha256(b"orphan").digest())
    async with opened(url, location) as ledger:
        assert (await ledger.sequencer.submit([entry(2)])).indexes == (1,)
