"""Move every private key from one key-encryption key to another, while the service runs.

A service that signs meanwhile must know both: its settings name the new key-encryption key, and the
old one as the previous. Each round is one transaction, so that every private key is under exactly
one of the two at any interruption, and a second run continues where the first stopped.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.sealing import SecretKey, Vault
from services.runtime.storage.database import Database
from services.signing.keys import store
from services.signing.keys.rules import version_name

# Private keys moved in one transaction: few enough for locks of milliseconds.
REWRAP_CHUNK = 100


async def rewrap(database: Database, old: SecretKey, new: SecretKey) -> int:
    """Move all private keys under `old` to `new`; return how many were moved.

    Raises CannotUnseal at the first that `old` does not open, and stops there. Raises ValueError if
    both have the same id.
    """
    vault = Vault(new, old)

    async def move_some(connection: AsyncConnection) -> int:
        found = await store.sealed_under(connection, old.id, REWRAP_CHUNK)
        for key_id, number, sealed in found:
            name = version_name(key_id, number)
            moved = vault.seal(vault.unseal(sealed, record=name), record=name)
            await store.replace_sealed(connection, key_id, number, moved)
        return len(found)

    total = 0
    while moved := await database.run(move_some):
        total += moved
    return total
