"""Whose a certified key is: one subject's, in whatever state its certificates are."""

from __future__ import annotations

import grpc
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from cryptography.hazmat.primitives.asymmetric import ed25519
from sqlalchemy import Connection, select, text

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.managed_keys import certified_key
from services.identity.main import MIGRATIONS
from services.identity.tables import certificates, certified_keys
from tests.unit.identity.service import (
    AUTHENTICATE,
    Identity,
    certificate_request,
    outcomes,
)

ISSUE = "CertificateService/IssueCertificate"
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


def asked_for(subject: str, key: object) -> pb.IssueCertificateRequest:
    return pb.IssueCertificateRequest(
        subject=subject, certificate_request=certificate_request(key), usage=AUTHENTICATE
    )


def migrate_by(connection: Connection, revision: str) -> None:
    """Run one migration alone."""
    script = ScriptDirectory(str(MIGRATIONS)).get_revision(revision)
    with Operations.context(MigrationContext.configure(connection)):
        script.module.upgrade()


async def test_a_key_is_certified_for_one_subject_only(identity: Identity) -> None:
    first, second = await identity.person(), await identity.person()
    organization = await identity.organization()
    made, key = await identity.issue(first)
    for other in (second, organization):
        request = asked_for(other, key)
        assert await identity.refused(ISSUE, request, identity.as_operator) == PRECONDITION
    await identity.revoke(made.name, identity.as_operator)
    request = asked_for(second, key)
    assert await identity.refused(ISSUE, request, identity.as_operator) == PRECONDITION
    # The same subject may have it certified again.
    again, _ = await identity.issue(first, key=key, usage=AUTHENTICATE)
    assert again.name != made.name


async def test_a_citizen_does_not_renew_over_anothers_key(identity: Identity) -> None:
    first, second = await identity.person(), await identity.person()
    _, key = await identity.issue(first)
    await identity.issue(second)
    request = pb.IssueCertificateRequest(
        subject=second, certificate_request=certificate_request(key)
    )
    assert await identity.refused(ISSUE, request, identity.as_citizen(second)) == PRECONDITION


async def test_of_concurrent_requests_over_one_key_one_subject_gets_it(identity: Identity) -> None:
    people = [await identity.person() for _ in range(4)]
    key = ed25519.Ed25519PrivateKey.generate()
    counts = await outcomes(
        *(identity.call(ISSUE, asked_for(each, key), identity.as_operator) for each in people)
    )
    assert counts == {"OK": 1, "FAILED_PRECONDITION": 3}


async def test_the_key_of_a_service_is_certified_for_nobody(identity: Identity) -> None:
    from qagazsyz.credentials import Credential

    credential = Credential.load(identity.credentials / "signing.pem")
    request = asked_for(await identity.person(), credential.private_key)
    assert await identity.refused(ISSUE, request, identity.as_operator) == PRECONDITION


async def test_keys_that_were_certified_before_keep_their_first_holder(
    identity: Identity,
) -> None:
    first = await identity.person()
    made, key = await identity.issue(first)
    async with identity.database.transaction() as connection:
        await connection.execute(text("DROP TABLE certified_keys"))
        await connection.run_sync(migrate_by, "0004")
    async with identity.database.reading() as connection:
        query = select(certified_keys.c.holder).where(
            certified_keys.c.fingerprint == certified_key(made.der)
        )
        assert (await connection.execute(query)).scalar_one() == first
    request = asked_for(await identity.person(), key)
    assert await identity.refused(ISSUE, request, identity.as_operator) == PRECONDITION


async def test_certificates_of_before_have_their_keys_after_the_migration(
    identity: Identity,
) -> None:
    made, _ = await identity.issue(await identity.person())
    async with identity.database.transaction() as connection:
        await connection.execute(text("DROP TABLE certificate_requests"))
        for column in ("key", "proposer", "approver"):
            await connection.execute(text(f"ALTER TABLE certificates DROP COLUMN {column}"))
        await connection.run_sync(migrate_by, "0006")
        columns = certificates.c
        query = select(columns.key, columns.proposer, columns.approver).where(
            columns.der == made.der
        )
        assert tuple((await connection.execute(query)).one()) == (certified_key(made.der), "", "")
