"""The signing service's process: wire its parts by hand, and serve until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
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
from services.runtime.clock import Clock, Randomness, system_clock, system_randomness
from services.runtime.concurrency.housekeeping import Work, every, in_background, until_done
from services.runtime.sealing import Vault, load_keys
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Call, Server, wait_for
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.runtime.storage.migrations import migrate
from services.runtime.storage.readiness import follow_readiness
from services.signing.by_phone.clients import TokenClient
from services.signing.by_phone.confirmation_servicer import PhoneConfirmationServicer
from services.signing.by_phone.confirming import Confirming
from services.signing.by_phone.sign_in_servicer import PhoneSignInServicer
from services.signing.by_phone.signing_in import SigningIn
from services.signing.clients import IdentityClient
from services.signing.exchange import answers as answering
from services.signing.exchange import phone_notices
from services.signing.exchange import sending as delivery
from services.signing.exchange.answers import Answers, CheckCertificates
from services.signing.exchange.clients import MessagingClient
from services.signing.exchange.phone_notices import PhoneNotices
from services.signing.exchange.sending import Sending
from services.signing.keys import store
from services.signing.keys.announcing import announce_all
from services.signing.keys.servicer import KeyServicer
from services.signing.mobile import changes
from services.signing.mobile.clients import PhoneClient
from services.signing.mobile.display_text import parse_short_names
from services.signing.mobile.servicer import MobileSignatureServicer
from services.signing.mobile.sessions import ERASE_SECONDS, EXPIRE_SECONDS, Sessions
from services.signing.settings import SigningSettings
from services.signing.sims import store as sims_store
from services.signing.sims.keys import SimKeys, load_transport_key
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
MOBILE_SERVICE = "qagazsyz.signing.v1.MobileSignatureService"
SIGN_IN_SERVICE = "qagazsyz.signing.v1.PhoneSignInService"
CONFIRMATION_SERVICE = "qagazsyz.signing.v1.PhoneConfirmationService"
KEY_SERVICE = "qagazsyz.signing.v1.KeyService"
VERIFICATION_SERVICE = "qagazsyz.signing.v1.VerificationService"
# How often expired answers of request_id are deleted.
HOUSEKEEPING_SECONDS = 3_600.0
# Between attempts to announce the keys at the start, while identity or the database is away.
ANNOUNCE_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Round:
    """Work that is repeated in the background."""

    seconds: float
    work: Work
    name: str


@dataclass(frozen=True, slots=True)
class Mobile:
    """Signatures on phones, between network and database."""

    sessions: Sessions
    servicer: MobileSignatureServicer
    rounds: Sequence[Round]
    # None where no messaging runs.
    sending: Sending | None


@dataclass(frozen=True, slots=True)
class ByPhone:
    """Signing in and confirming by phone, by the names of their services."""

    servicers: Mapping[str, object]
    rounds: Sequence[Round]


def build_mobile(
    settings: SigningSettings,
    *,
    database: Database,
    vault: Vault,
    check_certificates: CheckCertificates,
    phones: PhoneClient,
    messaging: MessagingClient | None,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
) -> Mobile:
    """Return sessions and servicer, and the work to run in the background. Raises CannotStart.

    messaging: None where it does not run: then no session is started.
    """
    path = settings.sim_transport_key
    sim_keys = SimKeys(vault, clock, load_transport_key(path) if path is not None else None)
    short_name = settings.mobile_signing_name
    sessions = Sessions(
        database=database,
        vault=vault,
        sim_keys=sim_keys,
        lifetime=timedelta(seconds=settings.mobile_signature_seconds),
        clock=clock,
        randomness=randomness,
    )
    servicer = MobileSignatureServicer(
        database=database,
        sessions=sessions,
        sim_keys=sim_keys,
        phones=phones,
        short_name=short_name,
        organizations=parse_short_names(settings.mobile_signing_organizations, short_name),
        has_network=messaging is not None,
    )
    rounds = [
        Round(changes.LOOK_SECONDS, sessions.changes.look, "looking for changed sessions"),
        Round(EXPIRE_SECONDS, sessions.expire, "expiring sessions"),
        Round(ERASE_SECONDS, sessions.erase, "erasing ended sessions"),
    ]
    sending = None
    if messaging is not None:
        sending = Sending(
            database=database,
            sessions=sessions,
            sim_keys=sim_keys,
            messaging=messaging,
            clock=clock,
        )
        sessions.when_started(sending.wake)
        answers = Answers(
            database=database,
            sessions=sessions,
            sim_keys=sim_keys,
            phones=phones,
            messaging=messaging,
            check_certificates=check_certificates,
        )
        notices = PhoneNotices(
            database=database,
            sessions=sessions,
            phones=phones,
            messaging=messaging,
            short_name=short_name,
            clock=clock,
        )
        rounds += [
            Round(answering.RETRY_SECONDS, answers.read, "reading SIMs' answers"),
            Round(delivery.LOOK_SECONDS, sending.look, "following requests"),
            Round(phone_notices.READ_SECONDS, notices.collect, "reading phones' notices"),
        ]
    return Mobile(sessions, servicer, rounds, sending)


def build_by_phone(
    settings: SigningSettings,
    *,
    database: Database,
    vault: Vault,
    sessions: Sessions,
    phones: PhoneClient,
    tokens: TokenClient,
    has_network: bool,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
) -> ByPhone:
    """Return what signs in and confirms by phone. has_network: whether messaging runs."""
    signing_in = SigningIn(
        database=database,
        vault=vault,
        sessions=sessions,
        phones=phones,
        tokens=tokens,
        short_name=settings.mobile_signing_name,
        clock=clock,
        randomness=randomness,
    )
    confirming = Confirming(
        database=database,
        sessions=sessions,
        phones=phones,
        tokens=tokens,
        short_name=settings.mobile_signing_name,
        clock=clock,
    )
    return ByPhone(
        {
            SIGN_IN_SERVICE: PhoneSignInServicer(
                signing_in=signing_in, has_network=has_network, clock=clock
            ),
            CONFIRMATION_SERVICE: PhoneConfirmationServicer(
                confirming=confirming, has_network=has_network
            ),
        },
        [
            Round(HOUSEKEEPING_SECONDS, signing_in.forget, "forgetting old sign-ins"),
            Round(HOUSEKEEPING_SECONDS, confirming.forget, "forgetting old challenges"),
        ],
    )


def build(
    settings: SigningSettings,
    *,
    database: Database,
    vault: Vault,
    backend: Backend,
    identity: IdentityClient,
    mobile: MobileSignatureServicer,
    tokens: TokenVerifier,
    confirmations: Confirmations,
    page_secret: bytes,
    by_phone: Mapping[str, object] | None = None,
    clock: Clock = system_clock,
) -> Server:
    """Return the server with its five servicers, three without by_phone."""

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
        {KEY_SERVICE: keys, VERIFICATION_SERVICE: verification, MOBILE_SERVICE: mobile}
        | dict(by_phone or {}),
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
    """Raise SecretRefused if a private key or a SIM's key is sealed under a key-encryption key that
    the vault does not know: at the start, not at the first signature."""
    async with database.reading() as connection:
        in_use = Counter(await store.wrapping_keys_in_use(connection))
        in_use.update(await sims_store.wrapping_keys_in_use(connection))
    for key_id, count in in_use.items():
        if not vault.knows(key_id):
            raise SecretRefused(
                f"{count} keys are sealed under key-encryption key {key_id!r}: name its "
                "file in QAGAZSYZ_PREVIOUS_KEY_ENCRYPTION_KEY until they are rewrapped"
            )


async def serve(settings: SigningSettings, stop: asyncio.Event) -> None:
    """Serve until stop is set. Raises CannotStart before the first call is taken."""
    vault = open_vault(settings)
    backend = load_backend(settings.backend or None)
    log.info("verification backend", extra={"backend": backend.name, "threads": settings.threads})
    channel = open_channel(settings.identity_address)
    messaging = open_channel(settings.messaging_address) if settings.messaging_address else None
    database = Database(settings.database())
    try:
        tokens = InternalTokens.load(channel, settings.credential_file())
        peer = ServiceClient(channel, tokens)
        identity = IdentityClient(peer)
        idempotency = IdempotencyStore(requests, database, system_clock)
        await migrate(database, MIGRATIONS)
        await check_vault(database, vault)
        phones = PhoneClient(peer)
        mobile = build_mobile(
            settings,
            database=database,
            vault=vault,
            check_certificates=identity.check_certificates,
            phones=phones,
            messaging=(
                MessagingClient(ServiceClient(messaging, tokens)) if messaging is not None else None
            ),
        )
        by_phone = build_by_phone(
            settings,
            database=database,
            vault=vault,
            sessions=mobile.sessions,
            phones=phones,
            tokens=TokenClient(peer),
            has_network=messaging is not None,
        )
        server = build(
            settings,
            database=database,
            vault=vault,
            backend=backend,
            identity=identity,
            mobile=mobile.servicer,
            by_phone=by_phone.servicers,
            tokens=TokenVerifier(lambda: fetch_key_set(channel)),
            confirmations=confirmations_by(peer, is_signed_by_certificate, system_clock),
            page_secret=read_secret(settings.credential_file()),
        )
        server.listen(settings.listen)

        async def announce() -> None:
            await announce_all(database, identity.announce_keys)

        async with in_background(
            follow_readiness(server.health, stores=[database.check]),
            every(HOUSEKEEPING_SECONDS, idempotency.purge_expired, name="purging old requests"),
            until_done(
                announce, name="announcing managed keys", retry_seconds=ANNOUNCE_RETRY_SECONDS
            ),
            *(
                every(each.seconds, each.work, name=each.name)
                for each in (*mobile.rounds, *by_phone.rounds)
            ),
            *([mobile.sending.run()] if mobile.sending is not None else []),
        ):
            await wait_for(stop, server)
    finally:
        if messaging is not None:
            await messaging.close()
        await channel.close()
        await database.close()


def main() -> None:
    """Serve with the environment's settings until SIGTERM."""
    settings = SigningSettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, partial(serve, settings))


if __name__ == "__main__":
    main()
