"""LogService: checkpoints and tiles (C2SP tlog-tiles), proofs, and witnesses' cosignatures.

Every method is open to everybody: a log serves by being read. Immutable answers say so in their
caching headers, so that a cache in front takes the load of followers.
"""

from __future__ import annotations

from google.api import httpbody_pb2

from qagazsyz import notes
from qagazsyz.registry.v1 import log_pb2
from services.registry.log.tile_paths import parse_path
from services.registry.log.transparency_log import TransparencyLog
from services.runtime.errors import InvalidArgument, NotFound
from services.runtime.server import Call
from services.runtime.storage.database import Database

CACHING = "cache-control"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"

# Tiles and bundles never change, partial ones neither (C2SP tlog-tiles).
IMMUTABLE = "public, max-age=31536000, immutable"
# The checkpoint changes many times a second.
MUTABLE = "no-cache"
# A tile that is yet to come, or cannot be read now, may be there the next moment.
NOT_KEPT = "no-store"
# The key changes when the log does; an hour saves most of the requests.
RARELY_CHANGED = "public, max-age=3600"


class LogServicer:
    """qagazsyz.registry.v1.LogService."""

    def __init__(self, database: Database, transparency_log: TransparencyLog) -> None:
        self._database = database
        self._log = transparency_log

    async def GetCheckpoint(
        self, _request: log_pb2.GetCheckpointRequest, call: Call
    ) -> httpbody_pb2.HttpBody:
        call.set_header(CACHING, NOT_KEPT)
        async with self._database.reading() as connection:
            checkpoint = await self._log.checkpoint(connection)
        return _body(call, TEXT, checkpoint, MUTABLE)

    async def GetLogKey(
        self, _request: log_pb2.GetLogKeyRequest, call: Call
    ) -> httpbody_pb2.HttpBody:
        return _body(call, TEXT, f"{self._log.key.verifier}\n".encode(), RARELY_CHANGED)

    async def GetTile(self, request: log_pb2.GetTileRequest, call: Call) -> httpbody_pb2.HttpBody:
        is_entries, tile = parse_path(request.path)
        call.set_header(CACHING, NOT_KEPT)
        async with self._database.reading() as connection:
            read = self._log.entries if is_entries else self._log.tile
            data = await read(connection, tile)
        if data is None:
            raise NotFound("the log has no such tile yet")
        return _body(call, BYTES, data, IMMUTABLE)

    async def GetCosignedCheckpoint(
        self, _request: log_pb2.GetCosignedCheckpointRequest, call: Call
    ) -> httpbody_pb2.HttpBody:
        call.set_header(CACHING, NOT_KEPT)
        async with self._database.reading() as connection:
            checkpoint = await self._log.cosigned_checkpoint(connection)
        if checkpoint is None:
            raise NotFound("no witness has cosigned a checkpoint yet")
        return _body(call, TEXT, checkpoint, MUTABLE)

    async def AddCosignature(
        self,
        request: log_pb2.AddCosignatureRequest,
        _call: Call,
    ) -> log_pb2.AddCosignatureResponse:
        try:
            note = notes.Note.parse(request.checkpoint.data)
            # Verify before the writing transaction, which is short then.
            async with self._database.reading() as connection:
                verified = await self._log.verify_cosignatures(connection, note)
        except notes.NoteError as error:
            raise InvalidArgument("checkpoint", str(error)) from None
        if verified:
            await self._database.run(
                lambda connection: self._log.add_cosignatures(connection, verified)
            )
        return log_pb2.AddCosignatureResponse(cosignatures=len(verified))

    async def GetConsistencyProof(
        self,
        request: log_pb2.GetConsistencyProofRequest,
        _call: Call,
    ) -> log_pb2.ConsistencyProof:
        async with self._database.reading() as connection:
            latest = await self._log.tree_size(connection)
            first, second = request.first_size, request.second_size or latest
            if not 0 <= second <= latest:
                raise InvalidArgument("second_size", f"the log has {latest} entries")
            if not 0 <= first <= second:
                raise InvalidArgument("first_size", "not between 0 and the second size")
            path = await self._log.consistency(connection, first, second)
            checkpoint = b"" if second != latest else await self._log.checkpoint(connection)
        return log_pb2.ConsistencyProof(path=path, checkpoint=checkpoint, second_size=second)


def _body(call: Call, content_type: str, data: bytes, caching: str) -> httpbody_pb2.HttpBody:
    call.set_header(CACHING, caching)
    return httpbody_pb2.HttpBody(content_type=content_type, data=data)
