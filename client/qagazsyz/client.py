"""A channel that signs in, renews its token, confirms acts, and retries idempotent calls.

To sign in, the holder of a certificate signs a fresh challenge and gets a token of some minutes
(tokens.proto). The token is renewed before it expires, so that calls do not wait for it while the
old one is still valid.

A call of a method whose access rule has `confirm` carries the credential's own signature over it
(confirmations.py), or its phone's (phone.py), which its holder gives in their own time: it does not
count for the call's timeout.

A call that ends UNAVAILABLE is retried only if it is idempotent: methods that only read, requests
with a request_id, and confirmed acts. A call whose token is refused is retried once with a new
token.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from qagazsyz.confirmations import HEADER, confirm, needs_confirmation
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import tokens_pb2, tokens_pb2_grpc
from qagazsyz.phone import BlockingPhoneSource, PhoneCredential, PhoneSource

# The contract's limit of a message, and room for its envelope.
MESSAGE_LIMIT_BYTES = 20 * 1024 * 1024 + 64 * 1024
# Deadline of each of the two calls of a sign-in, which take milliseconds.
SIGN_IN_TIMEOUT_SECONDS = 10.0
# A token lives ten minutes; it is renewed once it has less than this left.
RENEW_AHEAD_SECONDS = 60.0
ATTEMPTS = 4
# A service that says when to come back (RetryInfo) is there, and waits for its database, say. With
# this many attempts a call outlasts a restart of that, which takes some three seconds.
ATTEMPTS_IF_TOLD = 7
# Longer pauses than this are not made, whatever the service says.
TOLD_LIMIT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
# Calls to these carry no token: those of the sign-in itself, health and reflection.
TOKENLESS = (
    "/qagazsyz.identity.v1.TokenService/CreateChallenge",
    "/qagazsyz.identity.v1.TokenService/ExchangeToken",
    "/grpc.",
)
# Where gRPC puts google.rpc.Status.
STATUS_DETAILS = "grpc-status-details-bin"
# Methods that change nothing, by the first word of their name (AIP-130).
READING_VERBS = ("Get", "List", "Resolve", "Check", "Inspect", "Verify")

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
)

TraceHeaders = Callable[[], Mapping[str, str]]
Stub = TypeVar("Stub")


def no_trace() -> Mapping[str, str]:
    """Return no headers: the default of a caller that does not trace."""
    return {}


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token and its end, by time.monotonic()."""

    token: tokens_pb2.Token
    ends_at: float

    @classmethod
    def of(cls, token: tokens_pb2.Token) -> CachedToken:
        """Cache a token that was issued just now."""
        return cls(token, time.monotonic() + token.expires_in.ToTimedelta().total_seconds())

    def lasts(self, seconds: float) -> bool:
        """Return whether the token is valid for more than so many seconds."""
        return self.ends_at - time.monotonic() > seconds


def answer_challenge(
    credential: Credential, challenge: tokens_pb2.Challenge
) -> tokens_pb2.ExchangeTokenRequest:
    """Sign a challenge; return the request that exchanges it for a token."""
    algorithm, signature = credential.sign(challenge.challenge)
    return tokens_pb2.ExchangeTokenRequest(
        challenge=challenge.challenge,
        certificate=credential.certificate,
        algorithm=algorithm,
        signature=signature,
    )


def confirm_call(
    credential: Credential,
    token: tokens_pb2.Token,
    challenge: tokens_pb2.Challenge,
    method: str,
    request: Message,
) -> str:
    """Return the header that confirms a call by the token's holder; "" for a request that has no
    JSON form, which the service refuses by its field."""
    try:
        return confirm(
            credential,
            method=method,
            subject=token.subject,
            organization=token.organization,
            challenge=challenge.challenge,
            request=request,
        )
    except ValueError:
        return ""


class TokenSource:
    """Signs in and caches the token of one credential, for the coroutines of one event loop."""

    def __init__(
        self,
        tokens: tokens_pb2_grpc.TokenServiceAsyncStub,
        credential: Credential,
        organization: str = "",
    ) -> None:
        self._tokens = tokens
        self._credential = credential
        self._organization = organization
        self._cached: CachedToken | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> tokens_pb2.Token:
        """Return a valid token. Raises grpc.RpcError if signing in fails."""
        cached = self._cached
        if cached is not None and cached.lasts(RENEW_AHEAD_SECONDS):
            return cached.token
        if cached is not None and cached.lasts(SIGN_IN_TIMEOUT_SECONDS) and self._lock.locked():
            return cached.token  # it is being renewed; use it meanwhile
        async with self._lock:
            cached = self._cached
            if cached is None or not cached.lasts(RENEW_AHEAD_SECONDS):
                try:
                    cached = self._cached = CachedToken.of(await self._sign_in())
                except grpc.RpcError:
                    if cached is None or not cached.lasts(0):
                        raise
            return cached.token

    def forget(self, access_token: str) -> None:
        """Drop this token, which was refused, so that the next call signs in anew."""
        if self._cached is not None and self._cached.token.access_token == access_token:
            self._cached = None

    async def confirm(self, method: str, request: Message) -> str:
        """Return the header that confirms a call. Raises grpc.RpcError."""
        token, challenge = await self.token(), await self._challenge()
        return confirm_call(self._credential, token, challenge, method, request)

    async def _sign_in(self) -> tokens_pb2.Token:
        return await self._tokens.ExchangeToken(
            answer_challenge(self._credential, await self._challenge()),
            timeout=SIGN_IN_TIMEOUT_SECONDS,
        )

    async def _challenge(self) -> tokens_pb2.Challenge:
        return await self._tokens.CreateChallenge(
            tokens_pb2.CreateChallengeRequest(organization=self._organization),
            timeout=SIGN_IN_TIMEOUT_SECONDS,
        )


class Client:
    """An asyncio channel to the suite, signed in as the credential's holder.

    address: "host:port" or "http://host:port" for cleartext, "https://host:port" for TLS with the
    system's roots. organization: act as an officer of it; a sign-in by phone has chosen that
    already. Without a credential, only methods that need no token can be called.
    """

    def __init__(
        self,
        address: str,
        credential: Credential | PhoneCredential | None = None,
        *,
        organization: str = "",
        trace_headers: TraceHeaders = no_trace,
    ) -> None:
        target, secure = target_of(address)
        attach = _Attach(self, trace_headers)
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
        self._source: TokenSource | PhoneSource | None = None
        if isinstance(credential, PhoneCredential):
            self._source = PhoneSource(self.channel, credential)
        elif credential is not None:
            tokens: Any = tokens_pb2_grpc.TokenServiceStub(self.channel)
            self._source = TokenSource(tokens, credential, organization)

    async def token(self) -> tokens_pb2.Token:
        """Return the token that calls are made with, which names subject, organization and roles.

        Raises ValueError without a credential, grpc.RpcError if signing in fails.
        """
        if self._source is None:
            raise ValueError("this client has no credential to sign in with")
        return await self._source.token()

    @property
    def source(self) -> TokenSource | PhoneSource | None:
        """The tokens that calls are made with; None without a credential."""
        return self._source

    async def close(self) -> None:
        await self.channel.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()


def connect(
    address: str,
    credential: Credential | PhoneCredential | None = None,
    *,
    organization: str = "",
    trace_headers: TraceHeaders = no_trace,
) -> grpc.Channel:
    """Open the same channel as Client's for code without asyncio; close it, or use it in `with`."""
    target, secure = target_of(address)
    bare = (
        grpc.secure_channel(target, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS)
        if secure
        else grpc.insecure_channel(target, CHANNEL_OPTIONS)
    )
    source: _BlockingTokens | BlockingPhoneSource | None = None
    if isinstance(credential, PhoneCredential):
        source = BlockingPhoneSource(bare, credential)
    elif credential is not None:
        source = _BlockingTokens(bare, credential, organization)
    return grpc.intercept_channel(bare, _Blocking(source, trace_headers))


def target_of(address: str) -> tuple[str, bool]:
    """Return gRPC's target for an address, and whether it takes TLS."""
    if address.startswith("https://"):
        return address.removeprefix("https://").rstrip("/"), True
    return address.removeprefix("http://").rstrip("/"), False


def may_repeat(method: str, request: object) -> bool:
    """Return whether the call is idempotent, so that it may be sent again."""
    verb = method.rpartition("/")[2].removeprefix("Batch")
    return (
        verb.startswith(READING_VERBS)
        or verb == "CreateChallenge"
        or bool(getattr(request, "request_id", ""))
        or needs_confirmation(method, request)
    )


class _Attempts:
    """The attempts of one call: whether to make another, after which pause, with which timeout.

    timeout: of the call as a whole, in seconds; None for no end.
    """

    def __init__(self, method: str, request: object, timeout: float | None) -> None:
        self._is_idempotent = may_repeat(method, request)
        self._ends_at = None if timeout is None else time.monotonic() + timeout
        self._made = 0
        self._has_new_token = False
        # The header that confirms the call, the same at each attempt: it is one act.
        self.confirmation = ""

    def time_left(self) -> float | None:
        """Return the seconds that the next attempt may take; None for no end."""
        return None if self._ends_at is None else max(self._ends_at - time.monotonic(), 0.0)

    def add_time(self, seconds: float) -> None:
        """Give the call more time: so long it waited for a person."""
        if self._ends_at is not None:
            self._ends_at += seconds

    def pause_after(
        self, code: grpc.StatusCode, token: str, trailers: Iterable[tuple[str, str | bytes]]
    ) -> float | None:
        """Return the seconds to wait before another attempt, or None to keep this one's outcome.

        A refused token is worth one more attempt with a new one, at once. Pauses between attempts
        at an unavailable suite double each time, are as long as the suite says at least, and vary
        by half of their length (jitter).

        trailers: the attempt's trailing metadata.
        """
        self._made += 1
        told = told_pause(trailers)
        if self._made >= (ATTEMPTS if told is None else ATTEMPTS_IF_TOLD):
            return None
        if code is grpc.StatusCode.UNAUTHENTICATED and token and not self._has_new_token:
            self._has_new_token = True
            self.confirmation = ""
            return 0.0
        if code is grpc.StatusCode.UNAVAILABLE and self._is_idempotent:
            jitter = 0.5 + random.random()  # noqa: S311
            pause = float(FIRST_PAUSE_SECONDS * 2 ** (self._made - 1))
            return max(pause, told or 0.0) * jitter
        return None


def told_pause(trailers: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Return after how many seconds a failed call may be repeated (google.rpc.RetryInfo in its
    trailing metadata), None if the suite does not say."""
    info = error_details_pb2.RetryInfo()
    for name, value in trailers:
        if name != STATUS_DETAILS or not isinstance(value, bytes):
            continue
        try:
            details = status_pb2.Status.FromString(value).details
            if any(detail.Unpack(info) for detail in details):
                told = float(info.retry_delay.ToTimedelta().total_seconds())
                return min(max(told, 0.0), TOLD_LIMIT_SECONDS)
        except (DecodeError, OverflowError):
            return None
    return None


class _Details(
    namedtuple("_Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready")),
    grpc.ClientCallDetails,
):
    """A call's details with metadata and timeout replaced."""

    compression = None


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method


class _Attach:
    """Adds the token, the confirmation and the trace's headers to a call's details."""

    def __init__(self, client: Client, trace_headers: TraceHeaders) -> None:
        self._client = client
        self._trace_headers = trace_headers

    async def __call__(self, details: Any) -> tuple[Any, str]:
        """Return the details to call with, and the token in them."""
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        for name, value in self._trace_headers().items():
            metadata.add(name, value)
        token = ""
        source = self._client.source
        if source is not None and not _text(details.method).startswith(TOKENLESS):
            token = (await source.token()).access_token
            metadata.add("authorization", f"Bearer {token}")
        return details._replace(metadata=metadata), token

    async def attempt(self, details: Any, attempts: _Attempts, request: Any) -> tuple[Any, str]:
        """Return the details of the next attempt at a unary call, and the token in them."""
        attached, token = await self(details)
        method = _text(details.method)
        source = self._client.source
        if source is not None and token and needs_confirmation(method, request):
            if not attempts.confirmation:
                asked_at = time.monotonic()
                attempts.confirmation = await source.confirm(method, request)
                if isinstance(source, PhoneSource):
                    attempts.add_time(time.monotonic() - asked_at)
            if attempts.confirmation:
                attached.metadata.add(HEADER, attempts.confirmation)
        return attached._replace(timeout=attempts.time_left()), token

    def forget(self, access_token: str) -> None:
        """Drop a token that was refused."""
        if self._client.source is not None:
            self._client.source.forget(access_token)


@dataclass(frozen=True, slots=True)
class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    attach: _Attach

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        given = client_call_details
        attempts = _Attempts(_text(given.method), request, given.timeout)
        while True:
            details, token = await self.attach.attempt(given, attempts, request)
            call = await continuation(details, request)
            code = await call.code()
            pause = attempts.pause_after(code, token, await call.trailing_metadata() or ())
            if pause is None:
                return call
            if code is grpc.StatusCode.UNAUTHENTICATED:
                self.attach.forget(token)
            await asyncio.sleep(pause)


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


class _BlockingTokens:
    """What TokenSource does, for code without asyncio."""

    def __init__(self, bare: grpc.Channel, credential: Credential, organization: str) -> None:
        self._tokens = tokens_pb2_grpc.TokenServiceStub(bare)
        self._credential = credential
        self._organization = organization
        self._cached: CachedToken | None = None
        self._lock = threading.Lock()

    def token(self) -> tokens_pb2.Token:
        """Return a valid token. Raises grpc.RpcError if signing in fails."""
        with self._lock:
            if self._cached is None or not self._cached.lasts(RENEW_AHEAD_SECONDS):
                self._cached = CachedToken.of(
                    self._tokens.ExchangeToken(
                        answer_challenge(self._credential, self._challenge()),
                        timeout=SIGN_IN_TIMEOUT_SECONDS,
                    )
                )
            return self._cached.token

    def forget(self) -> None:
        """Drop the token, which was refused, so that the next call signs in anew."""
        self._cached = None

    def confirm(self, method: str, request: Message) -> str:
        """Return the header that confirms a call. Raises grpc.RpcError."""
        return confirm_call(self._credential, self.token(), self._challenge(), method, request)

    def _challenge(self) -> tokens_pb2.Challenge:
        return self._tokens.CreateChallenge(
            tokens_pb2.CreateChallengeRequest(organization=self._organization),
            timeout=SIGN_IN_TIMEOUT_SECONDS,
        )


class _Blocking(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds tokens, trace headers and retries to a channel without asyncio."""

    def __init__(
        self, source: _BlockingTokens | BlockingPhoneSource | None, trace_headers: TraceHeaders
    ) -> None:
        self._source = source
        self._trace_headers = trace_headers

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        given = client_call_details
        attempts = _Attempts(_text(given.method), request, given.timeout)
        while True:
            details, token = self._attach(given, attempts, request)
            call = continuation(details, request)
            code = call.code()
            pause = attempts.pause_after(code, token, call.trailing_metadata() or ())
            if pause is None:
                return call
            if code is grpc.StatusCode.UNAUTHENTICATED and self._source is not None:
                self._source.forget()
            time.sleep(pause)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return continuation(self._attach(client_call_details)[0], request)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._attach(client_call_details)[0], request_iterator)

    def _attach(
        self, details: Any, attempts: _Attempts | None = None, request: Any = None
    ) -> tuple[Any, str]:
        metadata = [*(details.metadata or ()), *self._trace_headers().items()]
        token = ""
        method = _text(details.method)
        source = self._source
        if source is not None and not method.startswith(TOKENLESS):
            token = source.token().access_token
            metadata.append(("authorization", f"Bearer {token}"))
            if attempts is not None and needs_confirmation(method, request):
                if not attempts.confirmation:
                    asked_at = time.monotonic()
                    attempts.confirmation = source.confirm(method, request)
                    if isinstance(source, BlockingPhoneSource):
                        attempts.add_time(time.monotonic() - asked_at)
                if attempts.confirmation:
                    metadata.append((HEADER, attempts.confirmation))
        timeout = details.timeout if attempts is None else attempts.time_left()
        wait = getattr(details, "wait_for_ready", None)
        return _Details(details.method, timeout, metadata, details.credentials, wait), token
