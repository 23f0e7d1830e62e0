"""Identity told of every key held here: at each start, beside each key at its making.

Identity may not know of them all: where its database was set back to an older
backup, or where they were made before it was told of any.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.runtime.storage.database import Database
from services.signing.clients import HOLD_KEYS_LIMIT
from services.signing.keys import store


async def hold_all(
    database: Database,
    hold_keys: Callable[[list[bytes]], Awaitable[None]],
    *,
    at_once: int = HOLD_KEYS_LIMIT,
) -> None:
    """Says of all versions, whatever their state, that they are held; at most at_once in a call.

    Raises what hold_keys does.
    """
    after = ("", 0)
    while True:
        async with database.reading() as connection:
            found = await store.list_public_keys(connection, after, at_once)
        if not found:
            return
        await hold_keys([public_key for _, public_key in found])
        after = found[-1][0]
