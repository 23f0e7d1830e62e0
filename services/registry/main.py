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
from services.registry.consent_request_servicer import ConsentRequestServicer
from services.registry.consent_requests.asking import ConsentAsking
from services.registry.consent_servicer import ConsentServicer
from services.registry.contents.packs import Contents, WrappingKey
from services.registry.delegated_servicer import DelegatedServicer
from services.registry.delegation.evidence import EvidenceLookUps
from services.registry.delegation.interface import People, Sealer
from services.registry.delegation.output import Outputs
from services.registry.delegation.request_log import RequestLog
from services.registry.delegation.verification import DelegationCheck
from services.registry.document_servicer import DocumentServicer
from services.registry.documents.content_reader import ContentReader
from services.registry.documents.interface import Directory, Operators, Verifier
from services.registry.documents.lifecycle import DocumentLifecycle
from services.registry.documents.registration import Registration
from services.registry.documents.signature_check import SignatureCheck
from services.registry.documents.type_administration import TypeAdministration
from services.registry.documents.version_one_end import VersionOneEnd
from services.registry.identity_events.clients import IdentityEventClient
from services.registry.identity_events.collection import EventCollection
from services.registry.log.kept_checkpoint import KeptCheckpoint
from services.registry.log.sequencer import Sequencer
from services.registry.log.servicer import LogServicer
from services.registry.log.stored_tiles import LogDamaged
from services.registry.log.transparency_log import LogKey, TransparencyLog
from services.registry.lookups.consent_lifecycle import ConsentLifecycle
from services.registry.lookups.lookups import LookUps
from services.registry.mandate_servicer import MandateServicer
from services.registry.model.log_entries import NEWEST_VERSION
from services.registry.settings import RegistrySettings
from services.registry.witnessing.rounds import WitnessRounds
from services.registry.witnessing.witness_calls import WitnessCalls, parse_keys, parse_witnesses
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
from services.runtime.settings import CannotStart
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from services.runtime.storage.object_store import ObjectStore, open_object_store
from services.runtime.storage.readiness import follow_readiness
from signatures.x509 import is_signed_by_certificate

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
DOCUMENT_SERVICE = "qagazsyz.registry.v1.DocumentService"
CONSENT_SERVICE = "qagazsyz.registry.v1.ConsentService"
CONSENT_REQUEST_SERVICE = "qagazsyz.registry.v1.ConsentRequestService"
DELEGATED_SERVICE = "qagazsyz.registry.v1.DelegatedService"
MANDATE_SERVICE = "qagazsyz.registry.v1.MandateService"
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
    consent_requests: ConsentRequestServicer
    delegated: DelegatedServicer
    mandates: MandateServicer
    log: LogServicer
    sequencer: Sequencer
    contents: Contents
    version_1_end: VersionOneEnd
    transparency_log: TransparencyLog

    def servicers(self) -> dict[str, object]:
        """Return the servicers by the names of their contracts."""
        return {
            DOCUMENT_SERVICE: self.documents,
            CONSENT_SERVICE: self.consents,
            CONSENT_REQUEST_SERVICE: self.consent_requests,
            DELEGATED_SERVICE: self.delegated,
            MANDATE_SERVICE: self.mandates,
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
    people: People,
    sealer: Sealer,
    platform: str,
    witnesses: Sequence[notes.VerifierKey] = (),
    version_1_until: datetime | None = None,
    entry_version: int = NEWEST_VERSION,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
) -> Registry:
    """Wire a registry over ready objects. Its sequencer and version_1_end are yet to be started.

    platform: its name in what people sign. entry_version: which version of the log's entries is
    written.
    """
    sequencer = Sequencer(database, log_key, kept=KeptCheckpoint(objects, log_key))
    transparency_log = TransparencyLog(log_key, witnesses, on_damage=sequencer.stop_signing)
    contents = Contents(objects, content_key, clock=clock, randomness=randomness)
    version_1_end = VersionOneEnd(database, clock, version_1_until)
    registration = Registration(
        database=database,
        sequencer=sequencer,
        contents=contents,
        signature_check=SignatureCheck(verifier, directory, version_1_end, clock),
        clock=clock,
        randomness=randomness,
        entry_version=entry_version,
    )
    content_reader = ContentReader(database, contents)
    lifecycle = ConsentLifecycle(database, sequencer, clock, randomness, entry_version)
    check = DelegationCheck(database, verifier, directory, clock, platform)
    evidence = EvidenceLookUps(database, sequencer, clock, randomness, entry_version)
    asking = ConsentAsking(
        database=database,
        lifecycle=lifecycle,
        texts=check,
        people=people,
        clock=clock,
        randomness=randomness,
        platform=platform,
    )
    return Registry(
        documents=DocumentServicer(
            database=database,
            transparency_log=transparency_log,
            types=TypeAdministration(
                database, sequencer, directory, operators, clock, entry_version
            ),
            registration=registration,
            lifecycle=DocumentLifecycle(database, sequencer, clock, entry_version),
            look_ups=LookUps(database, sequencer, clock, randomness, entry_version),
            content_reader=content_reader,
            clock=clock,
        ),
        consents=ConsentServicer(
            database=database,
            transparency_log=transparency_log,
            lifecycle=lifecycle,
            directory=directory,
            clock=clock,
            randomness=randomness,
        ),
        consent_requests=ConsentRequestServicer(
            database=database,
            asking=asking,
            clock=clock,
            randomness=randomness,
            platform=platform,
        ),
        delegated=DelegatedServicer(
            database=database,
            transparency_log=transparency_log,
            check=check,
            evidence=evidence,
            outputs=Outputs(
                database=database,
                registration=registration,
                evidence=evidence,
                content_reader=content_reader,
                people=people,
                sealer=sealer,
                clock=clock,
            ),
            request_log=RequestLog(database, sequencer, clock, randomness),
            asking=asking,
            content_reader=content_reader,
            clock=clock,
            platform=platform,
            entry_version=entry_version,
        ),
        mandates=MandateServicer(database, transparency_log, clock),
        log=LogServicer(database, transparency_log),
        sequencer=sequencer,
        contents=contents,
        version_1_end=version_1_end,
        transparency_log=transparency_log,
    )


async def serve(settings: RegistrySettings, stop: asyncio.Event) -> None:
    """Serve until stop is set. Raises CannotStart before the first call: for a secret that is
    refused, and for a log that is not the one that was signed."""
    log_key = load_log_key(settings)
    content_key = load_content_key(settings)
    witnesses = parse_keys(settings.log_witnesses)
    asked = parse_witnesses(witnesses, settings.log_witness_urls)
    witness_calls = WitnessCalls()
    database = Database(settings.database())
    objects = open_object_store(settings.contents_location())
    identity = open_channel(settings.identity_address)
    signing = open_channel(settings.signing_address)
    internal = InternalTokens.load(identity, settings.credential_file())
    peer = ServiceClient(identity, internal)
    directory = IdentityClient(peer)
    verifier = SigningClient(ServiceClient(signing, internal))
    registry = build(
        database=database,
        objects=objects,
        log_key=log_key,
        content_key=content_key,
        verifier=verifier,
        directory=directory,
        operators=directory,
        people=directory,
        sealer=verifier,
        platform=settings.platform_name,
        witnesses=witnesses,
        version_1_until=settings.version_1_end(),
        entry_version=settings.log_entry_version,
    )
    events = EventCollection(database, registry.sequencer, IdentityEventClient(peer))
    rounds = WitnessRounds(database, registry.transparency_log, asked, witness_calls)

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
        try:
            await registry.sequencer.start()
        except LogDamaged as damage:
            raise CannotStart(
                f"{damage}; `qagazsyz audit` names what differs: restore a newer backup "
                "(docs/operations.md, Backups)"
            ) from None
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
            every(settings.log_witness_seconds, rounds.run, name="asking witnesses"),
            follow_readiness(
                server.health,
                stores=[database.check, objects.check],
                names=registry.servicers(),
                dependencies=[identity, signing],
            ),
        ):
            await wait_for(stop, server)
    finally:
        await registry.sequencer.close()
        await witness_calls.close()
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
