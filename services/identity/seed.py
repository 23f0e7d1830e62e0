"""What identity's database begins with: the seed that `qagazsyz init` wrote, imported once.

Services that `qagazsyz init --add` adds to it later are imported at the next start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.rules import StoredCertificate, happening_to
from services.identity.certificates.store import add_certificate, get_certificates
from services.identity.events.event import IdentityEventBasis, IdentityEventKind
from services.identity.events.recorder import EventRecorder
from services.identity.store import Singleton, Taken, get_singleton, set_singleton
from services.identity.subjects.rules import (
    ORGANIZATION,
    PERSON,
    Membership,
    Subject,
    happening_to_member,
)
from services.identity.subjects.store import add_membership, add_subject, get_platform
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Role
from services.runtime.storage.database import Database

# In identity's folder; new_secrets.py writes it.
SEED = "seed.json"


async def import_seed(database: Database, seed: Mapping[str, Any], events: EventRecorder) -> None:
    """Import the platform's organization, the first operator and the services' certificates, as far
    as that was not done before."""

    async def work(connection: AsyncConnection) -> None:
        if await get_singleton(connection, Singleton.SEEDED) is None:
            await _import(connection, seed, events)
        else:
            await _import_added(connection, seed, events)

    try:
        await database.run(work)
    except Taken:
        # Another replica started at the same moment and was first.
        await database.run(work)


async def _import(
    connection: AsyncConnection, seed: Mapping[str, Any], events: EventRecorder
) -> None:
    now = datetime.fromisoformat(seed["create_time"])
    platform, operator = seed["platform"], seed["operator"]
    await add_subject(
        connection,
        Subject(
            name=platform["name"],
            kind=ORGANIZATION,
            number=platform["bin"],
            display_name=platform["display_name"],
            create_time=now,
            update_time=now,
        ),
    )
    await add_subject(
        connection,
        Subject(
            name=operator["name"],
            kind=PERSON,
            number=operator["iin"],
            family_name=operator["family_name"],
            given_name=operator["given_name"],
            patronymic=operator["patronymic"],
            create_time=now,
            update_time=now,
        ),
    )
    membership = Membership(
        platform["name"], operator["name"], int(Role.ROLE_OPERATOR), now, begin_time=now
    )
    await add_membership(connection, membership)
    added = happening_to_member(
        membership, IdentityEventKind.MEMBERSHIP_ADDED, IdentityEventBasis.INIT
    )
    await events.record(connection, added)
    certificates = [(operator["name"], "", operator["certificate"])]
    certificates += [("", name, pem) for name, pem in seed["services"].items()]
    for subject, service, pem in certificates:
        await _add(connection, _stored(pem, subject, service, now), events)
    await set_singleton(connection, Singleton.PLATFORM, platform["name"])
    await set_singleton(connection, Singleton.SEEDED, now.isoformat())


async def _import_added(
    connection: AsyncConnection, seed: Mapping[str, Any], events: EventRecorder
) -> None:
    """Import the certificates of services that the seed did not have when it was imported."""
    for name, pem in seed["services"].items():
        issued = x509.load_pem_x509_certificate(pem.encode()).not_valid_before_utc
        certificate = _stored(pem, "", name, issued)
        if not await get_certificates(connection, [certificate.fingerprint]):
            await _add(connection, certificate, events)


def _stored(pem: str, subject: str, service: str, now: datetime) -> StoredCertificate:
    return StoredCertificate.of(
        x509.load_pem_x509_certificate(pem.encode()),
        subject=subject,
        usage=CertificateUsage.AUTHENTICATE,
        own=True,
        service=service,
        now=now,
    )


async def _add(
    connection: AsyncConnection, certificate: StoredCertificate, events: EventRecorder
) -> None:
    """Store the certificate and its event. Raises Taken."""
    await add_certificate(connection, certificate)
    happening = happening_to(certificate, IdentityEventKind.CERTIFIED, IdentityEventBasis.INIT)
    await events.record(connection, happening)


async def register_time_stamper(
    database: Database, certificate: x509.Certificate, events: EventRecorder, now: datetime
) -> None:
    """Register the time-stamping authority's certificate as one of the platform's organization,
    whose operators find and revoke it there, unless that was done before.

    Earlier ones stay: tokens of their time are verified by them.
    """

    async def work(connection: AsyncConnection) -> None:
        platform = await get_platform(connection)
        registered = StoredCertificate.of(
            certificate, subject=platform, usage=CertificateUsage.STAMP_TIME, own=True, now=now
        )
        with contextlib.suppress(Taken):
            await _add(connection, registered, events)

    await database.run(work)
