"""Certificates and managed keys in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.dual_control import Application, CertificateState
from services.identity.certificates.rules import (
    SERVICES,
    Binding,
    StoredCertificate,
    check_key_is_free,
)
from services.identity.store import Singleton, Taken, get_singleton, insert_row, set_singleton
from services.identity.tables import (
    certificate_requests,
    certificates,
    certified_keys,
    ended_memberships,
    managed_keys,
    memberships,
)
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Role
from signatures.der import Reader

# Making objects of this many rows keeps the event loop for about two milliseconds.
ROWS_CHUNK = 100


async def add_certificate(connection: AsyncConnection, certificate: StoredCertificate) -> None:
    """Insert a certificate. Raises Taken if it is registered, and FailedPrecondition if its key is
    certified for another subject."""
    await _claim_key(connection, certificate.key, certificate.holder)
    numbers = {
        "usage": int(certificate.usage),
        "revocation_reason": int(certificate.revocation_reason),
    }
    await insert_row(connection, certificates, asdict(certificate) | numbers)


async def _claim_key(connection: AsyncConnection, fingerprint: str, holder: str) -> None:
    """Keep whose the key is. Raises FailedPrecondition if it is another's."""
    if await find_key_holder(connection, fingerprint) is None:
        # A concurrent request may have inserted it.
        with suppress(Taken):
            row = {"fingerprint": fingerprint, "holder": holder}
            await insert_row(connection, certified_keys, row)
    check_key_is_free(await find_key_holder(connection, fingerprint), holder)


async def find_key_holder(connection: AsyncConnection, fingerprint: str) -> str | None:
    """Return for whom the key is certified, or None."""
    query = select(certified_keys.c.holder).where(certified_keys.c.fingerprint == fingerprint)
    holder: str | None = (await connection.execute(query)).scalar_one_or_none()
    return holder


async def get_certificate(
    connection: AsyncConnection, subject: str, fingerprint: str
) -> StoredCertificate | None:
    """Return the certificate with that fingerprint of a subject, or of "services/{service}", or
    None."""
    found = (await get_certificates(connection, [fingerprint])).get(fingerprint)
    return found if found is not None and found.holder == subject else None


async def get_certificates(
    connection: AsyncConnection, fingerprints: Iterable[str]
) -> dict[str, StoredCertificate]:
    """Return the certificates that exist, by fingerprint."""
    wanted = sorted(set(fingerprints))
    found = {}
    for start in range(0, len(wanted), ROWS_CHUNK):
        chunk = wanted[start : start + ROWS_CHUNK]
        query = select(certificates).where(certificates.c.fingerprint.in_(chunk))
        for row in await connection.execute(query):
            found[row.fingerprint] = _certificate(row)
    return found


async def get_bindings(connection: AsyncConnection, fingerprints: Sequence[str]) -> list[Binding]:
    """Return the bindings of the certificates that exist."""
    columns = certificates.c
    rows = await connection.execute(
        select(
            columns.fingerprint,
            columns.subject,
            columns.not_before,
            columns.not_after,
            columns.usage,
            columns.own,
            columns.revoke_time,
        ).where(columns.fingerprint.in_(fingerprints))
    )
    return [
        Binding(fingerprint, subject, not_before, not_after, CertificateUsage(usage), own, revoked)
        for fingerprint, subject, not_before, not_after, usage, own, revoked in rows
    ]


async def get_certificates_by_serial(
    connection: AsyncConnection, serial_numbers: Iterable[str]
) -> dict[str, StoredCertificate]:
    """Return the own authority's certificates that exist, by serial number in hex."""
    rows = await connection.execute(
        select(certificates).where(
            certificates.c.serial_number.in_(set(serial_numbers)), certificates.c.own
        )
    )
    return {row.serial_number: _certificate(row) for row in rows}


async def list_certificates(
    connection: AsyncConnection, subject: str, *, after: str, limit: int
) -> list[StoredCertificate]:
    """Return the certificates of a subject, or of "services/{service}", sorted by fingerprint,
    behind the fingerprint `after`."""
    service = subject.removeprefix(SERVICES) if subject.startswith(SERVICES) else ""
    query = (
        select(certificates)
        .where(
            certificates.c.subject == ("" if service else subject),
            certificates.c.service == service,
            certificates.c.fingerprint > after,
        )
        .order_by(certificates.c.fingerprint)
        .limit(limit)
    )
    return [_certificate(row) for row in await connection.execute(query)]


async def has_certificate(connection: AsyncConnection, subject: str) -> bool:
    """Return whether the subject has a certificate, or had one, in whatever state."""
    query = select(certificates.c.fingerprint).where(certificates.c.subject == subject).limit(1)
    return (await connection.execute(query)).first() is not None


async def has_seal(connection: AsyncConnection, organization: str, key: str) -> bool:
    """Return whether the key was certified as the organization's seal here, and that certificate
    was not revoked; it may have expired."""
    columns = certificates.c
    query = select(columns.fingerprint).where(
        columns.subject == organization,
        columns.key == key,
        columns.own,
        columns.usage == int(CertificateUsage.SIGN),
        columns.revoke_time.is_(None),
    )
    return (await connection.execute(query.limit(1))).first() is not None


# Services' credentials


async def end_credential(connection: AsyncConnection, fingerprint: str, *, at: datetime) -> None:
    """Keep from when on a credential that is renewed signs in no more; the first time stays. The
    row is locked, so that a revocation comes wholly before or after."""
    columns = certificates.c
    await connection.execute(
        update(certificates)
        .where(columns.fingerprint == fingerprint)
        .values(sign_in_end_time=func.coalesce(columns.sign_in_end_time, at))
    )


# Dual control


async def had_second_operator(connection: AsyncConnection, platform: str, first: str) -> bool:
    """Return whether an operator besides the first ever had a certificate. It is stored, and read
    from all memberships where one became an operator with a certificate of before."""
    if await get_singleton(connection, Singleton.SECOND_OPERATOR_CERTIFIED) is not None:
        return True
    for table in (memberships, ended_memberships):
        query = (
            select(certificates.c.fingerprint)
            .join(table, table.c.person == certificates.c.subject)
            .where(
                table.c.organization == platform,
                table.c.role == int(Role.ROLE_OPERATOR),
                table.c.person != first,
                table.c.begin_time.is_not(None),
            )
        )
        if (await connection.execute(query.limit(1))).first() is not None:
            return True
    return False


async def keep_second_operator(connection: AsyncConnection, now: datetime) -> None:
    """Keep that an operator besides the first has a certificate, for good."""
    await set_singleton(connection, Singleton.SECOND_OPERATOR_CERTIFIED, now.isoformat())


async def add_application(connection: AsyncConnection, application: Application) -> None:
    """Insert a certificate that waits for a second person."""
    values = asdict(application) | {
        "usage": int(application.usage),
        "chain": b"".join(application.chain),
        "state": int(application.state),
    }
    await insert_row(connection, certificate_requests, values)


async def get_application(
    connection: AsyncConnection, subject: str, application_id: str
) -> Application | None:
    """Return the subject's application of that id, or None."""
    columns = certificate_requests.c
    query = select(certificate_requests).where(
        columns.id == application_id, columns.subject == subject
    )
    row = (await connection.execute(query)).first()
    return None if row is None else _application(row)


async def decide_application(
    connection: AsyncConnection,
    application: Application,
    state: CertificateState,
    *,
    decider: str,
    now: datetime,
) -> bool:
    """Set what became of an application that waits; return False if it waits no more."""
    columns = certificate_requests.c
    result = await connection.execute(
        update(certificate_requests)
        .where(columns.id == application.id, columns.state == int(CertificateState.PENDING))
        .values(state=int(state), decider=decider, decide_time=now)
    )
    return result.rowcount > 0


async def lapse_applications(connection: AsyncConnection, *, before: datetime) -> None:
    """Mark those that wait since before that time as lapsed."""
    columns = certificate_requests.c
    await connection.execute(
        update(certificate_requests)
        .where(columns.state == int(CertificateState.PENDING), columns.create_time <= before)
        .values(state=int(CertificateState.LAPSED))
    )


async def count_pending(connection: AsyncConnection, proposer: str) -> int:
    """Return how many applications of the proposer wait."""
    columns = certificate_requests.c
    query = select(func.count()).where(
        columns.state == int(CertificateState.PENDING), columns.proposer == proposer
    )
    return (await connection.execute(query)).scalar_one()


async def list_pending_subjects(
    connection: AsyncConnection, key: str, *, since: datetime
) -> list[str]:
    """Return for whom a certificate over the key waits since later than a time."""
    columns = certificate_requests.c
    query = select(columns.subject).where(
        columns.key == key,
        columns.state == int(CertificateState.PENDING),
        columns.create_time > since,
    )
    return list((await connection.execute(query)).scalars())


async def list_pending(
    connection: AsyncConnection,
    *,
    subject: str | None,
    since: datetime,
    after: str,
    limit: int,
) -> list[Application]:
    """Return the applications that wait since later than a time, oldest first, behind the id
    `after`; subject: whose, None for all."""
    columns = certificate_requests.c
    query = select(certificate_requests).where(
        columns.state == int(CertificateState.PENDING),
        columns.create_time > since,
        columns.id > after,
    )
    if subject is not None:
        query = query.where(columns.subject == subject)
    rows = await connection.execute(query.order_by(columns.id).limit(limit))
    return [_application(row) for row in rows]


def _application(row: Row[Any]) -> Application:
    reader, chain = Reader(row.chain), []
    while not reader.at_end():
        _, _, issuer = reader.any()
        chain.append(issuer)
    parts = {
        "usage": CertificateUsage(row.usage),
        "chain": tuple(chain),
        "state": CertificateState(row.state),
    }
    return Application(**{**row._mapping, **parts})


# Revocation


# Two lists are made meanwhile.
LISTED_AFTER_EXPIRY = timedelta(days=2)


async def revoke_certificate(
    connection: AsyncConnection, fingerprint: str, *, reason: RevocationReason, now: datetime
) -> bool:
    """Revoke the certificate, unless it is revoked, and number the next revocation list; return
    whether it was not revoked before."""
    result = await connection.execute(
        update(certificates)
        .where(certificates.c.fingerprint == fingerprint, certificates.c.revoke_time.is_(None))
        .values(revoke_time=now, revocation_reason=int(reason))
    )
    if result.rowcount:
        number = await get_revocation_number(connection)
        await set_singleton(connection, Singleton.REVOCATION_NUMBER, str(number + 1))
    return result.rowcount > 0


async def get_revocation_number(connection: AsyncConnection) -> int:
    """Return how many revocations there have been: it changes when the revocation list does."""
    return int(await get_singleton(connection, Singleton.REVOCATION_NUMBER) or "0")


async def list_revoked(
    connection: AsyncConnection, *, now: datetime
) -> Sequence[StoredCertificate]:
    """Return the own authority's revoked certificates for its CRL: those that have not expired, and
    those that have of late, because one list after its end has to name each (RFC 5280, section
    3.3)."""
    rows = await connection.execute(
        select(certificates)
        .where(
            certificates.c.own,
            certificates.c.revoke_time.is_not(None),
            certificates.c.not_after > now - LISTED_AFTER_EXPIRY,
        )
        .order_by(certificates.c.revoke_time, certificates.c.fingerprint)
    )
    return [_certificate(row) for row in rows]


# Managed keys


async def add_managed_keys(
    connection: AsyncConnection, fingerprints: Iterable[str], *, now: datetime
) -> None:
    """Insert the fingerprints of keys that are not there yet."""
    wanted = set(fingerprints)
    rows = await connection.execute(
        select(managed_keys.c.fingerprint).where(managed_keys.c.fingerprint.in_(wanted))
    )
    for fingerprint in sorted(wanted - {row.fingerprint for row in rows}):
        # A concurrent request may have inserted it.
        with suppress(Taken):
            row = {"fingerprint": fingerprint, "create_time": now}
            await insert_row(connection, managed_keys, row)


async def is_managed(connection: AsyncConnection, fingerprint: str) -> bool:
    """Return whether the signing service manages the key."""
    query = select(managed_keys.c.fingerprint).where(managed_keys.c.fingerprint == fingerprint)
    return (await connection.execute(query)).first() is not None


def _certificate(row: Row[Any]) -> StoredCertificate:
    enums = {
        "usage": CertificateUsage(row.usage),
        "revocation_reason": RevocationReason(row.revocation_reason),
    }
    return StoredCertificate(**{**row._mapping, **enums})
