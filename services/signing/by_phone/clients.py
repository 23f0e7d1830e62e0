"""Identity's sign-in, as sign-ins and confirmations by phone ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import tokens_pb2
from services.runtime.clients import ServiceClient
from services.runtime.clock import from_timestamp
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)
from services.runtime.server import Call
from services.signing.mobile.rules import Session

R = TypeVar("R", bound=Message)
TOKENS = "qagazsyz.identity.v1.TokenService"
# Of every signature by a SIM.
ALGORITHM = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363


@dataclass(frozen=True, slots=True, repr=False)
class GrantedToken:
    """An access token, and whose it is."""

    access_token: str
    lifetime: timedelta
    subject: str


class TokenClient:
    """Calls identity. Every method raises Unavailable or DeadlineExceeded."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    async def create_challenge(self, organization: str, during: Call) -> tuple[bytes, datetime]:
        """Return a challenge to sign in for an organization, or "", and when it expires. Raises
        InvalidArgument for what is no subject's name."""
        request = tokens_pb2.CreateChallengeRequest(organization=organization)
        try:
            made = await self._call("CreateChallenge", request, tokens_pb2.Challenge, during)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise InvalidArgument("organization", "not a subject's name") from None
            raise _unanswered() from error
        return made.challenge, from_timestamp(made.expire_time)

    async def exchange(
        self, challenge: bytes, session: Session, during: Call
    ) -> GrantedToken | None:
        """Exchange what the SIM signed for a token, which identity does once; None if it refuses.
        Raises PermissionDenied if the person may not act for the challenge's organization."""
        request = tokens_pb2.ExchangeTokenRequest(
            challenge=challenge,
            certificate=session.certificate,
            algorithm=ALGORITHM,
            signature=session.signature,
        )
        try:
            token = await self._call("ExchangeToken", request, tokens_pb2.Token, during)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                return None
            if error.code() == grpc.StatusCode.PERMISSION_DENIED:
                raise PermissionDenied from None
            raise _unanswered() from error
        return GrantedToken(token.access_token, token.expires_in.ToTimedelta(), token.subject)

    async def keep_signature(self, challenge: bytes, session: Session, during: Call) -> None:
        """Have identity keep what the SIM signed for an act. Raises FailedPrecondition if the
        challenge confirms it no more."""
        request = tokens_pb2.KeepMobileSignatureRequest(
            name=session.name,
            challenge=challenge,
            act=session.digest,
            algorithm=ALGORITHM,
            signature=session.signature,
        )
        response = tokens_pb2.KeepMobileSignatureResponse
        try:
            await self._call("KeepMobileSignature", request, response, during)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                raise FailedPrecondition("CONFIRMATION_INVALID", "it was signed too late") from None
            raise _unanswered() from error

    async def _call(self, method: str, request: Message, response_type: type[R], during: Call) -> R:
        return await self._identity.call(f"{TOKENS}/{method}", request, response_type, during)


def _unanswered() -> Unavailable:
    return Unavailable("identity did not answer")
