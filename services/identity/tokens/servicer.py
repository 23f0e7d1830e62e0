"""TokenService: challenges, tokens, and the public keys of tokens, RPC in, RPC out."""

from __future__ import annotations

import json

from google.api import httpbody_pb2
from google.protobuf import duration_pb2

from qagazsyz.common.v1 import access_pb2, signatures_pb2
from qagazsyz.identity.v1 import tokens_pb2 as pb
from services.identity.subjects.rules import check_subject_name
from services.identity.tokens.access_tokens import TOKEN_LIFETIME, sign_token
from services.identity.tokens.act_challenges import ActChallenges
from services.identity.tokens.challenges import Challenges
from services.identity.tokens.keys import TokenKeys
from services.identity.tokens.requests import to_mobile_signature
from services.identity.tokens.sign_in import SignedChallenge, SignIn
from services.identity.validation.interface import ExternalValidator
from services.runtime.clock import Clock, Randomness, to_timestamp, uuid7
from services.runtime.errors import FailedPrecondition, NotFound
from services.runtime.server import Call
from services.runtime.storage.database import Database


class TokenServicer:
    """Signing in with a certificate."""

    def __init__(
        self,
        *,
        database: Database,
        challenges: Challenges,
        acts: ActChallenges,
        keys: TokenKeys,
        external: ExternalValidator,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._challenges = challenges
        self._acts = acts
        self._keys = keys
        self._clock = clock
        self._randomness = randomness
        self._sign_in = SignIn(
            database=database, challenges=challenges, external=external, clock=clock
        )

    async def CreateChallenge(
        self, request: pb.CreateChallengeRequest, _call: Call
    ) -> pb.Challenge:
        if request.organization:
            check_subject_name(request.organization, "organization")
        challenge, expire_time = self._challenges.create(request.organization, self._clock())
        return pb.Challenge(challenge=challenge, expire_time=to_timestamp(expire_time))

    async def ExchangeToken(self, request: pb.ExchangeTokenRequest, _call: Call) -> pb.Token:
        granted = await self._sign_in.exchange(
            SignedChallenge(
                challenge=request.challenge,
                certificate=request.certificate,
                algorithm=int(request.algorithm),
                signature=request.signature,
            )
        )
        now = self._clock()
        token = sign_token(
            granted,
            key=self._keys.signing(now),
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

    async def UseConfirmation(
        self, request: pb.UseConfirmationRequest, _call: Call
    ) -> pb.UseConfirmationResponse:
        if not await self._acts.use(request.challenge, request.act):
            raise _refused()
        return pb.UseConfirmationResponse()

    async def KeepMobileSignature(
        self, request: pb.KeepMobileSignatureRequest, _call: Call
    ) -> pb.KeepMobileSignatureResponse:
        kept = to_mobile_signature(request)
        if not await self._acts.use(request.challenge, request.act, kept):
            raise _refused()
        return pb.KeepMobileSignatureResponse()

    async def FindMobileSignature(
        self, request: pb.FindMobileSignatureRequest, _call: Call
    ) -> pb.FindMobileSignatureResponse:
        found = await self._acts.find_signature(request.name)
        if found is None:
            raise NotFound("no mobile signature of this name is kept")
        algorithm = signatures_pb2.SignatureAlgorithm.Name(found[0])
        return pb.FindMobileSignatureResponse(algorithm=algorithm, signature=found[1])

    async def GetKeySet(self, _request: pb.GetKeySetRequest, call: Call) -> httpbody_pb2.HttpBody:
        call.set_header("cache-control", "public, max-age=60")
        return httpbody_pb2.HttpBody(
            content_type="application/json", data=json.dumps(self._keys.key_set()).encode()
        )


def _refused() -> FailedPrecondition:
    return FailedPrecondition("CONFIRMATION_INVALID", "the challenge does not confirm this act")
