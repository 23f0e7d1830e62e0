"""The identity service's process, wired by hand."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from grpc_health.v1 import health_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.authority.key_files import (
    ISSUING,
    ROOT,
    load_authority,
    load_certificate,
    load_time_stamper,
)
from services.identity.authority.servicer import AuthorityServicer
from services.identity.authority.tsa import TimeStampAuthority
from services.identity.certificates.certification import find_provenance
from services.identity.certificates.servicer import CertificateServicer
from services.identity.events.log_watch import WATCH_SECONDS, LogWatch
from services.identity.events.recorder import EventRecorder
from services.identity.events.servicer import IdentityEventServicer
from services.identity.phones.ending import TIDY_SECONDS, PhoneEnding
from services.identity.phones.erasing import ERASE_SECONDS, NumberErasing
from services.identity.phones.numbers import NUMBER_KEY, NumberVault, load_number_vault
from services.identity.phones.servicer import PhoneServicer
from services.identity.phones.store import keep_key_id
from services.identity.phones.unseen import UNSEEN_SECONDS, UnseenPhones
from services.identity.seed import SEED, import_seed, register_time_stamper
from services.identity.settings import IdentitySettings
from services.identity.subjects.membership_changes import MembershipChanges
from services.identity.subjects.servicer import SubjectServicer
from services.identity.tables import requests
from services.identity.tokens.act_challenges import ActChallenges
from services.identity.tokens.challenges import CHALLENGE_KEY, Challenges
from services.identity.tokens.keys import TOKEN_KEYS_FOLDER, TokenKeys
from services.identity.tokens.servicer import TokenServicer
from services.identity.validation.interface import ExternalValidator
from services.identity.validation.path_engine import PolicyInputs
from services.identity.validation.safe_http import AddressPolicy, Fetcher
from services.identity.validation.trust_store import TRUST_FOLDER, TrustFolder
from services.identity.validation.validator import RENEWAL_SECONDS, Validator
from services.identity.x509.issuing import CertificateAuthority
from services.runtime import process
from services.runtime.access import TokenVerifier
from services.runtime.acts.confirmations import Confirmations
from services.runtime.clock import Clock, Randomness, system_clock, system_randomness
from services.runtime.concurrency.housekeeping import every, in_background
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Server, wait_for
from services.runtime.settings import BYTES_IN_FLIGHT
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.runtime.storage.migrations import migrate
from services.runtime.storage.readiness import follow_readiness
from signatures.x509 import is_signed_by_certificate

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
PACKAGE = "qagazsyz.identity.v1"
HOUSEKEEPING_SECONDS = 3_600.0
# Health's name for the trust folder: NOT_SERVING while a file in it cannot be used.
TRUST_HEALTH = "trust-folder"
TRUST_SECONDS = 5.0


def build(
    *,
    database: Database,
    idempotency: IdempotencyStore,
    authority: CertificateAuthority,
    root: x509.Certificate,
    time_stamps: TimeStampAuthority,
    token_keys: TokenKeys,
    challenges: Challenges,
    external: ExternalValidator,
    numbers: NumberVault,
    page_secret: bytes,
    confirmations: Confirmations | None = None,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
    membership_delay_seconds: int = 86_400,
    sim_swap_reporters: Collection[str] = (),
    concurrent_calls: int = 1_000,
    bytes_in_flight: int = BYTES_IN_FLIGHT,
) -> Server:
    """Return the server with its six servicers.

    confirmations: how acts are confirmed; by the callers' own certificates if unset.
    """

    async def own_keys() -> Mapping[str, Any]:
        return token_keys.key_set()

    acts = ActChallenges(database=database, challenges=challenges, clock=clock)
    events = EventRecorder(clock, randomness)
    changes = MembershipChanges(
        events=events,
        find_certificate=find_provenance,
        clock=clock,
        delay=timedelta(seconds=membership_delay_seconds),
    )
    return Server(
        {
            f"{PACKAGE}.SubjectService": SubjectServicer(
                database=database,
                idempotency=idempotency,
                changes=changes,
                clock=clock,
                randomness=randomness,
            ),
            f"{PACKAGE}.CertificateService": CertificateServicer(
                database=database,
                idempotency=idempotency,
                authority=authority,
                external=external,
                events=events,
                clock=clock,
                randomness=randomness,
            ),
            f"{PACKAGE}.AuthorityService": AuthorityServicer(
                database=database,
                authority=authority,
                root=root,
                time_stamps=time_stamps,
                clock=clock,
                randomness=randomness,
            ),
            f"{PACKAGE}.TokenService": TokenServicer(
                database=database,
                challenges=challenges,
                acts=acts,
                keys=token_keys,
                external=external,
                clock=clock,
                randomness=randomness,
            ),
            f"{PACKAGE}.PhoneService": PhoneServicer(
                database=database,
                idempotency=idempotency,
                authority=authority,
                events=events,
                ending=PhoneEnding(database=database, events=events, clock=clock),
                numbers=numbers,
                platform=challenges.platform,
                swap_reporters=sim_swap_reporters,
                clock=clock,
                randomness=randomness,
            ),
            f"{PACKAGE}.IdentityEventService": IdentityEventServicer(database=database),
        },
        TokenVerifier(own_keys, now=lambda: clock().timestamp()),
        page_secret=page_secret,
        confirmations=confirmations
        or Confirmations(
            acts.find_certificate, is_signed_by_certificate, acts.use, acts.find_signature
        ),
        concurrent_calls=concurrent_calls,
        bytes_in_flight=bytes_in_flight,
    )


async def serve(settings: IdentitySettings, stop: asyncio.Event) -> None:
    """Serve until stop is set. Raises CannotStart for a secret that is missing or not private."""
    folder = settings.folder
    clock, randomness = system_clock, system_randomness
    challenge_key = read_secret(folder / CHALLENGE_KEY)
    authority = load_authority(folder, ISSUING)
    root = load_certificate(folder, ROOT)
    time_stamper = load_time_stamper(folder, authority, now=clock(), randomness=randomness)
    numbers = load_number_vault(folder, randomness)
    fetcher = Fetcher(
        AddressPolicy.of(_listed(settings.revocation_hosts), _listed(settings.revocation_networks))
    )
    validator = Validator(
        folder=TrustFolder(settings.trust_folder or folder / TRUST_FOLDER),
        fetch=fetcher,
        clock=clock,
        randomness=randomness,
        policies=PolicyInputs.requiring(
            frozenset(_listed(settings.certificate_policies)),
            inhibit_mapping=settings.inhibit_policy_mapping,
            inhibit_any=settings.inhibit_any_policy,
        ),
        grace=timedelta(seconds=settings.revocation_grace_seconds),
        made_ahead=frozenset(host.lower() for host in _listed(settings.ocsp_made_ahead)),
    )
    database = Database(settings.database())
    idempotency = IdempotencyStore(requests, database, clock)
    try:
        await migrate(database, MIGRATIONS)
        events = EventRecorder(clock, randomness)
        await import_seed(database, json.loads((folder / SEED).read_bytes()), events)
        await register_time_stamper(database, time_stamper.certificate, events, clock())
        await _check_number_key(database, numbers, folder)
        server = build(
            database=database,
            idempotency=idempotency,
            authority=authority,
            root=root,
            time_stamps=TimeStampAuthority.of(time_stamper, authority, settings.time_stamp_policy),
            token_keys=TokenKeys(folder / TOKEN_KEYS_FOLDER),
            challenges=Challenges(challenge_key, settings.platform_name, randomness),
            external=validator,
            numbers=numbers,
            page_secret=challenge_key,
            membership_delay_seconds=settings.membership_delay_seconds,
            sim_swap_reporters=frozenset(_listed(settings.sim_swap_reporters)),
            concurrent_calls=settings.concurrent_calls,
            bytes_in_flight=settings.bytes_in_flight,
        )
        server.listen(settings.listen)
        watch = LogWatch(database=database, clock=clock)
        ending = PhoneEnding(database=database, events=events, clock=clock)
        erasing = NumberErasing(
            database=database,
            kept=timedelta(days=settings.phone_numbers_kept_days),
            clock=clock,
        )
        unseen = UnseenPhones(
            database=database,
            after=timedelta(days=settings.phone_unseen_days),
            platform=settings.platform_name,
            clock=clock,
            randomness=randomness,
        )

        async def report_trust() -> None:
            usable = not await validator.find_unusable_files()
            status = health_pb2.HealthCheckResponse
            await server.health.set(TRUST_HEALTH, status.SERVING if usable else status.NOT_SERVING)

        log.info("identity takes calls")
        async with in_background(
            follow_readiness(server.health, stores=[database.check]),
            every(HOUSEKEEPING_SECONDS, idempotency.purge_expired, name="purging old requests"),
            every(RENEWAL_SECONDS, validator.renew, name="renewing revocation lists"),
            every(TRUST_SECONDS, report_trust, name="looking at the trust folder"),
            every(WATCH_SECONDS, watch.check, name="watching the transparency log"),
            every(TIDY_SECONDS, ending.tidy, name="ending phones whose certificate has ended"),
            every(UNSEEN_SECONDS, unseen.find, name="finding phones that were not seen for long"),
            every(ERASE_SECONDS, erasing.erase, name="erasing numbers of phones that ended"),
        ):
            await wait_for(stop, server)
    finally:
        await fetcher.close()
        validator.close()
        await database.close()


async def _check_number_key(database: Database, numbers: NumberVault, folder: Path) -> None:
    """Raise SecretRefused for another key than that which numbers are stored with: with it no phone
    is found, and no report of a swap ends one."""

    async def work(connection: AsyncConnection) -> str:
        return await keep_key_id(connection, numbers.key_id)

    if await database.run(work) != numbers.key_id:
        path = folder / NUMBER_KEY
        raise SecretRefused(f"{path} is not the key that the database's numbers are stored with")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def main() -> None:
    """Serve with the settings of the environment, until SIGTERM."""
    settings = IdentitySettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, partial(serve, settings))
