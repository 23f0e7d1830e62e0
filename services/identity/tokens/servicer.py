"""TokenService: challenges, tokens, and the keys that tokens are checked with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from google.api import httpbody_pb2
from google.protobuf import duration_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.common.v1 import access_pb2
from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.identity.v1 import tokens_pb2 as pb
from services.identity import store
from services.identity.certificates.managed_keys import key_fingerprint
from services.identity.certificates.rules import (
    CERTIFICATE_LIMIT_BYTES,
    StoredCertificate,
    fingerprint_of,
)
from services.identity.subjects.servicer import check_subject_name
from services.identity.tokens.challenges import TOKEN_LIFETIME, Challenges, Grant, encode, grant
from services.identity.tokens.keys import TokenKeys
from services.identity.validation.interface import OutsideAuthorities
from services.runtime.clock import Clock, Randomness, to_timestamp, uuid7
from services.runtime.errors import Unauthenticated
from services.runtime.server import Call
from services.runtime.storage.database import Database
from signatures.keys import MalformedKey, UnsupportedKey, certificate_spki

# Whether a signature (certificate, algorithm, message, signature) holds.
Verify = Callable[[bytes, int, bytes, bytes], bool]


class TokenService:
    """Signing in with a certificate."""

    def __init__(
        self,
        *,
        database: Database,
        challenges: Challenges,
        keys: TokenKeys,
        outside: OutsideAuthorities,
        verify: Verify,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._keys = keys
        self._outside = outside
        self._verify = verify
        self._clock = clock
        self._randomness = randomness

    async def CreateChallenge(
        self,
        request: pb.CreateChallengeRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.Challenge:
        if request.organization:
            check_subject_name(request.organization, "organization")
        challenge, expire_time = self._challenges.create(request.organization, self._clock())
        return pb.Challenge(challenge=challenge, expire_time=to_timestamp(expire_time))

    async def ExchangeToken(self, request: pb.ExchangeTokenRequest, call: Call) -> pb.Token:  # noqa: ARG002
        now = self._clock()
        challenge = self._challenges.check(request.challenge, now)
        holds = len(request.certificate) <= CERTIFICATE_LIMIT_BYTES and await asyncio.to_thread(
            self._verify,
            request.certificate,
            int(request.algorithm),
            request.challenge,
            request.signature,
        )
        if not holds:
            raise Unauthenticated("the signature does not hold")
        certificate = await self._certificate(request.certificate)

        async def work(connection: AsyncConnection) -> Grant:
            try:
                await store.use_challenge(
                    connection, challenge.digest, expire_time=challenge.expire_time, now=now
                )
            except store.Taken:
                raise Unauthenticated("the challenge was used") from None
            platform = await store.get_fact(connection, store.PLATFORM) or ""
            holder = await store.get_subject(connection, certificate.subject)
            pairs = [
                (organization, certificate.subject)
                for organization in {platform, challenge.organization} - {""}
            ]
            found = await store.get_memberships(connection, pairs)
            return grant(
                certificate=certificate,
                holder=holder,
                organization=challenge.organization,
                memberships={membership.organization: membership for membership in found.values()},
                platform=platform,
            )

        granted = await self._database.run(work)
        key = self._keys.signing(now)
        token = encode(
            granted,
            key=key.key,
            kid=key.kid,
            token_id=str(uuid7(now, self._randomness)),
            now=now,
        )
        return pb.Token(
            access_token=token,
            expires_in=duration_pb2.Duration(seconds=int(TOKEN_LIFETIME.total_seconds())),
            subject=granted.subject,
            organization=granted.organization,
            roles=[access_pb2.Role.Name(role) for role in granted.roles],
        )

    async def _certificate(self, der: bytes) -> StoredCertificate:
        """The certificate, where it binds a subject to a key of their own and holds now.
        Raises Unauthenticated."""
        now = self._clock()
        fingerprint = fingerprint_of(der)
        refusal = Unauthenticated("the certificate does not hold")
        try:
            key = key_fingerprint(certificate_spki(der))
        except (MalformedKey, UnsupportedKey):
            raise refusal from None
        async with self._database.reading() as connection:
            found = (await store.get_certificates(connection, [fingerprint])).get(fingerprint)
            # Whoever may sign digests with it could sign this challenge's.
            held = await store.is_held(connection, key)
        if found is None or held or found.revoked_at(now):
            raise refusal
        if not found.not_before <= now <= found.not_after:
            raise refusal
        if not found.own:
            judged = await self._outside.judge(der, [], at=now)
            if judged.status not in (
                Status.CERTIFICATE_STATUS_GOOD,
                # An authentication certificate is what signs in.
                Status.CERTIFICATE_STATUS_WRONG_USAGE,
            ):
                raise refusal
        return found

    async def GetKeySet(
        self,
        request: pb.GetKeySetRequest,  # noqa: ARG002
        call: Call,
    ) -> httpbody_pb2.HttpBody:
        call.set_header("cache-control", "public, max-age=60")
        return httpbody_pb2.HttpBody(
            content_type="application/json", data=json.dumps(self._keys.key_set()).encode()
        )
