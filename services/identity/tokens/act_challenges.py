"""Confirmations of acts, as identity keeps account of them (common/v1/confirmation.proto).

A challenge confirms one act: once used it serves no other, and signs nobody in. For the same act it
serves again for two minutes, so that a call may be repeated.

What a SIM signed comes from signing, which speaks to phones, and is kept here, where every service
finds it (Confirmation.mobile_signature): identity calls nobody, so signing brings it.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.certificates.store import get_certificate, is_managed
from services.identity.store import Taken
from services.identity.tokens.challenges import Challenges
from services.identity.tokens.store import (
    MobileSignature,
    find_signature,
    find_use,
    keep_signature,
    use_challenge,
)
from services.runtime.clock import Clock
from services.runtime.errors import Unauthenticated
from services.runtime.storage.database import Database
from signatures.keys import certificate_spki

SAME_ACT = timedelta(minutes=2)
# A mobile signature serves while its act's challenge does; the rest is for clocks that differ.
SIGNATURE_KEPT = timedelta(minutes=5)


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

    async def use(self, challenge: bytes, act: bytes, kept: MobileSignature | None = None) -> bool:
        """Use the challenge up for the act (SHA-256); return whether it serves.

        kept: the SIM's signature, which is kept in the same transaction if the challenge serves.
        """
        now = self._clock()
        digest = hashlib.sha256(challenge).hexdigest()

        async def work(connection: AsyncConnection) -> bool:
            used = await find_use(connection, digest, now=now)
            if used is None:
                self._challenges.check(challenge, now)
                until = now + SAME_ACT
                await use_challenge(connection, digest, expire_time=until, now=now, act=act)
            elif used != (act,):
                return False
            if kept is not None:
                await keep_signature(connection, kept, expire_time=now + SIGNATURE_KEPT, now=now)
            return True

        try:
            return await self._database.run(work)
        except Taken:
            # The same call, sent twice at once, or another act: the other one was first.
            return await self._database.run(work)
        except Unauthenticated:
            return False

    async def find_signature(self, name: str) -> tuple[int, bytes] | None:
        """Return the algorithm and signature that are kept under the name, or None."""
        async with self._database.reading() as connection:
            found = await find_signature(connection, name, now=self._clock())
        return None if found is None else (found.algorithm, found.signature)
