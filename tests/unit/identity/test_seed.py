"""The seed is imported once."""

from __future__ import annotations

import asyncio
import json

from qagazsyz.identity.v1 import subjects_pb2
from services.identity.seed import SEED, import_seed
from tests.unit.identity.service import Identity


async def test_a_seed_that_is_imported_again_changes_nothing(identity: Identity) -> None:
    seed = json.loads((identity.folder / SEED).read_bytes())
    await asyncio.gather(*(import_seed(identity.database, seed) for _ in range(3)))
    listed = await identity.call(
        "SubjectService/ListSubjects", subjects_pb2.ListSubjectsRequest(), identity.as_auditor
    )
    assert len(listed.subjects) == 2, "the platform's organization and its first operator"
