"""The requests service's process: wire its parts by hand, and serve until SIGTERM."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.requests.clients import (
    IdentityClient,
    RegistryClient,
    SealCertificates,
    SigningClient,
)
from services.requests.model.drafts import Drafts
from services.requests.model.working_days import Calendar
from services.requests.privacy.private_texts import PrivateTexts
from services.requests.public_services.administration import Administration
from services.requests.public_services.interface import (
    Directory,
    DocumentTypes,
    Mandates,
    Verifier,
)
from services.requests.public_services.servicer import PublicServiceServicer
from services.requests.service_requests import store
from services.requests.service_requests.changes import Changes
from services.requests.service_requests.interface import Delegate
from services.requests.service_requests.lapsing import Lapsing
from services.requests.service_requests.servicer import ServiceRequestServicer
from services.requests.service_requests.submission import Submission
from services.requests.service_requests.telling import LogTelling
from services.requests.settings import RequestsSettings
from services.requests.statistics.servicer import StatisticsServicer
from services.requests.tables import requests
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
from services.runtime.sealing import load_keys
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Server, wait_for
from services.runtime.settings import CannotStart
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.runtime.storage.migrations import migrate
from signatures.x509 import is_signed_by_certificate

MIGRATIONS = Path(__file__).parent / "migrations"
PUBLIC_SERVICES = "qagazsyz.requests.v1.PublicServiceService"
SERVICE_REQUESTS = "qagazsyz.requests.v1.ServiceRequestService"
STATISTICS = "qagazsyz.requests.v1.StatisticsService"

# How often what nobody signed or answered in time lapses, and kept answers are deleted.
HOUSEKEEPING_SECONDS = 60.0
# How often what a rule decides and could not be issued at once is tried again.
ISSUING_SECONDS = 5.0
# The log is told at once what happened, and so often what it could not be told.
TELLING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The services below, as protocols."""

    directory: Directory
    types: DocumentTypes
    verifier: Verifier
    mandates: Mandates
    delegate: Delegate


@dataclass(frozen=True, slots=True)
class Parts:
    """The service without a server around it. Nothing of it runs yet."""

    public_services: PublicServiceServicer
    service_requests: ServiceRequestServicer
    statistics: StatisticsServicer
    submission: Submission
    lapsing: Lapsing
    telling: LogTelling
    idempotency: IdempotencyStore

    def servicers(self) -> dict[str, object]:
        """Return the servicers by the names of their contracts."""
        return {
            PUBLIC_SERVICES: self.public_services,
            SERVICE_REQUESTS: self.service_requests,
            STATISTICS: self.statistics,
        }


def build(
    *,
    database: Database,
    texts: PrivateTexts,
    calendar: Calendar,
    neighbours: Neighbours,
    platform: str,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
) -> Parts:
    """Wire the service over ready objects."""
    telling = LogTelling(database, texts, neighbours.delegate)
    changes = Changes(database, texts, calendar, telling.wake)
    submission = Submission(changes, neighbours.delegate, clock)
    idempotency = IdempotencyStore(requests, database, clock)
    return Parts(
        public_services=PublicServiceServicer(
            database,
            Administration(
                database=database,
                directory=neighbours.directory,
                types=neighbours.types,
                verifier=neighbours.verifier,
                mandates=neighbours.mandates,
                platform=platform,
                clock=clock,
            ),
            platform,
            clock,
        ),
        service_requests=ServiceRequestServicer(
            changes=changes,
            submission=submission,
            drafts=Drafts(platform, randomness),
            directory=neighbours.directory,
            verifier=neighbours.verifier,
            delegate=neighbours.delegate,
            idempotency=idempotency,
            clock=clock,
        ),
        statistics=StatisticsServicer(database, clock),
        submission=submission,
        lapsing=Lapsing(changes, clock),
        telling=telling,
        idempotency=idempotency,
    )


def open_texts(settings: RequestsSettings) -> PrivateTexts:
    """Load the text keys. Raises SecretRefused."""
    return PrivateTexts(*load_keys(settings.text_key_file(), settings.previous_text_key))


async def check_texts(database: Database, texts: PrivateTexts) -> None:
    """Raise SecretRefused if something is sealed under a key that is not known."""
    async with database.reading() as connection:
        in_use = await store.key_ids_in_use(connection)
    for key_id in in_use:
        if not texts.knows(key_id):
            raise SecretRefused(
                f"requests are sealed under text key {key_id!r}: name its file in "
                "QAGAZSYZ_PREVIOUS_TEXT_KEY"
            )


def load_calendar(settings: RequestsSettings) -> Calendar:
    """Read the days that differ from the week. Raises CannotStart."""
    path = settings.holidays_file()
    try:
        return Calendar.parse(path.read_text())
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CannotStart(f"{path}: {error}") from None


async def serve(settings: RequestsSettings, stop: asyncio.Event) -> None:
    """Serve until stop is set. Raises CannotStart before the first call is taken."""
    texts = open_texts(settings)
    calendar = load_calendar(settings)
    identity = open_channel(settings.identity_address)
    signing = open_channel(settings.signing_address)
    registry = open_channel(settings.registry_address)
    database = Database(settings.database())
    try:
        tokens = InternalTokens.load(identity, settings.credential_file())
        to_identity = ServiceClient(identity, tokens)
        to_signing = ServiceClient(signing, tokens)
        certificates = SealCertificates(to_signing, to_identity, system_clock)
        platform = settings.platform_name
        client = RegistryClient(ServiceClient(registry, tokens), certificates, platform)
        parts = build(
            database=database,
            texts=texts,
            calendar=calendar,
            neighbours=Neighbours(
                directory=IdentityClient(to_identity),
                types=client,
                verifier=SigningClient(to_signing),
                mandates=client,
                delegate=client,
            ),
            platform=platform,
        )
        await migrate(database, MIGRATIONS)
        await check_texts(database, texts)
        server = Server(
            parts.servicers(),
            TokenVerifier(lambda: fetch_key_set(identity)),
            confirmations=confirmations_by(to_identity, is_signed_by_certificate, system_clock),
            page_secret=read_secret(settings.credential_file()),
            concurrent_calls=settings.concurrent_calls,
            bytes_in_flight=settings.bytes_in_flight,
        )
        server.listen(settings.listen)
        async with in_background(
            parts.telling.run(TELLING_SECONDS),
            every(ISSUING_SECONDS, parts.submission.issue_waiting, name="issuing by rule"),
            every(HOUSEKEEPING_SECONDS, parts.lapsing.lapse, name="lapsing requests"),
            every(
                HOUSEKEEPING_SECONDS, parts.idempotency.purge_expired, name="purging old requests"
            ),
        ):
            await wait_for(stop, server)
    finally:
        await registry.close()
        await signing.close()
        await identity.close()
        await database.close()


def main() -> None:
    """Serve with the environment's settings until SIGTERM."""
    settings = RequestsSettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, partial(serve, settings))


if __name__ == "__main__":
    main()
