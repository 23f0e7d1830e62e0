"""Moves every private key from one key-encryption key to another, while the service runs.

A service that is to sign meanwhile must know both: its settings name the new
one and, as the previous one, the old. Each round is one transaction, so that
whatever interrupts it, every key is under exactly one of the two, and a second
run goes on where the first stopped.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.storage.database import Database
from services.signing.keys import store
from services.signing.keys.rules import version_name
from services.signing.keys.sealing import KeyEncryptionKey, KeyVault

# Keys in one transaction: rows stay locked for milliseconds only.
KEYS_AT_ONCE = 100


async def rewrap(database: Database, old: KeyEncryptionKey, new: KeyEncryptionKey) -> int:
    """How many private keys were moved from the old key-encryption key to the new one.

    Raises CannotUnseal, and moves nothing more, at the first that the old one does not open, and
    ValueError where both bear the same id.
    """
    vault = KeyVault(new, old)

    async def move_some(connection: AsyncConnection) -> int:
        found = await store.sealed_under(connection, old.id, KEYS_AT_ONCE)
        for key_id, number, sealed in found:
            name = version_name(key_id, number)
            moved = vault.seal(vault.unseal(sealed, version=name), version=name)
            await store.replace_sealed(connection, key_id, number, moved)
        return len(found)

    total = 0
    while moved := await database.run(move_some):
        total += moved
    return total
