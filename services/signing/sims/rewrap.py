"""Move every SIM's key from one key-encryption key to another, as managed keys are moved
(keys/rewrap.py). What is sealed of sessions is erased within minutes, and is not moved."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.sealing import SecretKey, Vault
from services.runtime.storage.database import Database
from services.signing.sims import store
from services.signing.sims.keys import record_of

# Keys moved in one transaction: few enough for locks of milliseconds.
REWRAP_CHUNK = 100


async def rewrap(database: Database, old: SecretKey, new: SecretKey) -> int:
    """Move all cards' keys under `old` to `new`; return how many were moved.

    Raises CannotUnseal at the first that `old` does not open, and stops there. Raises ValueError if
    both have the same id.
    """
    vault = Vault(new, old)

    async def move_some(connection: AsyncConnection) -> int:
        found = await store.sealed_under(connection, old.id, REWRAP_CHUNK)
        moved = {
            sim: vault.seal(vault.unseal(sealed, record=record_of(sim)), record=record_of(sim))
            for sim, sealed in found.items()
        }
        await store.replace_keys(connection, moved)
        return len(moved)

    total = 0
    while moved := await database.run(move_some):
        total += moved
    return total
