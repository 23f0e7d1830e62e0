"""The registry's process: wires its parts by hand, and serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from qagazsyz import notes
from services.registry.clients import IdentityClient, SigningClient
from services.registry.consent_servicer import ConsentServicer
from services.registry.contents.packs import Contents, WrappingKey
from services.registry.document_servicer import DocumentServicer
from services.registry.documents.content_reader import ContentReader
from services.registry.documents.interface import Directory, Operators, Verifier
from services.registry.documents.lifecycle import DocumentLifecycle
from services.registry.documents.registration import Registration
from services.registry.documents.signature_check import SignatureCheck
from services.registry.documents.type_administration import TypeAdministration
from services.registry.documents.version_one_end import VersionOneEnd
from services.registry.health import follow_dependencies
from services.registry.identity_events.clients import IdentityEventClient
from services.registry.identity_events.collection import EventCollection
from services.registry.log.kept_checkpoint import KeptCheckpoint
from services.registry.log.sequencer import Sequencer
from services.registry.log.servicer import LogServicer
from services.registry.log.transparency_log import LogKey, TransparencyLog
from services.registry.lookups.consent_lifecycle import ConsentLifecycle
from services.registry.lookups.lookups import LookUps
from services.registry.model.log_entries import NEWEST_VERSION
from services.registry.settings import RegistrySettings
from services.runtime import process
from services.runtime.access import TokenVerifier
from services.runtime.acts.confirmed_by_identity import confirmations_by
from services.runtime.clients import (
    InternalTokens,
    ServiceClient,
    fetch_key_set,
    open_channel,
)
from services.runtime.clock import Clock, Randomness, system_clock, system_randomness
from services.runtime.concurrency.housekeeping import every, in_background
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Server, wait_for
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from services.runtime.storage.object_store import ObjectStore, open_object_store
from signatures.x509 import is_signed_by_certificate

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
DOCUMENT_SERVICE = "qagazsyz.registry.v1.DocumentService"
CONSENT_SERVICE = "qagazsyz.registry.v1.ConsentService"
LOG_SERVICE = "qagazsyz.registry.v1.LogService"

# How often orphaned objects are deleted, and erased data is purged from SQLite's write-ahead log.
HOUSEKEEPING_EVERY = timedelta(hours=1)
# How often identity is asked for events: subjects see within seconds what is done in their name.
COLLECTING_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry without a server around it."""

    documents: DocumentServicer
    consents: ConsentServicer
    log: LogServicer
    sequencer: Sequencer
    contents: Contents
    version_1_end: VersionOneEnd

    def servicers(self) -> dict[str, object]:
        """Return the servicers by the names of their contracts."""
        return {
            DOCUMENT_SERVICE: self.documents,
            CONSENT_SERVICE: self.consents,
            LOG_SERVICE: self.log,
        }


def build(
    *,
    database: Database,
    objects: ObjectStore,
    log_key: LogKey,
    content_key: WrappingKey,
    verifier: Verifier,
    directory: Directory,
    operators: Operators,
    witnesses: Sequence[notes.VerifierKey] = (),
    version_1_until: datetime | None = None,
    entry_version: int = NEWEST_VERSION,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
) -> Registry:
    """Wire a registry over ready objects. Its sequencer and version_1_end are yet to be started.

    entry_version: which version of the log's entries is written.
    """
    transparency_log = TransparencyLog(log_key, witnesses)
    sequencer = Sequencer(database, log_key, kept=KeptCheckpoint(objects, log_key))
    contents = Contents(objects, content_key, clock=clock, randomness=randomness)
    version_1_end = VersionOneEnd(database, clock, version_1_until)
    return Registry(
        documents=DocumentServicer(
            database=database,
            transparency_log=transparency_log,
            types=TypeAdministration(
                database, sequencer, directory, operators, clock, entry_version
            ),
            registration=Registration(
                database=database,
                sequencer=sequencer,
                contents=contents,
                signature_check=SignatureCheck(verifier, directory, version_1_end, clock),
                clock=clock,
                randomness=randomness,
                entry_version=entry_version,
            ),
            lifecycle=DocumentLifecycle(database, sequencer, clock, entry_version),
            look_ups=LookUps(database, sequencer, clock, randomness, entry_version),
            content_reader=ContentReader(database, contents),
            clock=clock,
        ),
        consents=ConsentServicer(
            database=database,
            transparency_log=transparency_log,
            lifecycle=ConsentLifecycle(database, sequencer, clock, randomness, entry_version),
            directory=directory,
            clock=clock,
            randomness=randomness,
        ),
        log=LogServicer(database, transparency_log),
        sequencer=sequencer,
        contents=contents,
        version_1_end=version_1_end,
    )


async def serve(settings: RegistrySettings, stop: asyncio.Event) -> None:
    """Serve until stop is set. Raises SecretRefused and LogDamaged before the first call."""
    log_key = load_log_key(settings)
    content_key = load_content_key(settings)
    witnesses = [notes.VerifierKey.parse(text) for text in settings.log_witnesses.split()]
    database = Database(settings.database())
    identity = open_channel(settings.identity_address)
    signing = open_channel(settings.signing_address)
    internal = InternalTokens.load(identity, settings.credential_file())
    peer = ServiceClient(identity, internal)
    directory = IdentityClient(peer)
    registry = build(
        database=database,
        objects=open_object_store(settings.contents_location()),
        log_key=log_key,
        content_key=content_key,
        verifier=SigningClient(ServiceClient(signing, internal)),
        directory=directory,
        operators=directory,
        witnesses=witnesses,
        version_1_until=settings.version_1_end(),
        entry_version=settings.log_entry_version,
    )
    events = EventCollection(database, registry.sequencer, IdentityEventClient(peer))

    async def collect_events() -> None:
        if settings.log_entry_version > 1:
            await events.collect()

    async def collect_orphans() -> None:
        removed = await registry.contents.collect_orphans(database)
        await database.purge_deleted()
        log.info("orphans collected", extra={"objects": removed})

    try:
        await migrate(database, MIGRATIONS)
        await registry.version_1_end.start()
        await registry.sequencer.start()
        server = Server(
            registry.servicers(),
            TokenVerifier(lambda: fetch_key_set(identity)),
            confirmations=confirmations_by(peer, is_signed_by_certificate, system_clock),
            page_secret=read_secret(settings.credential_file()),
            concurrent_calls=settings.concurrent_calls,
            bytes_in_flight=settings.bytes_in_flight,
        )
        server.listen(settings.listen)
        async with in_background(
            every(HOUSEKEEPING_EVERY.total_seconds(), collect_orphans, name="collecting orphans"),
            every(COLLECTING_EVERY.total_seconds(), collect_events, name="logging events"),
            follow_dependencies(server.health, [identity, signing], registry.servicers()),
        ):
            await wait_for(stop, server)
    finally:
        await registry.sequencer.close()
        await signing.close()
        await identity.close()
        await database.close()


def load_log_key(settings: RegistrySettings) -> LogKey:
    """Return the key that signs checkpoints. Raises SecretRefused."""
    path = settings.log_key_file()
    try:
        return LogKey.load(read_secret(path), settings.log_origin)
    except ValueError as error:
        raise SecretRefused(f"{path.name}: {error}") from None


def load_content_key(settings: RegistrySettings) -> WrappingKey:
    """Return the key that wraps the contents' keys. Raises SecretRefused."""
    return WrappingKey.load(settings.content_key_file())


def main() -> None:
    """Run the registry as its environment variables say."""
    settings = RegistrySettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, lambda stop: serve(settings, stop))


if __name__ == "__main__":
    main()
