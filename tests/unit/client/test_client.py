"""The client's channels: sign-in, renewal of tokens, retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api import httpbody_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from qagazsyz.client import (
    ATTEMPTS,
    ATTEMPTS_IF_TOLD,
    FIRST_PAUSE_SECONDS,
    STATUS_DETAILS,
    TOLD_LIMIT_SECONDS,
    Client,
    _Attempts,
    connect,
    may_repeat,
    told_pause,
)
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from tests.builders import self_signed_credential

LIFETIME_SECONDS = 600
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Platform:
    """A fake suite: the calls that it got, and how it answers."""

    address: str = ""
    sign_ins: int = 0
    lifetime: int = LIFETIME_SECONDS
    organizations: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    # The seconds that each call had left when it arrived.
    remaining: list[float] = field(default_factory=list)
    # The codes that the next calls fail with, in order, and the trailers with them.
    failures: list[grpc.StatusCode] = field(default_factory=list)
    trailers: tuple[tuple[str, bytes], ...] = ()


class Tokens(tokens_pb2_grpc.TokenServiceServicer):
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def CreateChallenge(
        self, request: tokens_pb2.CreateChallengeRequest, context: Context
    ) -> tokens_pb2.Challenge:
        self._platform.organizations.append(request.organization)
        return tokens_pb2.Challenge(challenge=b"qagazsyz sign-in v1\n")

    async def ExchangeToken(
        self, request: tokens_pb2.ExchangeTokenRequest, context: Context
    ) -> tokens_pb2.Token:
        self._platform.sign_ins += 1
        token = tokens_pb2.Token(access_token=f"token-{self._platform.sign_ins}")
        token.expires_in.FromSeconds(self._platform.lifetime)
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
        raise NotImplementedError


async def answer(platform: Platform, context: Context) -> subjects_pb2.Subject:
    """The answer of both methods of the fake SubjectService, whatever they are asked."""
    metadata = dict(context.invocation_metadata() or ())
    platform.tokens.append(str(metadata.get("authorization", "")))
    platform.traces.append(str(metadata.get("traceparent", "")))
    platform.remaining.append(context.time_remaining())
    if platform.failures:
        await context.abort(platform.failures.pop(0), "as told", platform.trailers)
    return subjects_pb2.Subject(name="subjects/1")


def subject_service(platform: Platform) -> grpc.GenericRpcHandler:
    async def get(
        request: subjects_pb2.GetSubjectRequest, context: Context
    ) -> subjects_pb2.Subject:
        return await answer(platform, context)

    async def create(
        request: subjects_pb2.CreateSubjectRequest, context: Context
    ) -> subjects_pb2.Subject:
        return await answer(platform, context)

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "GetSubject": grpc.unary_unary_rpc_method_handler(
            get,
            subjects_pb2.GetSubjectRequest.FromString,
            subjects_pb2.Subject.SerializeToString,
        ),
        "CreateSubject": grpc.unary_unary_rpc_method_handler(
            create,
            subjects_pb2.CreateSubjectRequest.FromString,
            subjects_pb2.Subject.SerializeToString,
        ),
    }
    return grpc.method_handlers_generic_handler("qagazsyz.identity.v1.SubjectService", handlers)


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    state = Platform(address=f"unix:{tmp_path / 's'}")
    server = grpc.aio.server()
    tokens_pb2_grpc.add_TokenServiceServicer_to_server(Tokens(state), server)
    server.add_generic_rpc_handlers((subject_service(state),))
    server.add_insecure_port(state.address)
    await server.start()
    yield state
    await server.stop(None)


@pytest.fixture
def credential() -> Credential:
    return self_signed_credential()


def subjects(client: Client) -> subjects_pb2_grpc.SubjectServiceAsyncStub:
    return subjects_pb2_grpc.SubjectServiceStub(client.channel)


GET = subjects_pb2.GetSubjectRequest(name="subjects/1")


async def test_calls_made_at_once_share_one_sign_in(
    platform: Platform, credential: Credential
) -> None:
    async with Client(platform.address, credential, organization="subjects/7") as client:
        await asyncio.gather(*(subjects(client).GetSubject(GET) for _ in range(5)))
    assert platform.sign_ins == 1
    assert platform.organizations == ["subjects/7"]
    assert set(platform.tokens) == {"Bearer token-1"}


async def test_a_token_near_its_end_is_renewed_before_it_is_used(
    platform: Platform, credential: Credential
) -> None:
    platform.lifetime = 30
    async with Client(platform.address, credential) as client:
        await subjects(client).GetSubject(GET)
        await subjects(client).GetSubject(GET)
    assert platform.tokens == ["Bearer token-1", "Bearer token-2"]


async def test_without_a_credential_no_token_is_sent(platform: Platform) -> None:
    async with Client(platform.address) as client:
        await subjects(client).GetSubject(GET)
    assert platform.tokens == [""]
    assert platform.sign_ins == 0


async def test_the_callers_trace_goes_with_every_call(
    platform: Platform, credential: Credential
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def headers() -> Mapping[str, str]:
        return {"traceparent": trace}

    async with Client(platform.address, credential, trace_headers=headers) as client:
        await subjects(client).GetSubject(GET)
    assert platform.traces == [trace]


# --- Retries, which channels with and without asyncio make alike ----------------------------------


Call = Callable[..., Awaitable[str]]


async def call_with_asyncio(
    platform: Platform, credential: Credential, *requests: Message, seconds: float | None = None
) -> str:
    """Make the calls one after the other through one channel; return the last subject's name."""
    async with Client(platform.address, credential) as client:
        stub, name = subjects(client), ""
        for request in requests:
            if isinstance(request, subjects_pb2.GetSubjectRequest):
                name = (await stub.GetSubject(request, timeout=seconds)).name
            elif isinstance(request, subjects_pb2.CreateSubjectRequest):
                name = (await stub.CreateSubject(request, timeout=seconds)).name
        return name


async def call_without_asyncio(
    platform: Platform, credential: Credential, *requests: Message, seconds: float | None = None
) -> str:
    """The same in a thread, through the channel that connect() opens."""

    def call() -> str:
        with connect(platform.address, credential) as channel:
            stub, name = subjects_pb2_grpc.SubjectServiceStub(channel), ""
            for request in requests:
                if isinstance(request, subjects_pb2.GetSubjectRequest):
                    name = stub.GetSubject(request, timeout=seconds).name
                elif isinstance(request, subjects_pb2.CreateSubjectRequest):
                    name = stub.CreateSubject(request, timeout=seconds).name
            return name

    return await asyncio.to_thread(call)


@pytest.fixture(params=[call_with_asyncio, call_without_asyncio])
def call(request: pytest.FixtureRequest) -> Call:
    chosen: Call = request.param
    return chosen


async def test_a_refused_token_is_replaced_and_the_call_repeated(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.UNAUTHENTICATED]
    assert await call(platform, credential, GET, GET) == "subjects/1"
    assert platform.tokens == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]


async def test_a_new_token_that_is_refused_too_ends_the_call(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.UNAUTHENTICATED] * 3
    with pytest.raises(grpc.RpcError) as caught:
        await call(platform, credential, GET)
    assert code_of(caught.value) is grpc.StatusCode.UNAUTHENTICATED
    assert platform.tokens == ["Bearer token-1", "Bearer token-2"]


async def test_what_only_reads_is_repeated_while_the_suite_is_unavailable(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.UNAVAILABLE] * 2
    assert await call(platform, credential, GET) == "subjects/1"
    assert len(platform.tokens) == 3


async def test_a_suite_that_stays_unavailable_is_called_so_often_and_no_more(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.UNAVAILABLE] * (ATTEMPTS + 1)
    with pytest.raises(grpc.RpcError) as caught:
        await call(platform, credential, GET)
    assert code_of(caught.value) is grpc.StatusCode.UNAVAILABLE
    assert len(platform.tokens) == ATTEMPTS


def retry_info(seconds: float) -> tuple[str, bytes]:
    """The trailer of a service that says when to come back."""
    info, packed = error_details_pb2.RetryInfo(), any_pb2.Any()
    info.retry_delay.FromMilliseconds(int(seconds * 1000))
    packed.Pack(info)
    return STATUS_DETAILS, status_pb2.Status(details=[packed]).SerializeToString()


async def test_a_suite_that_says_when_to_come_back_is_called_for_longer(
    platform: Platform, credential: Credential, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qagazsyz.client.FIRST_PAUSE_SECONDS", 0.001)
    platform.trailers = (retry_info(0.001),)
    platform.failures = [grpc.StatusCode.UNAVAILABLE] * (ATTEMPTS_IF_TOLD - 1)
    assert await call(platform, credential, GET) == "subjects/1"
    assert len(platform.tokens) == ATTEMPTS_IF_TOLD


def test_the_pauses_of_one_that_was_told_outlast_three_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qagazsyz.client.random.random", lambda: 0.0)
    attempts = _Attempts("/a.B/GetC", None, None)
    pauses = [
        attempts.pause_after(grpc.StatusCode.UNAVAILABLE, "", [retry_info(1.0)])
        for _ in range(ATTEMPTS_IF_TOLD)
    ]
    assert pauses.pop() is None
    assert sum(pause or 0.0 for pause in pauses) > 3.0


@pytest.mark.parametrize(
    ("trailers", "seconds"),
    [
        ([], None),
        ([("other", b"")], None),
        ([(STATUS_DETAILS, b"\xff")], None),
        ([(STATUS_DETAILS, b"")], None),
        ([retry_info(0.25)], 0.25),
        ([retry_info(-1.0)], 0.0),
        ([retry_info(1e9)], TOLD_LIMIT_SECONDS),
    ],
)
def test_when_to_come_back_is_read_from_the_trailers(
    trailers: list[tuple[str, bytes]], seconds: float | None
) -> None:
    assert told_pause(trailers) == seconds


async def test_repeated_attempts_share_the_calls_timeout(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.UNAVAILABLE] * 2
    await call(platform, credential, GET, seconds=5.0)
    # The pauses before the second and the third attempt have half of their usual length at least.
    assert platform.remaining[2] < 5.0 - 0.5 * (FIRST_PAUSE_SECONDS + 2 * FIRST_PAUSE_SECONDS)


async def test_a_creation_without_a_request_id_is_not_repeated(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.UNAVAILABLE]
    with pytest.raises(grpc.RpcError):
        await call(platform, credential, subjects_pb2.CreateSubjectRequest())
    assert len(platform.tokens) == 1


async def test_a_creation_with_a_request_id_is_repeated(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.UNAVAILABLE]
    request = subjects_pb2.CreateSubjectRequest(request_id="x")
    assert await call(platform, credential, request) == "subjects/1"
    assert len(platform.tokens) == 2


async def test_a_refusal_is_not_repeated(
    platform: Platform, credential: Credential, call: Call
) -> None:
    platform.failures = [grpc.StatusCode.PERMISSION_DENIED]
    with pytest.raises(grpc.RpcError):
        await call(platform, credential, GET)
    assert len(platform.tokens) == 1


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    code: grpc.StatusCode = error.code()
    return code


@pytest.mark.parametrize(
    ("method", "repeated"),
    [
        ("/s/GetSubject", True),
        ("/s/BatchVerify", True),
        ("/s/BatchGetSubjects", True),
        ("/s/ListKeys", True),
        ("/s/Sign", False),
        ("/s/DownloadDocument", False),
        ("/s/BatchRegisterDocuments", False),
        ("/s/RevokeCertificate", False),
    ],
)
def test_methods_that_only_read_may_be_repeated(method: str, repeated: bool) -> None:
    assert may_repeat(method, object()) is repeated
