"""Announce every managed key to identity, which then signs nobody in with it.

A managed key signs digests, and a digest may be of a sign-in challenge: so identity must know all
of them (CertificateService.HoldKeys). A new key is announced before it is stored. A start announces
all of them again, because identity may have lost some: its database was restored from an older
backup, or the keys are older than this rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.runtime.storage.database import Database
from services.signing.keys import store

# The contract's limit of HoldKeysRequest.public_keys.
ANNOUNCE_CHUNK = 1_000


async def announce_all(
    database: Database,
    announce_keys: Callable[[list[bytes]], Awaitable[None]],
    *,
    chunk: int = ANNOUNCE_CHUNK,
) -> None:
    """Announce the public keys of all versions, whatever their state, `chunk` in a call.

    Raises what announce_keys raises.
    """
    after = ("", 0)
    while True:
        async with database.reading() as connection:
            found = await store.list_public_keys(connection, after, chunk)
        if not found:
            return
        await announce_keys([public_key for _, public_key in found])
        after = found[-1][0]
