"""Call other services with this service's own token, a deadline, and the trace's headers.

A service signs in to identity with its credential, as every caller does, gets a token of the
internal audience, and renews it before it expires. The deadline of an outgoing call derives from
that of the call being answered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from qagazsyz.confirmations import HEADER as CONFIRMATION
from qagazsyz.confirmations import confirm, needs_confirmation
from qagazsyz.credentials import Credential, CredentialError
from qagazsyz.identity.v1 import tokens_pb2
from services.runtime import telemetry
from services.runtime.errors import DeadlineExceeded, Unavailable
from services.runtime.intake.message_bounds import MESSAGE_LIMIT_BYTES
from services.runtime.secret_files import SecretRefused, read_secret
from services.runtime.server import Call
from services.runtime.settings import CannotStart

R = TypeVar("R", bound=Message)

# An outgoing call ends this long before our own deadline, so that its error reaches our caller.
DEADLINE_MARGIN_SECONDS = 0.05
# If our caller set no deadline.
DEFAULT_TIMEOUT_SECONDS = 20.0
# How long before its end a token is renewed.
RENEW_AHEAD_SECONDS = 120.0

# Retries are safe because all calls between services are idempotent. A service that is being
# restarted is back within these five attempts.
RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)

# Where gRPC carries a google.rpc.Status.
STATUS_DETAILS = "grpc-status-details-bin"

TOKENS = "/qagazsyz.identity.v1.TokenService"


def open_channel(address: str) -> grpc.aio.Channel:
    """Open a channel to another service at "unix:/path" or "host:port"; several of one kind, by
    comma, take turns. Raises CannotStart if the address is empty."""
    if not address:
        raise CannotStart("the address of a service that it calls is not set")
    return grpc.aio.insecure_channel(
        _target(address),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
            ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.service_config", RETRIES),
            # Find a service again soon after it was restarted.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ],
    )


def _target(address: str) -> str:
    """Return gRPC's name for the address: it takes several after one scheme."""
    if "," not in address:
        return address
    if address.startswith("unix:"):
        return "unix:" + ",".join(one.strip().removeprefix("unix:") for one in address.split(","))
    return f"ipv4:{address}"


class InternalTokens:
    """Signs this service in, and caches its token until shortly before the token's end."""

    def __init__(self, identity: grpc.aio.Channel, credential: Credential) -> None:
        self._identity = identity
        self._credential = credential
        # Until the first sign-in, an empty one.
        self._token = tokens_pb2.Token()
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    @classmethod
    def load(cls, identity: grpc.aio.Channel, path: Path) -> InternalTokens:
        """Load the credential from a file (PEM of certificate and key). Raises SecretRefused."""
        try:
            return cls(identity, Credential.from_pem(read_secret(path)))
        except CredentialError as error:
            raise SecretRefused(f"{path}: {error}") from None

    async def get(self) -> str:
        """Return a token that lasts RENEW_AHEAD_SECONDS at least; concurrent callers share one
        sign-in. Raises Unavailable if identity cannot be reached or refuses."""
        if time.monotonic() >= self._renew_at:
            async with self._renewing:
                if time.monotonic() >= self._renew_at:
                    token = await self._sign_in()
                    lifetime = token.expires_in.ToTimedelta().total_seconds()
                    self._token = token
                    self._renew_at = time.monotonic() + lifetime - RENEW_AHEAD_SECONDS
        return self._token.access_token

    async def headers(self, path: str, request: Message) -> Mapping[str, str]:
        """Return what a call of "/package.Service/Method" carries: the token and, where the method
        asks for one, the confirmation by the credential that the token was got with. Raises
        Unavailable as get does."""
        headers = {"authorization": f"Bearer {await self.get()}"}
        # Before anything else is awaited, since another credential may come into use then.
        credential, subject = self._credential, self._token.subject
        if needs_confirmation(path, request):
            try:
                challenge = await self._create_challenge()
            except grpc.aio.AioRpcError as error:
                raise Unavailable("the call could not be confirmed") from error
            headers[CONFIRMATION] = confirm(
                credential,
                method=path,
                subject=subject,
                organization="",
                challenge=challenge,
                request=request,
            )
        return headers

    @property
    def credential(self) -> Credential:
        """The credential in use."""
        return self._credential

    async def use(self, credential: Credential) -> None:
        """Sign in with another credential from the next call on. Calls under way keep the token
        that they have."""
        async with self._renewing:
            self._credential, self._renew_at = credential, 0.0

    async def _create_challenge(self) -> bytes:
        created = await _invoke(
            self._identity,
            f"{TOKENS}/CreateChallenge",
            tokens_pb2.CreateChallengeRequest(),
            tokens_pb2.Challenge,
        )
        return created.challenge

    async def _sign_in(self) -> tokens_pb2.Token:
        try:
            challenge = await self._create_challenge()
            algorithm, signature = self._credential.sign(challenge)
            return await _invoke(
                self._identity,
                f"{TOKENS}/ExchangeToken",
                tokens_pb2.ExchangeTokenRequest(
                    challenge=challenge,
                    certificate=self._credential.certificate,
                    algorithm=cast("Any", algorithm),
                    signature=signature,
                ),
                tokens_pb2.Token,
            )
        except grpc.aio.AioRpcError as error:
            raise Unavailable("this service could not sign in") from error


class ServiceClient:
    """Calls the methods of one other service."""

    def __init__(self, channel: grpc.aio.Channel, tokens: InternalTokens) -> None:
        self._channel = channel
        self._tokens = tokens

    async def call(
        self, method: str, request: Message, response_type: type[R], during: Call | None = None
    ) -> R:
        """Call "package.Service/Method", confirmed where it has to be, and return the response.

        during: the call being answered, whose deadline less DEADLINE_MARGIN_SECONDS bounds this.
        Raises DeadlineExceeded, or Unavailable if the service cannot be reached, is overloaded, or
        cancelled the call. Any other status is a defect of one of our own services, and is raised
        as the grpc.aio.AioRpcError that it is.
        """
        timeout = DEFAULT_TIMEOUT_SECONDS
        remaining = during.time_remaining() if during is not None else None
        if remaining is not None:
            timeout = min(timeout, remaining - DEADLINE_MARGIN_SECONDS)
            if timeout <= 0:
                raise DeadlineExceeded("no time was left")
        with telemetry.client_span(method) as headers:
            own = await self._tokens.headers(f"/{method}", request)
            try:
                return await _invoke(
                    self._channel,
                    f"/{method}",
                    request,
                    response_type,
                    timeout=timeout,
                    headers={**headers, **own},
                )
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise DeadlineExceeded("a part of the platform took too long") from error
                if error.code() in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    grpc.StatusCode.CANCELLED,
                ):
                    raise Unavailable("a part of the platform cannot be reached") from error
                raise

    async def stream(
        self, method: str, requests: AsyncIterator[Message], response_type: type[R]
    ) -> AsyncIterator[R]:
        """Call "package.Service/Method", which streams both ways, and yield its responses.

        Raises Unavailable if this service cannot sign in, else the grpc.aio.AioRpcError that ended
        the stream.
        """
        call: Any = self._channel.stream_stream(
            f"/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        token = await self._tokens.get()
        responses = call(requests, metadata=(("authorization", f"Bearer {token}"),))
        try:
            async for response in responses:
                yield response
        finally:
            responses.cancel()


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of a refusal (google.rpc.ErrorInfo), "" without one."""
    info = error_details_pb2.ErrorInfo()
    return info.reason if _unpack(error, info) else ""


def retry_seconds_of(error: grpc.aio.AioRpcError) -> float:
    """Return after how many seconds a refused call may be made again (google.rpc.RetryInfo), 0 if
    the refusal does not say."""
    info = error_details_pb2.RetryInfo()
    return info.retry_delay.ToTimedelta().total_seconds() if _unpack(error, info) else 0.0


def _unpack(error: grpc.aio.AioRpcError, into: Message) -> bool:
    """Read a detail of a refusal; return False if it has none of the kind."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(into):
                    return True
    return False


async def fetch_key_set(identity: grpc.aio.Channel) -> Mapping[str, Any]:
    """Fetch identity's JSON Web Key Set (RFC 7517), for TokenVerifier. Raises Unavailable."""
    from google.api import httpbody_pb2

    try:
        body = await _invoke(
            identity,
            f"{TOKENS}/GetKeySet",
            tokens_pb2.GetKeySetRequest(),
            httpbody_pb2.HttpBody,
        )
    except grpc.aio.AioRpcError as error:
        raise Unavailable("the token keys cannot be fetched") from error
    keys: Mapping[str, Any] = json.loads(body.data)
    return keys


async def _invoke(
    channel: grpc.aio.Channel,
    path: str,
    request: Message,
    response_type: type[R],
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,  # noqa: ASYNC109 - it is gRPC's own deadline
    headers: Mapping[str, str] | None = None,
) -> R:
    method = channel.unary_unary(
        path,
        request_serializer=type(request).SerializeToString,
        response_deserializer=response_type.FromString,
    )
    response: R = await method(
        request,
        timeout=timeout,
        metadata=tuple((headers or {}).items()),
    )
    return response
