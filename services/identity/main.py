"""The identity service's process: everything is put together here, by hand."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.authority.servicer import AuthorityService
from services.identity.authority.tsa import Stamper
from services.identity.certificates.rules import FRESH_FOR
from services.identity.certificates.servicer import CertificateService
from services.identity.seed import (
    SEED,
    import_seed,
    load_issuer,
    load_stamper,
    register_stamper,
)
from services.identity.settings import IdentitySettings
from services.identity.subjects.servicer import SubjectService
from services.identity.tables import requests
from services.identity.tokens.challenges import Challenges
from services.identity.tokens.keys import TokenKeys
from services.identity.tokens.servicer import TokenService
from services.identity.validation.interface import Judgement, OutsideAuthorities
from services.identity.validation.paths import Chain, Refused
from services.identity.validation.revocation import Finding
from services.identity.validation.safe_http import Fetcher, Guard
from services.identity.validation.trust_store import TRUST_FOLDER, TrustFolder
from services.identity.validation.validator import RENEWAL_SECONDS, Validator
from services.identity.x509.issuing import UNREADABLE, Issuer
from services.runtime import process
from services.runtime.access import TokenVerifier
from services.runtime.clock import Clock, Randomness, system_clock, system_randomness
from services.runtime.concurrency.housekeeping import every, in_background
from services.runtime.secret_files import read_secret
from services.runtime.server import Server, wait_for
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.runtime.storage.migrations import migrate
from signatures.algorithms import Verdict
from signatures.keys import MalformedKey, UnsupportedKey, certificate_spki, load_public_key
from signatures.portable import verify

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
PACKAGE = "qagazsyz.identity.v1"
HOUSEKEEPING_SECONDS = 3_600.0


class NobodyOutside:
    """Trusts no authority but the own one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def judge(self, der: bytes, chain: list[bytes], *, at: datetime) -> Judgement:  # noqa: ARG002
        try:
            await asyncio.to_thread(x509.load_der_x509_certificate, der)
        except UNREADABLE:
            status = Status.CERTIFICATE_STATUS_MALFORMED
        else:
            status = Status.CERTIFICATE_STATUS_UNTRUSTED
        return Judgement(status, self._clock() + FRESH_FOR)

    async def judge_many(
        self, certificates: Mapping[str, bytes], *, at: datetime
    ) -> dict[str, Judgement]:
        return {name: await self.judge(der, [], at=at) for name, der in certificates.items()}

    async def chain(self, der: bytes, chain: Sequence[bytes], *, at: datetime) -> Chain | Refused:  # noqa: ARG002
        return Refused(Status.CERTIFICATE_STATUS_UNTRUSTED, "nobody outside is trusted")

    async def revocation(self, chain: Chain) -> list[Finding | None]:  # noqa: ARG002
        return []


def build(
    *,
    database: Database,
    idempotency: IdempotencyStore,
    issuer: Issuer,
    root: x509.Certificate,
    stamper: Stamper,
    token_keys: TokenKeys,
    challenges: Challenges,
    outside: OutsideAuthorities,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
    concurrent_calls: int = 1_000,
) -> Server:
    """The server with its four servicers."""

    async def own_keys() -> Mapping[str, Any]:
        return token_keys.key_set()

    return Server(
        {
            f"{PACKAGE}.SubjectService": SubjectService(database, idempotency, clock, randomness),
            f"{PACKAGE}.CertificateService": CertificateService(
                database=database,
                idempotency=idempotency,
                issuer=issuer,
                outside=outside,
                clock=clock,
                randomness=randomness,
            ),
            f"{PACKAGE}.AuthorityService": AuthorityService(
                database=database,
                issuer=issuer,
                root=root,
                stamper=stamper,
                clock=clock,
                randomness=randomness,
            ),
            f"{PACKAGE}.TokenService": TokenService(
                database=database,
                challenges=challenges,
                keys=token_keys,
                outside=outside,
                verify=signature_holds,
                clock=clock,
                randomness=randomness,
            ),
        },
        TokenVerifier(own_keys, now=lambda: clock().timestamp()),
        concurrent_calls=concurrent_calls,
    )


def signature_holds(certificate: bytes, algorithm: int, message: bytes, signature: bytes) -> bool:
    """Whether the certificate's key made the signature over the message."""
    try:
        key = load_public_key(certificate_spki(certificate))
    except (MalformedKey, UnsupportedKey):
        return False
    verdict = verify(key, algorithm, message=message, digest=None, signature=signature)
    return verdict == Verdict.VALID


async def serve(settings: IdentitySettings, stop: asyncio.Event) -> None:
    """Serves until stop is set."""
    folder = settings.folder
    clock, randomness = system_clock, system_randomness
    challenge_key = read_secret(folder / "challenge.key")
    issuer = load_issuer(folder, "authority")
    stamper = load_stamper(folder, issuer, now=clock(), randomness=randomness)
    guard = Guard.of(_listed(settings.revocation_hosts), _listed(settings.revocation_networks))
    fetcher = Fetcher(guard)
    validator = Validator(
        folder=TrustFolder(settings.trust_folder or folder / TRUST_FOLDER),
        fetch=fetcher,
        clock=clock,
        randomness=randomness,
        policies=frozenset(_listed(settings.certificate_policies)),
    )
    database = Database(settings.database())
    idempotency = IdempotencyStore(requests, database, clock)
    try:
        await migrate(database, MIGRATIONS)
        await import_seed(database, json.loads((folder / SEED).read_bytes()))
        await register_stamper(database, stamper.certificate, clock())
        server = build(
            database=database,
            idempotency=idempotency,
            issuer=issuer,
            root=x509.load_pem_x509_certificate((folder / "root.pem").read_bytes()),
            stamper=Stamper.of(stamper, issuer, settings.time_stamp_policy),
            token_keys=TokenKeys(folder / "token-keys"),
            challenges=Challenges(challenge_key, settings.platform_name, randomness),
            outside=validator,
            concurrent_calls=settings.concurrent_calls,
        )
        server.listen(settings.listen)
        log.info("identity takes calls")
        async with in_background(
            every(HOUSEKEEPING_SECONDS, idempotency.purge_expired, name="purging old requests"),
            every(RENEWAL_SECONDS, validator.renew, name="renewing revocation lists"),
        ):
            await wait_for(stop, server)
    finally:
        await fetcher.close()
        validator.close()
        await database.close()


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def main() -> None:
    """Serves as the environment says, until SIGTERM."""
    settings = IdentitySettings()  # type: ignore[call-arg]  # from the environment
    process.run(settings, partial(serve, settings))
