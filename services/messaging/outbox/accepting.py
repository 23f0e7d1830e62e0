"""Store messages that services send: allowance, reference and row in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.messaging.outbox import store
from services.messaging.outbox.rules import (
    ALLOWANCE_PERIOD,
    RECEIPTS_WITHIN,
    MessagePriority,
    NewMessage,
    check_allowance,
    split,
)
from services.messaging.privacy.letters import Letter
from services.messaging.privacy.vault import Vault
from services.runtime.clock import uuid7


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a message is measured by."""

    vault: Vault
    allowances: Mapping[MessagePriority, int]
    default_is_gsm: bool
    keep: timedelta

    async def accept(
        self,
        connection: AsyncConnection,
        letter: Letter,
        *,
        service: str,
        priority: MessagePriority,
        source: str,
        expire_time: datetime,
        now: datetime,
    ) -> str:
        """Store a message and return its id. Raises ResourceExhausted, InvalidArgument."""
        phone_hash = self.vault.number(letter.phone)
        sent = await store.sent_since(connection, phone_hash, priority, now - ALLOWANCE_PERIOD)
        check_allowance(sent, priority, self.allowances, now)
        reference = await store.next_reference(connection, phone_hash)
        parts = split(letter, reference, default_is_gsm=self.default_is_gsm)
        message_id = str(uuid7(now))
        new = NewMessage(
            message_id,
            service,
            priority,
            phone_hash,
            self.vault.seal(letter.to_bytes(), record=message_id),
            source,
            len(parts),
            now,
            expire_time,
            # If nothing is heard of it any more.
            expire_time + RECEIPTS_WITHIN + self.keep,
        )
        await store.insert_message(connection, new, reference)
        return message_id
