"""The registry's process: everything is put together here, by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from qagazsyz import notes
from services.registry.clients import Directory, IdentityService, SigningService, Verifier
from services.registry.consent_servicer import ConsentServicer
from services.registry.contents.packs import Contents, WrappingKey
from services.registry.document_servicer import DocumentServicer
from services.registry.documents.registration import Registration
from services.registry.documents.store import Store
from services.registry.health import follow_neighbours
from services.registry.log.kept_checkpoint import KeptCheckpoint
from services.registry.log.sequencer import Sequencer
from services.registry.log.servicer import LogServicer
from services.registry.log.transparency_log import LogKey, TransparencyLog
from services.registry.lookups.lookups import LookUps
from services.registry.lookups.store import RecordStore
from services.registry.settings import RegistrySettings
from services.runtime import process
from services.runtime.access import TokenVerifier
from services.runtime.clients import InternalTokens, Peer, fetch_key_set, open_channel
from services.runtime.clock import Clock, Randomness, system_clock, system_randomness
from services.runtime.concurrency.housekeeping import every, in_background
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Server, wait_for
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from services.runtime.storage.object_store import ObjectStore, open_object_store

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
DOCUMENT_SERVICE = "qagazsyz.registry.v1.DocumentService"
CONSENT_SERVICE = "qagazsyz.registry.v1.ConsentService"
LOG_SERVICE = "qagazsyz.registry.v1.LogService"

# How often objects that no document refers to are looked for, and SQLite's log is emptied.
TIDY_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry without a server around it."""

    documents: DocumentServicer
    consents: ConsentServicer
    log: LogServicer
    sequencer: Sequencer
    contents: Contents
    store: Store
    records: RecordStore

    def servicers(self) -> dict[str, object]:
        """The servicers by the names of their contracts."""
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
    witnesses: Sequence[notes.VerifierKey] = (),
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
) -> Registry:
    """The registry over ready objects; its sequencer has yet to be started."""
    tree = TransparencyLog(log_key, witnesses)
    sequencer = Sequencer(database, log_key, kept=KeptCheckpoint(objects, log_key))
    contents = Contents(objects, content_key, clock=clock, randomness=randomness)
    store = Store(database, sequencer, tree)
    records = RecordStore(database, sequencer, clock)
    registration = Registration(
        store=store,
        contents=contents,
        verifier=verifier,
        directory=directory,
        clock=clock,
        randomness=randomness,
    )
    look_ups = LookUps(records=records, clock=clock, randomness=randomness)
    return Registry(
        documents=DocumentServicer(
            store=store,
            records=records,
            registration=registration,
            look_ups=look_ups,
            contents=contents,
            directory=directory,
            clock=clock,
        ),
        consents=ConsentServicer(
            store=store,
            records=records,
            directory=directory,
            clock=clock,
            randomness=randomness,
        ),
        log=LogServicer(database, tree),
        sequencer=sequencer,
        contents=contents,
        store=store,
        records=records,
    )


async def serve(settings: RegistrySettings, stop: asyncio.Event) -> None:
    """Serves until stop is set. Raises SecretRefused and LogDamaged before the first call."""
    log_key = load_log_key(settings)
    content_key = load_content_key(settings)
    witnesses = [notes.VerifierKey.parse(text) for text in settings.log_witnesses.split()]
    database = Database(settings.database())
    identity = open_channel(settings.identity_address)
    signing = open_channel(settings.signing_address)
    internal = InternalTokens.load(identity, settings.credential_file())
    registry = build(
        database=database,
        objects=open_object_store(settings.contents_location()),
        log_key=log_key,
        content_key=content_key,
        verifier=SigningService(Peer(signing, internal)),
        directory=IdentityService(Peer(identity, internal)),
        witnesses=witnesses,
    )
    try:
        await migrate(database, MIGRATIONS)
        await registry.sequencer.start()
        server = Server(
            registry.servicers(),
            TokenVerifier(lambda: fetch_key_set(identity)),
            concurrent_calls=settings.concurrent_calls,
        )
        server.listen(settings.listen)

        async def tidy() -> None:
            removed = await registry.contents.collect_orphans(database)
            await database.purge_deleted()
            log.info("orphans collected", extra={"objects": removed})

        try:
            async with in_background(
                every(TIDY_EVERY.total_seconds(), tidy, name="collecting orphans"),
                follow_neighbours(server.health, [identity, signing], registry.servicers()),
            ):
                await wait_for(stop, server)
        finally:
            await registry.sequencer.close()
    finally:
        await signing.close()
        await identity.close()
        await database.close()


def load_log_key(settings: RegistrySettings) -> LogKey:
    """The key that signs checkpoints. Raises SecretRefused."""
    path = settings.log_key_file()
    try:
        return LogKey.load(read_secret(path), settings.log_origin)
    except ValueError as error:
        raise SecretRefused(f"{path.name}: {error}") from None


def load_content_key(settings: RegistrySettings) -> WrappingKey:
    """The key that wraps the contents' keys. Raises SecretRefused."""
    path = settings.content_key_file()
    try:
        return WrappingKey.parse(read_secret(path).decode("ascii"))
    except ValueError as error:
        raise SecretRefused(f"{path.name}: {error}") from None


def main() -> None:
    """Runs the registry by its environment variables."""
    settings = RegistrySettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, lambda stop: serve(settings, stop))


if __name__ == "__main__":
    main()
