"""Identity over real gRPC: events that a test tells, and records that it makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from qagazsyz.common.v1 import access_pb2
from qagazsyz.identity.v1 import events_pb2, events_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from services.registry.identity_events.clients import IdentityEventClient
from services.runtime.clients import InternalTokens, ServiceClient, open_channel
from tests.builders import self_signed_credential
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import CITIZEN, MINISTRY

# So small that a few records take several.
PAGE = 2

Context = grpc.aio.ServicerContext[Any, Any]
Kind = events_pb2.IdentityEventKind


class Tokens(tokens_pb2_grpc.TokenServiceServicer):
    """Signs everyone in."""

    async def CreateChallenge(
        self, _request: tokens_pb2.CreateChallengeRequest, _context: Context
    ) -> tokens_pb2.Challenge:
        return tokens_pb2.Challenge(challenge=b"challenge")

    async def ExchangeToken(
        self, _request: tokens_pb2.ExchangeTokenRequest, _context: Context
    ) -> tokens_pb2.Token:
        token = tokens_pb2.Token(access_token="token")
        token.expires_in.FromSeconds(600)
        return token


@dataclass(slots=True)
class FakeIdentity(events_pb2_grpc.IdentityEventServiceServicer):
    """What identity keeps; acknowledged is the registry's place."""

    events: list[events_pb2.IdentityEvent] = field(default_factory=list)
    records: list[events_pb2.IdentityRecord] = field(default_factory=list)
    acknowledged: int = 0
    lost_acknowledgements: int = 0

    def tell(self, kind: int = Kind.IDENTITY_EVENT_KIND_CERTIFIED, **changes: Any) -> None:
        """Tell one more event: two operators' certificate for the citizen if not said otherwise."""
        members: dict[str, Any] = {
            "subject": CITIZEN,
            "fingerprint": len(self.events).to_bytes(32, "big"),
            "officers": ["subjects/first-operator", "subjects/second-operator"],
            "basis": events_pb2.IDENTITY_EVENT_BASIS_APPROVED,
        } | changes
        number = len(self.events) + 1
        event = events_pb2.IdentityEvent(number=number, kind=Kind.Name(kind), **members)
        event.time.FromDatetime(NOW)
        commitments = 1 + bool(event.fingerprint) + len(event.officers)
        event.salts.extend(bytes([number % 256, place]) * 16 for place in range(commitments))
        self.events.append(event)

    def tell_membership(self, *, is_end: bool = False) -> None:
        """Tell that the citizen became an officer of the ministry, or is none any more."""
        added, removed = (
            Kind.IDENTITY_EVENT_KIND_MEMBERSHIP_ADDED,
            Kind.IDENTITY_EVENT_KIND_MEMBERSHIP_REMOVED,
        )
        self.tell(
            removed if is_end else added,
            organization=MINISTRY,
            fingerprint=b"",
            role=access_pb2.ROLE_OFFICER,
        )

    def keep(self, event: events_pb2.IdentityEvent, *, ended: bool = False) -> None:
        """Keep the record that an event tells of."""
        record = events_pb2.IdentityRecord(
            subject=event.subject,
            organization=event.organization,
            fingerprint=event.fingerprint,
            role=event.role,
            create_time=event.time,
        )
        if ended:
            record.end_time.CopyFrom(event.time)
        self.records.append(record)

    async def ReadEvents(
        self, request: events_pb2.ReadEventsRequest, _context: Context
    ) -> events_pb2.ReadEventsResponse:
        after = request.after or self.acknowledged
        return events_pb2.ReadEventsResponse(events=self.events[after : after + request.limit])

    async def AcknowledgeEvents(
        self, request: events_pb2.AcknowledgeEventsRequest, context: Context
    ) -> events_pb2.AcknowledgeEventsResponse:
        if self.lost_acknowledgements:
            self.lost_acknowledgements -= 1
            await context.abort(grpc.StatusCode.INTERNAL, "as told")
        self.acknowledged = max(self.acknowledged, request.through)
        return events_pb2.AcknowledgeEventsResponse()

    async def ListRecords(
        self, request: events_pb2.ListRecordsRequest, _context: Context
    ) -> events_pb2.ListRecordsResponse:
        start = int(request.page_token or "0")
        stop = start + PAGE
        return events_pb2.ListRecordsResponse(
            records=self.records[start:stop],
            next_page_token=str(stop) if stop < len(self.records) else "",
        )


@asynccontextmanager
async def serving(identity: FakeIdentity, folder: Path) -> AsyncIterator[IdentityEventClient]:
    """Serve identity on a socket in the folder; yield the registry's client of it."""
    address = f"unix:{folder / 'identity'}"
    server = grpc.aio.server()
    tokens_pb2_grpc.add_TokenServiceServicer_to_server(Tokens(), server)  # type: ignore[abstract]
    events_pb2_grpc.add_IdentityEventServiceServicer_to_server(identity, server)
    server.add_insecure_port(address)
    await server.start()
    channel = open_channel(address)
    try:
        tokens = InternalTokens(channel, self_signed_credential())
        yield IdentityEventClient(ServiceClient(channel, tokens))
    finally:
        await channel.close()
        await server.stop(None)
