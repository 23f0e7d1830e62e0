"""Two replicas on one database: what one has done, the other knows at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.runtime.errors import PermissionDenied
from tests.unit.registry.world import (
    World,
    bank_officer,
    by,
    citizen,
    ministry_officer,
    opened_world,
    registration,
)


@pytest.fixture
async def replicas(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    async with (
        opened_world(database_url, tmp_path) as first,
        opened_world(database_url, tmp_path) as second,
    ):
        yield first, second


async def test_a_consent_withdrawn_on_one_stops_the_next_look_up_on_the_other(
    replicas: tuple[World, World],
) -> None:
    first, second = replicas
    await first.register()
    consent = await first.grant()
    assert len((await second.look_up()).documents) == 1
    await first.consents.WithdrawConsent(
        consents_pb2.WithdrawConsentRequest(name=consent.name), by(citizen)
    )
    with pytest.raises(PermissionDenied):
        await second.look_up()


async def test_a_record_left_on_one_opens_the_document_on_the_other(
    replicas: tuple[World, World],
) -> None:
    first, second = replicas
    document = await first.register(content=b"%PDF")
    await first.grant()
    access = (await first.look_up()).access
    body = await second.documents.DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=document.name, access=access), by(bank_officer)
    )
    assert body.data == b"%PDF"


async def test_the_same_request_on_both_has_one_effect(replicas: tuple[World, World]) -> None:
    request = registration(request_id=str(uuid.UUID(int=1)))
    found = await asyncio.gather(
        *(
            world.documents.RegisterDocument(request, by(ministry_officer))
            for world in (*replicas, *replicas)
        )
    )
    assert len({document.name for document in found}) == 1


async def test_a_batch_on_each_of_the_same_documents_registers_each_once(
    replicas: tuple[World, World],
) -> None:
    requests = [registration() for _ in range(20)]
    answers = await asyncio.gather(
        *(
            world.documents.BatchRegisterDocuments(
                documents_pb2.BatchRegisterDocumentsRequest(requests=requests),
                by(ministry_officer),
            )
            for world in replicas
        )
    )
    names = [[result.document.name for result in answer.results] for answer in answers]
    assert names[0] == names[1]
    assert len(set(names[0])) == 20
    assert all(names[0])
