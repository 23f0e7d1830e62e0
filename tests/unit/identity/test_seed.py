"""The seed is imported once."""

from __future__ import annotations

import asyncio
import json

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from qagazsyz.identity.v1 import subjects_pb2
from services.identity.certificates.store import get_certificate
from services.identity.events.event import IdentityEventBasis, IdentityEventKind
from services.identity.events.recorder import EventRecorder
from services.identity.events.store import get_last_number, list_records, read_events
from services.identity.new_secrets import add_service
from services.identity.seed import SEED, import_seed
from services.runtime.clock import system_randomness
from tests.unit.identity.service import Identity


async def test_a_seed_that_is_imported_again_changes_nothing(identity: Identity) -> None:
    seed = json.loads((identity.folder / SEED).read_bytes())
    events = EventRecorder(identity.clock, system_randomness)
    async with identity.database.reading() as connection:
        before = await get_last_number(connection)
    await asyncio.gather(*(import_seed(identity.database, seed, events) for _ in range(3)))
    async with identity.database.reading() as connection:
        assert await get_last_number(connection) == before
    listed = await identity.call(
        "SubjectService/ListSubjects", subjects_pb2.ListSubjectsRequest(), identity.as_auditor
    )
    assert len(listed.subjects) == 2, "the platform's organization and its first operator"


async def test_every_certificate_of_the_beginning_has_its_event(identity: Identity) -> None:
    async with identity.database.reading() as connection:
        events = await read_events(connection, after=0, limit=100)
        records = await list_records(connection, after="", limit=100)
    certified = [
        event.happening for event in events if event.happening.kind is IdentityEventKind.CERTIFIED
    ]
    assert {happening.basis for happening in certified} == {IdentityEventBasis.INIT}
    assert {(each.subject, each.fingerprint) for each in certified} == {
        (record.subject, record.fingerprint) for record in records if record.fingerprint
    }
    # The operator, the signing service, and the time-stamping authority.
    assert len(certified) == 3
    assert not any(happening.officers for happening in certified)


async def test_a_service_that_was_added_to_the_seed_is_imported_once(identity: Identity) -> None:
    events = EventRecorder(identity.clock, system_randomness)
    added = add_service(
        identity.folder, "messaging", now=identity.clock(), randomness=system_randomness
    )
    seed = json.loads((identity.folder / SEED).read_bytes())
    async with identity.database.reading() as connection:
        before = await get_last_number(connection)
    await asyncio.gather(*(import_seed(identity.database, seed, events) for _ in range(3)))
    fingerprint = x509.load_pem_x509_certificates(added)[0].fingerprint(SHA256())
    async with identity.database.reading() as connection:
        (event,) = await read_events(connection, after=before, limit=100)
        stored = await get_certificate(connection, "services/messaging", fingerprint.hex())
    happening = event.happening
    assert (happening.kind, happening.basis) == (
        IdentityEventKind.CERTIFIED,
        IdentityEventBasis.INIT,
    )
    assert (happening.subject, happening.fingerprint) == ("services/messaging", fingerprint)
    assert stored is not None and stored.own
