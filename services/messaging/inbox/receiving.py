"""Make what phones send durable, before the network is told that it was received.

Whatever the network delivers again within ten minutes changes nothing: it repeats what it was not
told of, and phones repeat too. The parts of a longer message wait until all are there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.messaging.inbox import store
from services.messaging.inbox.arrivals import Arrivals
from services.messaging.inbox.rules import (
    PARTS_WITHIN,
    REPEATED_WITHIN,
    Inbox,
    NewReceived,
    group_hash,
    message_digest,
    part_digest,
    read_letter,
)
from services.messaging.privacy.vault import Vault
from services.messaging.smpp.link import Incoming
from services.runtime.clock import Clock, uuid7
from services.runtime.storage.database import Database


class Receiver:
    """Stores messages from phones."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        arrivals: Arrivals,
        default_is_gsm: bool,
        keep: timedelta,
        clock: Clock,
    ) -> None:
        """keep: how long a message is kept after it was acknowledged."""
        self._database = database
        self._vault = vault
        self._arrivals = arrivals
        self._default_is_gsm = default_is_gsm
        self._keep = keep
        self._clock = clock

    async def received(self, incoming: Incoming) -> None:
        """Store a message or a part of one; durable once this returns."""
        now = self._clock()

        async def work(connection: AsyncConnection) -> Inbox | None:
            return await self._store(connection, incoming, now)

        inbox = await self._database.run(work)
        if inbox is not None:
            self._arrivals.announce(inbox)

    async def erase(self) -> None:
        """Delete what was kept long enough."""
        now = self._clock()

        async def work(connection: AsyncConnection) -> int:
            return await store.erase(
                connection, ended_before=now - self._keep, parts_before=now - PARTS_WITHIN
            )

        if await self._database.run(work):
            await self._database.purge_deleted()

    async def _store(
        self, connection: AsyncConnection, incoming: Incoming, now: datetime
    ) -> Inbox | None:
        """Store it; return the inbox of the message that is whole now, if one is."""
        joined = incoming.concatenation
        if joined is None:
            return await self._store_whole(
                connection, incoming, incoming.content, incoming.is_sim_response, now
            )
        digest = part_digest(incoming, self._vault)
        if await store.is_known_part(connection, digest, now - REPEATED_WITHIN):
            return None
        group = group_hash(incoming, self._vault)
        # The first octet says whether the part has a SIM's header, which only the first one has.
        flag = b"\1" if incoming.is_sim_response else b"\0"
        sealed = self._vault.seal(flag + incoming.content, record=f"{group.hex()}/{joined.number}")
        await store.insert_part(
            connection,
            digest=digest,
            group_hash=group,
            part=joined.number,
            sealed=sealed,
            now=now,
        )
        parts = await store.find_parts(connection, group, now - PARTS_WITHIN)
        if len(parts) < joined.total:
            return None
        contents = [
            self._vault.unseal(part, record=f"{group.hex()}/{number}")
            for number, part in sorted(parts.items())
        ]
        await store.empty_parts(connection, group)
        return await self._store_whole(
            connection,
            incoming,
            b"".join(content[1:] for content in contents),
            any(content[:1] == b"\1" for content in contents),
            now,
        )

    async def _store_whole(
        self,
        connection: AsyncConnection,
        incoming: Incoming,
        content: bytes,
        is_sim_response: bool,
        now: datetime,
    ) -> Inbox | None:
        inbox, letter = read_letter(
            incoming,
            content,
            is_sim_response=is_sim_response,
            default_is_gsm=self._default_is_gsm,
        )
        digest = message_digest(letter, incoming.destination, self._vault)
        if await store.is_known_message(connection, digest, now - REPEATED_WITHIN):
            return None
        message_id = str(uuid7(now))
        sealed = self._vault.seal(letter.to_bytes(), record=message_id)
        new = NewReceived(message_id, inbox, digest, sealed, incoming.destination, now)
        await store.insert_message(connection, new)
        return inbox
