"""RenewServiceCredential: one of the platform's own services has its next key certified.

The call is confirmed with the key that it renews, and nothing but the new key is the caller's to
choose. The one before signs in for RENEWED_SIGNS_IN more. Within it, other replicas take the new
file, or renew the same credential for themselves; a process that lost the answer tries again.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates import store
from services.identity.certificates.issuance import Issuance, requested_key
from services.identity.certificates.rules import (
    RENEWED_SIGNS_IN,
    StoredCertificate,
    check_key_is_new,
    check_may_renew,
    happening_to,
)
from services.identity.events.event import IdentityEventBasis, IdentityEventKind
from services.identity.events.recorder import EventRecorder
from services.identity.subjects.store import get_platform, get_subject
from services.runtime.access import Caller
from services.runtime.clock import Clock
from services.runtime.errors import FailedPrecondition
from services.runtime.storage.database import Database


class CredentialRenewal:
    """Renews the credentials of services."""

    def __init__(
        self, *, database: Database, issuance: Issuance, events: EventRecorder, clock: Clock
    ) -> None:
        self._database = database
        self._issuance = issuance
        self._clock = clock
        self._events = events

    async def prepare(self, request: bytes, caller: Caller) -> StoredCertificate:
        """Return the certificate for the key of a PKCS#10 request, not yet stored. Raises
        InvalidArgument, PermissionDenied or FailedPrecondition."""
        read = await self._issuance.read_for_service(request)
        async with self._database.reading() as connection:
            await self._check(connection, caller, key=requested_key(read))
            platform = await get_subject(connection, await get_platform(connection))
        assert platform is not None  # noqa: S101 - it came with the seed
        return await self._issuance.issue_to_service(caller.service, read, platform)

    async def commit(
        self, connection: AsyncConnection, certificate: StoredCertificate, caller: Caller
    ) -> StoredCertificate:
        """Store the certificate and its event, and set the end of the one before. Raises as prepare
        does."""
        end = self._clock() + RENEWED_SIGNS_IN
        await store.end_credential(connection, caller.certificate, at=end)
        await self._check(connection, caller, key=certificate.key)
        await store.add_certificate(connection, certificate)
        happening = happening_to(
            certificate, IdentityEventKind.CERTIFIED, IdentityEventBasis.RENEWAL
        )
        await self._events.record(connection, happening)
        return certificate

    async def _check(self, connection: AsyncConnection, caller: Caller, *, key: str) -> None:
        """Raise PermissionDenied or FailedPrecondition if the caller may not have the key certified
        as things stand now."""
        current = await store.get_certificate(connection, caller.subject, caller.certificate)
        check_may_renew(caller, current, self._clock())
        if await store.is_managed(connection, key):
            raise FailedPrecondition("KEY_IS_HELD", "the signing service manages this key")
        check_key_is_new(await store.find_key_holder(connection, key))
        await self._events.check_is_logged(connection)
