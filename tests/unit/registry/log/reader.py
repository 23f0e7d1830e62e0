"""A follower of the log: asks the servicer as the gateway does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from google.api import httpbody_pb2

from qagazsyz import notes
from qagazsyz.receipts import parse_entry
from qagazsyz.registry.v1 import log_pb2
from services.registry.log import store
from services.registry.log.servicer import LogServicer
from services.runtime.server import Call
from services.runtime.storage.database import Database
from tests.calls import FakeCall
from tests.unit.registry.ledger import Ledger


@dataclass
class Reader:
    """Asks for what the log serves, and remembers the last answer's caching header."""

    servicer: LogServicer
    caching: str = ""

    async def get(self, method: str, request: Any) -> httpbody_pb2.HttpBody:
        call = FakeCall()
        try:
            answer: httpbody_pb2.HttpBody = await getattr(self.servicer, method)(request, call)
        finally:
            self.caching = call.headers.get("cache-control", "")
        return answer

    async def tile(self, path: str) -> bytes:
        return bytes((await self.get("GetTile", log_pb2.GetTileRequest(path=path))).data)

    async def checkpoint(self, key: notes.VerifierKey) -> notes.Checkpoint:
        answer = await self.get("GetCheckpoint", log_pb2.GetCheckpointRequest())
        return notes.open_checkpoint(answer.data, key)

    async def proof(self, first_size: int, second_size: int) -> log_pb2.ConsistencyProof:
        request = log_pb2.GetConsistencyProofRequest(first_size=first_size, second_size=second_size)
        return await self.servicer.GetConsistencyProof(request, cast("Call", FakeCall()))

    async def add_cosignature(self, data: bytes) -> int:
        body = httpbody_pb2.HttpBody(content_type="text/plain", data=data)
        request = log_pb2.AddCosignatureRequest(checkpoint=body)
        response = await self.servicer.AddCosignature(request, cast("Call", FakeCall()))
        return response.cosignatures


def reader(ledger: Ledger) -> Reader:
    return Reader(LogServicer(ledger.database, ledger.transparency_log))


async def entries_of(database: Database) -> list[dict[str, Any]]:
    """All entries of the log, read."""
    async with database.reading() as connection:
        stored = await store.read_entries(connection, 0, await store.count_entries(connection))
    return [parse_entry(each.entry) for each in stored]
