"""Issuing certificates by the platform's own authority, to whomever dual control lets have them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates import store
from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.certificates.rules import (
    StoredCertificate,
    check_key_is_free,
    holder_of,
    may_certify_managed_key,
)
from services.identity.subjects.rules import Subject
from services.identity.worker_pools import AUTHORITY
from services.identity.x509.certification_requests import (
    CertificationRequest,
    InvalidRequest,
    read_certification_request,
)
from services.identity.x509.issuing import CertificateAuthority, service_holder
from services.identity.x509.usages import CertificateUsage
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import FailedPrecondition, InvalidArgument
from signatures import oids
from signatures.keys import EllipticKey


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
    """Issues certificates, whoever may have them."""

    def __init__(
        self, *, authority: CertificateAuthority, clock: Clock, randomness: Randomness
    ) -> None:
        self._authority = authority
        self._clock = clock
        self._randomness = randomness

    async def read(self, order: Order) -> CertificationRequest:
        """Return the PKCS#10 request, which proves possession of its key. Raises
        InvalidArgument."""
        return await AUTHORITY.run(_read_request, order.request, order.usage)

    async def issue(
        self,
        order: Order,
        request: CertificationRequest,
        subject: Subject,
        organization: Subject | None,
    ) -> StoredCertificate:
        """Return the certificate, not yet stored."""
        now: datetime = self._clock()
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

    async def issue_for_sim(self, subject: Subject, key: EllipticKey) -> StoredCertificate:
        """Return the certificate of a person's key on a SIM card, not yet stored.

        It is not valid before now, because the key may have been another's until now.
        """
        now, usage = self._clock(), CertificateUsage.SIGN
        certificate = await AUTHORITY.run(
            self._authority.issue,
            holder=holder_of(subject, None),
            key=key.handle,
            usage=usage,
            now=now,
            randomness=self._randomness,
            policies=(oids.KEY_ON_SIM,),
            backdated=timedelta(0),
        )
        return StoredCertificate.of(
            certificate, subject=subject.name, usage=usage, own=True, now=now
        )

    async def read_for_service(self, request: bytes) -> CertificationRequest:
        """Return the PKCS#10 request (DER) of a service's new key. Raises InvalidArgument."""
        return await AUTHORITY.run(_read_request, request, CertificateUsage.AUTHENTICATE)

    async def issue_to_service(
        self, service: str, request: CertificationRequest, platform: Subject
    ) -> StoredCertificate:
        """Return a service's credential as `init` makes it, not yet stored."""
        now, usage = self._clock(), CertificateUsage.AUTHENTICATE
        certificate = await AUTHORITY.run(
            self._authority.issue,
            holder=service_holder(
                service, organization_name=platform.display_name, bin_=platform.number
            ),
            key=request.key,
            usage=usage,
            now=now,
            randomness=self._randomness,
        )
        return StoredCertificate.of(
            certificate, subject="", service=service, usage=usage, own=True, now=now
        )


async def check_key(
    connection: AsyncConnection,
    key: str,
    subject: Subject,
    usage: CertificateUsage,
    *,
    issues: bool,
) -> None:
    """Raise FailedPrecondition for a key that is certified for another subject, and if the
    certificate is to be issued, for a key of the signing service, which only seals.

    key: its fingerprint.
    """
    seals = not issues or may_certify_managed_key(subject, usage)
    if not seals and await store.is_managed(connection, key):
        raise FailedPrecondition(
            "KEY_IS_HELD", "the signing service manages this key: it is certified as a seal only"
        )
    check_key_is_free(await store.find_key_holder(connection, key), subject.name)


def requested_key(request: CertificationRequest) -> str:
    """Return the fingerprint of the key that a certificate is asked for."""
    return key_fingerprint(request.spki)


def _read_request(der: bytes, usage: CertificateUsage) -> CertificationRequest:
    """Raises InvalidArgument."""
    try:
        request = read_certification_request(der)
    except InvalidRequest as error:
        raise InvalidArgument("certificate_request", str(error)) from None
    if usage is CertificateUsage.AUTHENTICATE and request.asks_to_sign:
        # Requests by the signing service ask so too, and its keys must not sign in.
        raise InvalidArgument("usage", "the request asks for a certificate that signs")
    return request
