"""Confirmations of acts, as identity keeps account of them (common/v1/confirmation.proto).

A challenge confirms one act: once used it serves no other, and signs nobody in. For the same act it
serves again for two minutes, so that a call may be repeated.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.certificates.store import get_certificate, is_managed
from services.identity.store import Taken
from services.identity.tokens.challenges import Challenges
from services.identity.tokens.store import find_use, use_challenge
from services.runtime.clock import Clock
from services.runtime.errors import Unauthenticated
from services.runtime.storage.database import Database
from signatures.keys import certificate_spki

SAME_ACT = timedelta(minutes=2)


class ActChallenges:
    """The challenges of acts, and the certificates that they are confirmed with."""

    def __init__(self, *, database: Database, challenges: Challenges, clock: Clock) -> None:
        self._database = database
        self._challenges = challenges
        self._clock = clock

    async def find_certificate(self, subject: str, fingerprint: str) -> bytes | None:
        """Return the certificate (DER) of a subject or a service if it signs in now and is not over
        a managed key."""
        async with self._database.reading() as connection:
            found = await get_certificate(connection, subject, fingerprint)
            if found is None or not found.signs_in_at(self._clock()):
                return None
            key = key_fingerprint(certificate_spki(found.der))
            if await is_managed(connection, key):
                return None
        return found.der

    async def use(self, challenge: bytes, act: bytes) -> bool:
        """Use the challenge up for the act (SHA-256); return whether it serves."""
        now = self._clock()
        digest = hashlib.sha256(challenge).hexdigest()

        async def work(connection: AsyncConnection) -> bool:
            used = await find_use(connection, digest, now=now)
            if used is not None:
                return used == (act,)
            self._challenges.check(challenge, now)
            await use_challenge(connection, digest, expire_time=now + SAME_ACT, now=now, act=act)
            return True

        try:
            return await self._database.run(work)
        except Taken:
            # The same call, sent twice at once, or another act: the other one was first.
            return await self._database.run(work)
        except Unauthenticated:
            return False
