"""Nobody becomes somebody else unseen: subjects see what identity does in their names, and audits
what was done behind identity's back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from cli.output import write_secret
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import events_pb2
from qagazsyz.receipts import verify_receipt
from qagazsyz.registry.v1 import consents_pb2
from testing.enrolment import Actor
from tests.integration import test_tool
from tests.integration.test_service_credentials import address_of_identity
from tests.integration.world import TIMEOUT_SECONDS, World

SEEN_WITHIN_SECONDS = 10.0


async def seen(
    world: World, citizen: Actor, kind: int, certificate: bytes
) -> consents_pb2.LoggedIdentityEvent:
    """Wait until the citizen's list has this event about a certificate (DER)."""
    fingerprint = hashlib.sha256(certificate).digest()
    async with asyncio.timeout(SEEN_WITHIN_SECONDS):
        while True:
            listed = await world.consents(citizen).ListIdentityEvents(
                consents_pb2.ListIdentityEventsRequest(), timeout=TIMEOUT_SECONDS
            )
            for event in listed.events:
                if (event.kind, event.fingerprint) == (kind, fingerprint):
                    return event


async def test_a_citizen_sees_a_certificate_over_their_name_in_time_and_has_it_revoked(
    world: World, tmp_path: Path
) -> None:
    citizen = await world.citizen()
    stolen = await world.enrolment().further_credential(citizen.subject)
    event = await seen(world, citizen, events_pb2.IDENTITY_EVENT_KIND_CERTIFIED, stolen.certificate)
    assert len(event.officers) == 2
    async with world.http() as web:
        key = (await web.get("/log/key")).text
        listed = await web.get("/v1/identityEvents", headers=await world.headers(citizen))
    proved = verify_receipt(event.receipt, key)
    assert proved.entry["event"] == "certified"
    assert proved.entry["by"] == "approved"
    assert citizen.subject not in event.receipt.entry.decode()
    assert proved.openings == {
        "subject": citizen.subject.encode(),
        "certificate": event.fingerprint,
        **{f"officers[{at}]": officer.encode() for at, officer in enumerate(event.officers)},
    }
    assert listed.json()["events"][0]["kind"] == "IDENTITY_EVENT_KIND_CERTIFIED"

    write_secret(tmp_path / "citizen.pem", citizen.credential.to_pem())
    told = await tool(world, tmp_path, "subject", "events", "--json")
    name = json.loads(told.splitlines()[0])["certificate"]
    assert name == f"{citizen.subject}/certificates/{event.fingerprint.hex()}"
    await tool(world, tmp_path, "certificate", "revoke", name)
    revoked = await seen(
        world, citizen, events_pb2.IDENTITY_EVENT_KIND_CERTIFICATE_REVOKED, stolen.certificate
    )
    assert list(revoked.officers) == [citizen.subject]
    with pytest.raises(grpc.aio.AioRpcError):
        await world.token(Actor(citizen.subject, stolen))


async def tool(world: World, folder: Path, *arguments: str) -> str:
    """Run the tool as the citizen whose credential is in the folder."""
    signed_in = ["--credential", folder / "citizen.pem", "--gateway", world.suite.gateway]
    return await asyncio.to_thread(test_tool.ok, *arguments, *signed_in)


async def test_the_audit_names_a_certificate_that_was_inserted_behind_identitys_back(
    world: World,
) -> None:
    citizen = await world.citizen()
    address = address_of_identity(world)
    audit = ["audit", "--data", str(world.suite.data), "--identity", address]
    assert await asyncio.to_thread(test_tool.ok, *audit) == "Nothing differs.\n"
    forged = "ff" * 32
    with inserted(world.suite.data / "identity" / "identity.db", citizen.credential, forged):
        done = await asyncio.to_thread(test_tool.run, *audit)
    assert done.returncode == 1
    assert done.stdout == (
        f"{citizen.subject}/certificates/{forged}: has no entry\n1 differences\n"
    )


@contextmanager
def inserted(path: Path, credential: Credential, fingerprint: str) -> Iterator[None]:
    """Keep a copy of a certificate's row in identity's database, under another fingerprint."""
    copied = hashlib.sha256(credential.certificate).hexdigest()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(certificates)")]
        values = ["?" if column == "fingerprint" else column for column in columns]
        database.execute(
            f"INSERT INTO certificates ({', '.join(columns)})"  # noqa: S608 - a test's own names
            f" SELECT {', '.join(values)} FROM certificates WHERE fingerprint = ?",
            (fingerprint, copied),
        )
        try:
            yield
        finally:
            database.execute("DELETE FROM certificates WHERE fingerprint = ?", (fingerprint,))


async def test_a_citizen_does_not_list_what_was_done_in_anothers_name(world: World) -> None:
    citizen, other = await world.citizen(), await world.citizen()
    ask = consents_pb2.ListIdentityEventsRequest(subject=citizen.subject)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.consents(other).ListIdentityEvents(ask, timeout=TIMEOUT_SECONDS)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
