"""A method that streams its answers: what its call goes through, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.runtime.access import TokenVerifier
from services.runtime.errors import FailedPrecondition
from services.runtime.server import CONCURRENT_STREAMS, Call, Server
from tests.confirming import confirmations
from tests.unit.runtime.tokens import NOW, fetch_keys, token

SERVICE = "qagazsyz.signing.v1.MobileSignatureService"
PATH = f"/{SERVICE}/WatchMobileSignature"


class MobileSignatures:
    """Answers "forever" for ever, "refused" with a refusal after one answer, others twice."""

    def __init__(self) -> None:
        self.ended = 0

    async def WatchMobileSignature(
        self, request: pb.WatchMobileSignatureRequest, call: Call
    ) -> AsyncIterator[pb.MobileSignature]:
        try:
            yield pb.MobileSignature(name=request.name, requester=call.caller.subject)
            if request.name == "refused":
                raise FailedPrecondition("SESSION_OPEN", "not now")
            while request.name == "forever":
                yield pb.MobileSignature(name=request.name)
            yield pb.MobileSignature(name=request.name)
        finally:
            self.ended += 1


@pytest.fixture
def servicer() -> MobileSignatures:
    return MobileSignatures()


@pytest.fixture
async def channel(servicer: MobileSignatures) -> AsyncIterator[grpc.aio.Channel]:
    server = Server(
        {SERVICE: servicer},
        TokenVerifier(fetch_keys, now=lambda: NOW),
        confirmations=confirmations(),
        page_secret=b"secret",
    )
    port = server.listen("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop()


def watch(
    channel: grpc.aio.Channel, data: bytes, bearer: str = ""
) -> grpc.aio.UnaryStreamCall[bytes, bytes]:
    bearer = bearer or token()
    method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(PATH)
    return method(data, metadata=(("authorization", f"Bearer {bearer}"),))


async def first(call: grpc.aio.UnaryStreamCall[bytes, bytes]) -> str:
    """The name in the first answer."""
    answer = await call.read()
    assert isinstance(answer, bytes)
    return pb.MobileSignature.FromString(answer).name


def request(name: str) -> bytes:
    return pb.WatchMobileSignatureRequest(name=name).SerializeToString()


async def test_each_answer_comes_and_then_the_end(channel: grpc.aio.Channel) -> None:
    call = watch(channel, request("twice"))
    answers = [pb.MobileSignature.FromString(each) async for each in call]
    assert [each.name for each in answers] == ["twice", "twice"]
    assert answers[0].requester == "subjects/a"
    assert await call.code() is grpc.StatusCode.OK


async def test_a_refusal_ends_the_stream_behind_its_answers(channel: grpc.aio.Channel) -> None:
    call = watch(channel, request("refused"))
    assert await first(call) == "refused"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("data", "bearer", "code"),
    [
        (b"\x0a\x7f\x01", "", grpc.StatusCode.INVALID_ARGUMENT),
        (b"", "", grpc.StatusCode.INVALID_ARGUMENT),
        (request("x"), "nonsense", grpc.StatusCode.UNAUTHENTICATED),
        (request("x"), token(roles=["AUDITOR"]), grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_its_request_is_checked_like_any_other(
    channel: grpc.aio.Channel, data: bytes, bearer: str, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await watch(channel, data, bearer).read()
    assert refused.value.code() is code


async def test_watchers_hold_no_place_of_streams_that_work(
    channel: grpc.aio.Channel, servicer: MobileSignatures
) -> None:
    calls = [watch(channel, request("forever")) for _ in range(2 * CONCURRENT_STREAMS)]
    for call in calls:
        assert await first(call) == "forever"
    for call in calls:
        call.cancel()
    # Who goes ends the work behind it.
    more = watch(channel, request("twice"))
    assert len([each async for each in more]) == 2
