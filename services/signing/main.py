"""The signing service's process: wire its parts by hand, and serve until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from qagazsyz.common.v1 import signatures_pb2
from services.runtime import process
from services.runtime.access import TokenVerifier
from services.runtime.acts.confirmations import Confirmations
from services.runtime.acts.confirmed_by_identity import confirmations_by
from services.runtime.clients import (
    InternalTokens,
    ServiceClient,
    fetch_key_set,
    open_channel,
)
from services.runtime.clock import Clock, system_clock
from services.runtime.concurrency.housekeeping import every, in_background, until_done
from services.runtime.sealing import Vault, load_keys
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Call, Server, wait_for
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.runtime.storage.migrations import migrate
from services.signing.clients import IdentityClient
from services.signing.keys import store
from services.signing.keys.announcing import announce_all
from services.signing.keys.servicer import KeyServicer
from services.signing.settings import SigningSettings
from services.signing.tables import requests
from services.signing.verification.requests import encode_batch
from services.signing.verification.scheduler import Scheduler
from services.signing.verification.servicer import VerificationServicer
from services.signing.verification.signers import Signers
from services.signing.verification.texts import TextVerifier
from signatures.backend import Backend
from signatures.loading import load_backend
from signatures.x509 import is_signed_by_certificate

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
KEY_SERVICE = "qagazsyz.signing.v1.KeyService"
VERIFICATION_SERVICE = "qagazsyz.signing.v1.VerificationService"
# How often expired answers of request_id are deleted.
HOUSEKEEPING_SECONDS = 3_600.0
# Between attempts to announce the keys at the start, while identity or the database is away.
ANNOUNCE_RETRY_SECONDS = 5.0


def build(
    settings: SigningSettings,
    *,
    database: Database,
    vault: Vault,
    backend: Backend,
    identity: IdentityClient,
    tokens: TokenVerifier,
    confirmations: Confirmations,
    page_secret: bytes,
    clock: Clock = system_clock,
) -> Server:
    """Return the server with its two servicers."""

    async def find_public_keys(names: Sequence[str]) -> Mapping[str, bytes]:
        async with database.reading() as connection:
            return await store.find_public_keys(connection, names)

    scheduler = Scheduler(
        backend, threads=settings.threads, bytes_in_flight=settings.bytes_in_flight
    )
    signers = Signers(
        check_certificates=identity.check_certificates,
        inspect_certificates=identity.inspect_certificates,
        find_public_keys=find_public_keys,
        clock=clock,
    )
    verification = VerificationServicer(
        backend=backend,
        scheduler=scheduler,
        signers=signers,
        verify_time_stamp=identity.verify_time_stamp,
        clock=clock,
    )
    texts = TextVerifier(backend, scheduler, signers)

    async def signers_of(signed: Sequence[signatures_pb2.SignedText], call: Call) -> list[str]:
        return await texts.signers_of(encode_batch(signed), len(signed), call)

    keys = KeyServicer(
        database=database,
        vault=vault,
        organization_exists=identity.organization_exists,
        announce_keys=identity.announce_keys,
        signers_of=signers_of,
        find_officers=identity.find_officers,
        platform=settings.platform_name,
        clock=clock,
        keys_per_organization=settings.keys_per_organization,
    )
    return Server(
        {KEY_SERVICE: keys, VERIFICATION_SERVICE: verification},
        tokens,
        page_secret=page_secret,
        confirmations=confirmations,
        concurrent_calls=settings.concurrent_calls,
        bytes_in_flight=settings.bytes_in_flight,
    )


def open_vault(settings: SigningSettings) -> Vault:
    """Load the key-encryption keys. Raises SecretRefused."""
    current = settings.key_encryption_key_file()
    return Vault(*load_keys(current, settings.previous_key_encryption_key))


async def check_vault(database: Database, vault: Vault) -> None:
    """Raise SecretRefused if a private key is sealed under a key-encryption key that the vault does
    not know: at the start, not at the first signature."""
    async with database.reading() as connection:
        in_use = await store.wrapping_keys_in_use(connection)
    for key_id, count in in_use.items():
        if not vault.knows(key_id):
            raise SecretRefused(
                f"{count} private keys are sealed under key-encryption key {key_id!r}: name its "
                "file in QAGAZSYZ_PREVIOUS_KEY_ENCRYPTION_KEY until they are rewrapped"
            )


async def serve(settings: SigningSettings, stop: asyncio.Event) -> None:
    """Serve until stop is set. Raises CannotStart before the first call is taken."""
    vault = open_vault(settings)
    backend = load_backend(settings.backend or None)
    log.info("verification backend", extra={"backend": backend.name, "threads": settings.threads})
    channel = open_channel(settings.identity_address)
    database = Database(settings.database())
    try:
        tokens = InternalTokens.load(channel, settings.credential_file())
        peer = ServiceClient(channel, tokens)
        identity = IdentityClient(peer)
        idempotency = IdempotencyStore(requests, database, system_clock)
        await migrate(database, MIGRATIONS)
        await check_vault(database, vault)
        server = build(
            settings,
            database=database,
            vault=vault,
            backend=backend,
            identity=identity,
            tokens=TokenVerifier(lambda: fetch_key_set(channel)),
            confirmations=confirmations_by(peer, is_signed_by_certificate, system_clock),
            page_secret=read_secret(settings.credential_file()),
        )
        server.listen(settings.listen)

        async def announce() -> None:
            await announce_all(database, identity.announce_keys)

        async with in_background(
            every(HOUSEKEEPING_SECONDS, idempotency.purge_expired, name="purging old requests"),
            until_done(
                announce, name="announcing managed keys", retry_seconds=ANNOUNCE_RETRY_SECONDS
            ),
        ):
            await wait_for(stop, server)
    finally:
        await channel.close()
        await database.close()


def main() -> None:
    """Serve with the environment's settings until SIGTERM."""
    settings = SigningSettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, partial(serve, settings))


if __name__ == "__main__":
    main()
