"""Calls between services: sign-in, deadlines, retries, and what errors of the callee become."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api import httpbody_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from qagazsyz.identity.v1 import subjects_pb2, tokens_pb2, tokens_pb2_grpc
from services.runtime.clients import (
    DEADLINE_MARGIN_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    RENEW_AHEAD_SECONDS,
    InternalTokens,
    ServiceClient,
    fetch_key_set,
    open_channel,
    reason_of,
    retry_seconds_of,
)
from services.runtime.errors import DeadlineExceeded, Unavailable
from services.runtime.secret_files import SecretRefused, write_secret
from services.runtime.settings import CannotStart
from tests.builders import self_signed_credential
from tests.calls import call

METHOD = "qagazsyz.identity.v1.SubjectService/GetSubject"
REQUEST = subjects_pb2.GetSubjectRequest(name="subjects/1")
# gRPC sends a deadline with three digits, rounded up.
ROUNDED_UP = 1.005
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Identity:
    """A fake identity: what it was asked, and how it answers."""

    address: str = ""
    lifetime_seconds: float = 2 * RENEW_AHEAD_SECONDS
    sign_ins: int = 0
    # Of the calls of METHOD: the tokens they bore, and the seconds they had left.
    tokens: list[str] = field(default_factory=list)
    remaining: list[float] = field(default_factory=list)
    # The codes that the next calls fail with, in order; outage: the code that all fail with.
    failures: list[grpc.StatusCode] = field(default_factory=list)
    outage: grpc.StatusCode | None = None
    sign_in_failure: grpc.StatusCode | None = None


class Tokens(tokens_pb2_grpc.TokenServiceServicer):
    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def CreateChallenge(
        self, request: tokens_pb2.CreateChallengeRequest, context: Context
    ) -> tokens_pb2.Challenge:
        if self._identity.sign_in_failure is not None:
            await context.abort(self._identity.sign_in_failure, "as told")
        return tokens_pb2.Challenge(challenge=b"challenge")

    async def ExchangeToken(
        self, request: tokens_pb2.ExchangeTokenRequest, context: Context
    ) -> tokens_pb2.Token:
        self._identity.sign_ins += 1
        token = tokens_pb2.Token(access_token=f"token-{self._identity.sign_ins}")
        token.expires_in.FromTimedelta(timedelta(seconds=self._identity.lifetime_seconds))
        return token

    async def UseConfirmation(
        self, request: tokens_pb2.UseConfirmationRequest, context: Context
    ) -> tokens_pb2.UseConfirmationResponse:
        raise NotImplementedError

    async def KeepMobileSignature(
        self, request: tokens_pb2.KeepMobileSignatureRequest, context: Context
    ) -> tokens_pb2.KeepMobileSignatureResponse:
        raise NotImplementedError

    async def FindMobileSignature(
        self, request: tokens_pb2.FindMobileSignatureRequest, context: Context
    ) -> tokens_pb2.FindMobileSignatureResponse:
        raise NotImplementedError

    async def GetKeySet(
        self, request: tokens_pb2.GetKeySetRequest, context: Context
    ) -> httpbody_pb2.HttpBody:
        return httpbody_pb2.HttpBody(data=b'{"keys": []}')


class Subjects:
    """The service that METHOD is of, without its other methods."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def handler(self) -> grpc.GenericRpcHandler:
        service, _, method = METHOD.partition("/")
        get_subject: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            self._get_subject,
            request_deserializer=subjects_pb2.GetSubjectRequest.FromString,
            response_serializer=subjects_pb2.Subject.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(service, {method: get_subject})

    async def _get_subject(
        self, request: subjects_pb2.GetSubjectRequest, context: Context
    ) -> subjects_pb2.Subject:
        metadata = dict(context.invocation_metadata() or ())
        self._identity.tokens.append(str(metadata["authorization"]))
        self._identity.remaining.append(context.time_remaining())
        failures = self._identity.failures
        failure = failures.pop(0) if failures else self._identity.outage
        if failure is not None:
            await context.abort(failure, "as told")
        return subjects_pb2.Subject(name=request.name)


@pytest.fixture
async def identity(tmp_path: Path) -> AsyncIterator[Identity]:
    state = Identity(address=f"unix:{tmp_path / 's'}")
    server = grpc.aio.server()
    tokens_pb2_grpc.add_TokenServiceServicer_to_server(Tokens(state), server)
    server.add_generic_rpc_handlers((Subjects(state).handler(),))
    server.add_insecure_port(state.address)
    await server.start()
    yield state
    await server.stop(None)


@pytest.fixture
async def client(identity: Identity) -> AsyncIterator[ServiceClient]:
    channel = open_channel(identity.address)
    yield ServiceClient(channel, InternalTokens(channel, self_signed_credential()))
    await channel.close()


async def get_subject(client: ServiceClient, *, remaining: float | None = None) -> str:
    subject = await client.call(METHOD, REQUEST, subjects_pb2.Subject, call(remaining=remaining))
    return subject.name


# --- Sign-in --------------------------------------------------------------------------------------


async def test_calls_made_at_once_share_one_sign_in(
    identity: Identity, client: ServiceClient
) -> None:
    assert await asyncio.gather(*(get_subject(client) for _ in range(5))) == ["subjects/1"] * 5
    assert identity.sign_ins == 1
    assert set(identity.tokens) == {"Bearer token-1"}


async def test_a_token_near_its_end_is_renewed_before_it_is_used(
    identity: Identity, client: ServiceClient
) -> None:
    identity.lifetime_seconds = RENEW_AHEAD_SECONDS
    await get_subject(client)
    await get_subject(client)
    assert identity.tokens == ["Bearer token-1", "Bearer token-2"]


async def test_a_sign_in_that_identity_refuses_is_unavailable(
    identity: Identity, client: ServiceClient
) -> None:
    identity.sign_in_failure = grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(Unavailable):
        await get_subject(client)
    assert identity.tokens == []


async def test_a_credential_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "credential.pem"
    write_secret(path, self_signed_credential().to_pem())
    path.chmod(0o640)
    async with open_channel("unix:none") as channel:
        with pytest.raises(SecretRefused, match="chmod 0600"):
            InternalTokens.load(channel, path)


async def test_a_credential_file_is_loaded(identity: Identity, tmp_path: Path) -> None:
    path = tmp_path / "credential.pem"
    write_secret(path, self_signed_credential().to_pem())
    async with open_channel(identity.address) as channel:
        assert await InternalTokens.load(channel, path).get() == "token-1"


async def test_a_file_that_is_no_credential_is_refused_by_name_without_its_content(
    tmp_path: Path,
) -> None:
    path = tmp_path / "credential.pem"
    write_secret(path, b"hunter2")
    async with open_channel("unix:none") as channel:
        with pytest.raises(SecretRefused) as refused:
            InternalTokens.load(channel, path)
    assert "credential.pem" in str(refused.value)
    assert "hunter2" not in str(refused.value)


# --- Deadlines ------------------------------------------------------------------------------------


async def test_a_call_ends_a_margin_before_the_call_that_is_being_answered(
    identity: Identity, client: ServiceClient
) -> None:
    await get_subject(client, remaining=5.0)
    (remaining,) = identity.remaining
    assert 0 < remaining <= (5.0 - DEADLINE_MARGIN_SECONDS) * ROUNDED_UP


@pytest.mark.parametrize("caller_has", [None, 10 * DEFAULT_TIMEOUT_SECONDS])
async def test_a_call_never_lasts_longer_than_the_default(
    identity: Identity, client: ServiceClient, caller_has: float | None
) -> None:
    await get_subject(client, remaining=caller_has)
    (remaining,) = identity.remaining
    assert 0 < remaining <= DEFAULT_TIMEOUT_SECONDS * ROUNDED_UP


async def test_a_call_that_has_no_time_left_is_not_made(
    identity: Identity, client: ServiceClient
) -> None:
    with pytest.raises(DeadlineExceeded):
        await get_subject(client, remaining=DEADLINE_MARGIN_SECONDS)
    assert identity.tokens == []


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable),
        (grpc.StatusCode.CANCELLED, Unavailable),
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
    ],
)
async def test_a_callee_that_cannot_answer_now_is_told_as_such(
    identity: Identity, client: ServiceClient, code: grpc.StatusCode, error: type[Exception]
) -> None:
    identity.outage = code
    with pytest.raises(error):
        await get_subject(client)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INTERNAL,
    ],
)
async def test_any_other_refusal_is_a_defect_and_stays_as_it_is(
    identity: Identity, client: ServiceClient, code: grpc.StatusCode
) -> None:
    identity.outage = code
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await get_subject(client)
    assert raised.value.code() is code
    assert len(identity.tokens) == 1


async def test_a_callee_that_is_being_restarted_is_called_again(
    identity: Identity, client: ServiceClient
) -> None:
    identity.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    assert await get_subject(client) == "subjects/1"
    assert len(identity.tokens) == 3


# --- Channels and keys ----------------------------------------------------------------------------


def test_a_service_without_an_address_cannot_start() -> None:
    with pytest.raises(CannotStart):
        open_channel("")


async def test_the_token_keys_are_fetched_as_json(identity: Identity) -> None:
    async with open_channel(identity.address) as channel:
        assert await fetch_key_set(channel) == {"keys": []}


async def test_token_keys_that_cannot_be_fetched_are_unavailable(tmp_path: Path) -> None:
    async with open_channel(f"unix:{tmp_path / 'nobody'}") as channel:
        with pytest.raises(Unavailable):
            await fetch_key_set(channel)


async def test_several_sockets_take_turns(tmp_path: Path) -> None:
    asked: set[int] = set()

    def replica(number: int) -> grpc.GenericRpcHandler:
        async def answer(_request: bytes, _context: Context) -> bytes:
            asked.add(number)
            return b""

        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
        return grpc.method_handlers_generic_handler("test.Echo", {"Echo": handler})

    servers, addresses = [], []
    for number in range(2):
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((replica(number),))
        addresses.append(f"unix:{tmp_path}/{number}.sock")
        server.add_insecure_port(addresses[-1])
        await server.start()
        servers.append(server)
    async with open_channel(",".join(addresses)) as channel, asyncio.timeout(20):
        while len(asked) < len(servers):
            echo: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            echo = channel.unary_unary("/test.Echo/Echo")
            await echo(b"", wait_for_ready=True)
    for server in servers:
        await server.stop(None)


class _Refusal(grpc.aio.AioRpcError):
    """A refusal with these details."""

    def __init__(self, *details: Message) -> None:
        status = status_pb2.Status(code=9)
        for detail in details:
            status.details.add().Pack(detail)
        trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
        super().__init__(grpc.StatusCode.FAILED_PRECONDITION, grpc.aio.Metadata(), trailers)


def test_a_refusals_reason_and_wait_are_read() -> None:
    wait = error_details_pb2.RetryInfo()
    wait.retry_delay.FromMilliseconds(1_500)
    refusal = _Refusal(error_details_pb2.ErrorInfo(reason="LOG_BEHIND"), wait)
    assert (reason_of(refusal), retry_seconds_of(refusal)) == ("LOG_BEHIND", 1.5)
    bare = _Refusal()
    assert (reason_of(bare), retry_seconds_of(bare)) == ("", 0.0)
