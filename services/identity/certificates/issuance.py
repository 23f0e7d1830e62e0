"""Issuing certificates by the platform's own authority."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates import store
from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.certificates.rules import (
    StoredCertificate,
    check_key_is_free,
    check_may_issue,
    holder_of,
    may_certify_managed_key,
)
from services.identity.subjects.rules import Subject
from services.identity.subjects.store import get_memberships, get_subjects
from services.identity.worker_pools import AUTHORITY
from services.identity.x509.certification_requests import (
    CertificationRequest,
    InvalidRequest,
    read_certification_request,
)
from services.identity.x509.issuing import CertificateAuthority
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Caller
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from services.runtime.storage.database import Database


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that a caller asks for."""

    subject: str
    # The organization that the subject is to sign for, or "".
    organization: str
    usage: CertificateUsage
    # PKCS#10, DER.
    request: bytes


class Issuance:
    """Issues certificates to those who may have them."""

    def __init__(
        self,
        *,
        database: Database,
        authority: CertificateAuthority,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._authority = authority
        self._clock = clock
        self._randomness = randomness

    async def issue(self, order: Order, caller: Caller) -> StoredCertificate:
        """Return the certificate, not yet stored; call check again in the transaction that stores
        it. Raises PermissionDenied, NotFound, InvalidArgument or FailedPrecondition."""
        now = self._clock()
        async with self._database.reading() as connection:
            subject, organization = await self.check(connection, order, caller, now)
        request = await AUTHORITY.run(_read_request, order)
        if not may_certify_managed_key(subject, order.usage):
            await self._check_not_managed(request)
        async with self._database.reading() as connection:
            holder = await store.find_key_holder(connection, key_fingerprint(request.spki))
        check_key_is_free(holder, order.subject)
        certificate = await AUTHORITY.run(
            self._authority.issue,
            holder=holder_of(subject, organization),
            key=request.key,
            usage=order.usage,
            now=now,
            randomness=self._randomness,
        )
        return StoredCertificate.of(
            certificate,
            subject=order.subject,
            usage=order.usage,
            own=True,
            organization=order.organization,
            now=now,
        )

    async def check(
        self, connection: AsyncConnection, order: Order, caller: Caller, now: datetime
    ) -> tuple[Subject, Subject | None]:
        """Return the subject and the organization, if the caller may have the certificate issued.
        Raises PermissionDenied, NotFound or FailedPrecondition."""
        found = await get_subjects(connection, {order.subject, order.organization} - {""})
        subject = found.get(order.subject)
        check_may_issue(
            caller,
            subject=order.subject,
            is_person=subject is not None and subject.is_person,
            renews=await store.has_valid_certificate(
                connection,
                order.subject,
                usage=order.usage,
                organization=order.organization,
                now=now,
            ),
        )
        if subject is None:
            raise NotFound("the subject does not exist")
        if order.organization:
            key = (order.organization, order.subject)
            if key not in await get_memberships(connection, [key]):
                raise FailedPrecondition(
                    "NOT_A_MEMBER", "the person is not a member of the organization"
                )
        return subject, found.get(order.organization)

    async def _check_not_managed(self, request: CertificationRequest) -> None:
        """Raise FailedPrecondition for a key of the signing service, which only seals."""
        fingerprint = key_fingerprint(request.spki)
        async with self._database.reading() as connection:
            if await store.is_managed(connection, fingerprint):
                raise FailedPrecondition(
                    "KEY_IS_HELD",
                    "the signing service manages this key: it is certified as a seal only",
                )


def _read_request(order: Order) -> CertificationRequest:
    """Raises InvalidArgument."""
    try:
        request = read_certification_request(order.request)
    except InvalidRequest as error:
        raise InvalidArgument("certificate_request", str(error)) from None
    if order.usage is CertificateUsage.AUTHENTICATE and request.asks_to_sign:
        # Requests by the signing service ask so too, and its keys must not sign in.
        raise InvalidArgument("usage", "the request asks for a certificate that signs")
    return request
