"""A channel to the suite that signs in by itself, renews its token, and retries what may be.

Signing in is the contract's: the holder of a certificate signs a fresh challenge
and gets a token of some minutes. The token is renewed ahead of its end, so that
no call waits for it while an old one still serves. A call is repeated where the
gateway could not be reached only if a second time does no more than the first:
methods that only read, and requests that bear a request_id.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import namedtuple
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import grpc.aio

from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import tokens_pb2, tokens_pb2_grpc

# The contract's bound on a message, and room for what wraps it.
MESSAGE_LIMIT_BYTES = 20 * 1024 * 1024 + 64 * 1024
# Signing in takes two calls of milliseconds; more than this and the suite is not well.
SIGN_IN_TIMEOUT_SECONDS = 10.0
# A token lives ten minutes; one with less than this left is renewed.
RENEW_AHEAD_SECONDS = 60.0
ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.1
# Calls to these carry no token: sign-in itself, health and reflection.
TOKENLESS = ("/qagazsyz.identity.v1.TokenService/", "/grpc.")
# Methods that change nothing, by the first word of their name (AIP-130).
READING_VERBS = ("Get", "List", "Resolve", "Check", "Inspect", "Verify")

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
)

TraceHeaders = Callable[[], Mapping[str, str]]
Stub = TypeVar("Stub")


def no_trace() -> Mapping[str, str]:
    """The headers of a caller that traces nothing."""
    return {}


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token and when it ends, by time.monotonic()."""

    token: tokens_pb2.Token
    ends_at: float

    def lasts(self, seconds: float) -> bool:
        return self.ends_at - time.monotonic() > seconds


def answer_challenge(
    credential: Credential, challenge: tokens_pb2.Challenge
) -> tokens_pb2.ExchangeTokenRequest:
    """The request that exchanges a challenge for a token."""
    algorithm, signature = credential.sign(challenge.challenge)
    return tokens_pb2.ExchangeTokenRequest(
        challenge=challenge.challenge,
        certificate=credential.certificate,
        algorithm=algorithm,
        signature=signature,
    )


def _held(token: tokens_pb2.Token) -> HeldToken:
    return HeldToken(token, time.monotonic() + token.expires_in.ToTimedelta().total_seconds())


class TokenSource:
    """The current token of one credential, for coroutines of one event loop."""

    def __init__(
        self,
        tokens: tokens_pb2_grpc.TokenServiceAsyncStub,
        credential: Credential,
        organization: str = "",
    ) -> None:
        self._tokens = tokens
        self._credential = credential
        self._organization = organization
        self._held: HeldToken | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> tokens_pb2.Token:
        """A token that still lasts. Raises grpc.RpcError where signing in fails."""
        held = self._held
        if held is not None and held.lasts(RENEW_AHEAD_SECONDS):
            return held.token
        if held is not None and held.lasts(SIGN_IN_TIMEOUT_SECONDS) and self._lock.locked():
            return held.token  # somebody is renewing it; this one serves meanwhile
        async with self._lock:
            held = self._held
            if held is None or not held.lasts(RENEW_AHEAD_SECONDS):
                try:
                    held = self._held = _held(await self._sign_in())
                except grpc.RpcError:
                    if held is None or not held.lasts(0):
                        raise
            return held.token

    def forget(self, access_token: str) -> None:
        """Has the next call sign in anew, after this token was refused."""
        if self._held is not None and self._held.token.access_token == access_token:
            self._held = None

    async def _sign_in(self) -> tokens_pb2.Token:
        challenge = await self._tokens.CreateChallenge(
            tokens_pb2.CreateChallengeRequest(organization=self._organization),
            timeout=SIGN_IN_TIMEOUT_SECONDS,
        )
        return await self._tokens.ExchangeToken(
            answer_challenge(self._credential, challenge), timeout=SIGN_IN_TIMEOUT_SECONDS
        )


class Client:
    """An asyncio channel to the suite, signed in as the credential's holder.

    The address is "host:port" or "http://host:port" for cleartext, "https://host:port"
    for TLS with the system's roots. With an organization the caller acts as its officer.
    Without a credential only open methods answer.
    """

    def __init__(
        self,
        address: str,
        credential: Credential | None = None,
        *,
        organization: str = "",
        trace_headers: TraceHeaders = no_trace,
    ) -> None:
        target, secure = target_of(address)
        attach = _Attach(self._authorization, self._forget, trace_headers)
        interceptors = [
            _UnaryUnary(attach),
            _UnaryStream(attach),
            _StreamUnary(attach),
            _StreamStream(attach),
        ]
        self.channel = (
            grpc.aio.secure_channel(
                target, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS, interceptors=interceptors
            )
            if secure
            else grpc.aio.insecure_channel(target, CHANNEL_OPTIONS, interceptors=interceptors)
        )
        self._source: TokenSource | None = None
        if credential is not None:
            tokens: Any = tokens_pb2_grpc.TokenServiceStub(self.channel)
            self._source = TokenSource(tokens, credential, organization)

    async def token(self) -> tokens_pb2.Token:
        """The token that calls are made with: whose it is, for whom, with which roles."""
        if self._source is None:
            raise ValueError("this client has no credential to sign in with")
        return await self._source.token()

    async def _authorization(self) -> str:
        return (await self._source.token()).access_token if self._source is not None else ""

    def _forget(self, access_token: str) -> None:
        if self._source is not None:
            self._source.forget(access_token)

    async def close(self) -> None:
        await self.channel.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()


def connect(
    address: str,
    credential: Credential | None = None,
    *,
    organization: str = "",
    trace_headers: TraceHeaders = no_trace,
) -> grpc.Channel:
    """The same channel for code without asyncio; close it, or use it in a with statement."""
    target, secure = target_of(address)
    bare = (
        grpc.secure_channel(target, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS)
        if secure
        else grpc.insecure_channel(target, CHANNEL_OPTIONS)
    )
    return grpc.intercept_channel(bare, _Blocking(bare, credential, organization, trace_headers))


def target_of(address: str) -> tuple[str, bool]:
    """gRPC's target for an address, and whether it is to be spoken to over TLS."""
    if address.startswith("https://"):
        return address.removeprefix("https://").rstrip("/"), True
    return address.removeprefix("http://").rstrip("/"), False


def may_repeat(method: str, request: object) -> bool:
    """Whether calling it a second time does no more than calling it once."""
    verb = method.rpartition("/")[2].removeprefix("Batch")
    return (
        verb.startswith(READING_VERBS)
        or verb == "CreateChallenge"
        or bool(getattr(request, "request_id", ""))
    )


def _pause(attempt: int) -> float:
    """Seconds before the next attempt: doubled each time, and spread by half."""
    return float(FIRST_PAUSE_SECONDS * 2**attempt * (0.5 + random.random()))  # noqa: S311


class _Details(
    namedtuple("_Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready")),
    grpc.ClientCallDetails,
):
    """Call details with other metadata and what is left of the time."""

    compression = None


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method


class _Attach:
    """Puts the token and the trace on a call's details."""

    def __init__(
        self,
        authorization: Callable[[], Awaitable[str]],
        forget: Callable[[str], None],
        trace_headers: TraceHeaders,
    ) -> None:
        self._authorization = authorization
        self.forget = forget
        self._trace_headers = trace_headers

    async def __call__(self, details: Any, ends_at: float | None = None) -> tuple[Any, str]:
        """The details to call with, and the token in them."""
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        for name, value in self._trace_headers().items():
            metadata.add(name, value)
        token = ""
        if not _text(details.method).startswith(TOKENLESS):
            token = await self._authorization()
            if token:
                metadata.add("authorization", f"Bearer {token}")
        timeout = details.timeout if ends_at is None else max(ends_at - time.monotonic(), 0.0)
        return details._replace(metadata=metadata, timeout=timeout), token


@dataclass(frozen=True, slots=True)
class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    attach: _Attach

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        timeout = client_call_details.timeout
        ends_at = None if timeout is None else time.monotonic() + timeout
        renewed = False
        for attempt in range(ATTEMPTS):
            details, token = await self.attach(client_call_details, ends_at)
            call = await continuation(details, request)
            code = await call.code()
            if code is grpc.StatusCode.UNAUTHENTICATED and token and not renewed:
                renewed = True
                self.attach.forget(token)
                continue
            last = attempt + 1 == ATTEMPTS
            repeat = may_repeat(_text(details.method), request)
            if code is not grpc.StatusCode.UNAVAILABLE or last or not repeat:
                break
            await asyncio.sleep(_pause(attempt))
        return call


@dataclass(frozen=True, slots=True)
class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    attach: _Attach

    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        details, _ = await self.attach(client_call_details)
        return await continuation(details, request)


@dataclass(frozen=True, slots=True)
class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    attach: _Attach

    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        details, _ = await self.attach(client_call_details)
        return await continuation(details, request_iterator)


@dataclass(frozen=True, slots=True)
class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    attach: _Attach

    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        details, _ = await self.attach(client_call_details)
        return await continuation(details, request_iterator)


class _Blocking(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Token, trace and retries for a channel without asyncio."""

    def __init__(
        self,
        bare: grpc.Channel,
        credential: Credential | None,
        organization: str,
        trace_headers: TraceHeaders,
    ) -> None:
        self._tokens = tokens_pb2_grpc.TokenServiceStub(bare)
        self._credential = credential
        self._organization = organization
        self._trace_headers = trace_headers
        self._held: HeldToken | None = None
        self._lock = threading.Lock()

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        renewed = False
        for attempt in range(ATTEMPTS):
            details, token = self._attach(client_call_details)
            call = continuation(details, request)
            code = call.code()
            if code is grpc.StatusCode.UNAUTHENTICATED and token and not renewed:
                renewed = True
                self._held = None
                continue
            last = attempt + 1 == ATTEMPTS
            repeat = may_repeat(_text(details.method), request)
            if code is not grpc.StatusCode.UNAVAILABLE or last or not repeat:
                break
            time.sleep(_pause(attempt))
        return call

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return continuation(self._attach(client_call_details)[0], request)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._attach(client_call_details)[0], request_iterator)

    def _attach(self, details: Any) -> tuple[Any, str]:
        metadata = [*(details.metadata or ()), *self._trace_headers().items()]
        token = ""
        if self._credential is not None and not _text(details.method).startswith(TOKENLESS):
            token = self._token(self._credential)
            metadata.append(("authorization", f"Bearer {token}"))
        wait = getattr(details, "wait_for_ready", None)
        return _Details(details.method, details.timeout, metadata, details.credentials, wait), token

    def _token(self, credential: Credential) -> str:
        with self._lock:
            if self._held is None or not self._held.lasts(RENEW_AHEAD_SECONDS):
                challenge = self._tokens.CreateChallenge(
                    tokens_pb2.CreateChallengeRequest(organization=self._organization),
                    timeout=SIGN_IN_TIMEOUT_SECONDS,
                )
                self._held = _held(
                    self._tokens.ExchangeToken(
                        answer_challenge(credential, challenge), timeout=SIGN_IN_TIMEOUT_SECONDS
                    )
                )
            return self._held.token.access_token
