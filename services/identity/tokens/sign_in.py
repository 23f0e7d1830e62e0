"""Signing in: a signed challenge and a certificate in, a grant out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.certificates.rules import StoredCertificate
from services.identity.certificates.store import get_certificates, is_managed
from services.identity.store import Taken
from services.identity.subjects.store import get_memberships, get_platform, get_subject
from services.identity.tokens.challenges import Challenge, Challenges
from services.identity.tokens.rules import Grant, grant
from services.identity.tokens.store import use_challenge
from services.identity.validation.interface import CertificateStatus, ExternalValidator
from services.identity.x509.inspection import fingerprint_of
from services.identity.x509.limits import CERTIFICATE_LIMIT_BYTES
from services.runtime.clock import Clock
from services.runtime.concurrency.worker_pool import SIGNATURES
from services.runtime.errors import Unauthenticated
from services.runtime.storage.database import Database
from signatures.keys import MalformedKey, UnsupportedKey, certificate_spki
from signatures.x509 import is_signed_by_certificate

# An authentication certificate is WRONG_USAGE for documents, and signs in.
_SIGNS_IN = frozenset({CertificateStatus.GOOD, CertificateStatus.WRONG_USAGE})


@dataclass(frozen=True, slots=True)
class SignedChallenge:
    """A challenge that a caller answers; algorithm is the contract's number."""

    challenge: bytes
    certificate: bytes
    algorithm: int
    signature: bytes


class SignIn:
    """Decides who signs in."""

    def __init__(
        self,
        *,
        database: Database,
        challenges: Challenges,
        external: ExternalValidator,
        clock: Clock,
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._external = external
        self._clock = clock

    async def exchange(self, signed: SignedChallenge) -> Grant:
        """Return the signer's grant, and mark the challenge as used. Raises Unauthenticated or
        PermissionDenied; the challenge stays unused then."""
        now = self._clock()
        challenge = self._challenges.check(signed.challenge, now)
        certificate = await self._find_signer(signed, now)

        async def work(connection: AsyncConnection) -> Grant:
            return await _use(connection, challenge, certificate, now)

        return await self._database.run(work)

    async def _find_signer(self, signed: SignedChallenge, now: datetime) -> StoredCertificate:
        """Return the certificate if it is registered, valid now, not over a managed key, and its
        key made the signature. Raises Unauthenticated, always in the same words.

        Each step costs more than those before it, since anybody may call: a certificate that is
        not registered costs one indexed read.
        """
        refusal = Unauthenticated("the certificate or the signature is not valid")
        if len(signed.certificate) > CERTIFICATE_LIMIT_BYTES:
            raise refusal
        fingerprint = fingerprint_of(signed.certificate)
        async with self._database.reading() as connection:
            found = (await get_certificates(connection, [fingerprint])).get(fingerprint)
        if found is None or not found.signs_in_at(now):
            raise refusal
        key = await SIGNATURES.run(_signing_key, found.der, signed)
        if key is None:
            raise refusal
        async with self._database.reading() as connection:
            # A caller who may have a managed key sign digests could have it sign this challenge's.
            if await is_managed(connection, key):
                raise refusal
        if not found.own:
            result = await self._external.validate(found.der, [], at=now)
            if result.status not in _SIGNS_IN:
                raise refusal
        return found


def _signing_key(certificate: bytes, signed: SignedChallenge) -> str | None:
    """Return the fingerprint of the certificate's key if it made the signature, else None."""
    if not is_signed_by_certificate(
        certificate, signed.algorithm, signed.challenge, signed.signature
    ):
        return None
    try:
        return key_fingerprint(certificate_spki(certificate))
    except (MalformedKey, UnsupportedKey):
        return None


async def _use(
    connection: AsyncConnection, challenge: Challenge, certificate: StoredCertificate, now: datetime
) -> Grant:
    """Raises Unauthenticated or PermissionDenied, which undo the transaction."""
    try:
        await use_challenge(
            connection, challenge.digest, expire_time=challenge.expire_time, now=now
        )
    except Taken:
        raise Unauthenticated("the challenge was used") from None
    platform = await get_platform(connection)
    holder = await get_subject(connection, certificate.subject)
    organizations = {platform, challenge.organization} - {""}
    found = await get_memberships(
        connection, [(organization, certificate.subject) for organization in organizations]
    )
    return grant(
        certificate=certificate,
        holder=holder,
        organization=challenge.organization,
        memberships={
            each.organization: each for each in found.values() if each.is_in_force_at(now)
        },
        platform=platform,
    )
