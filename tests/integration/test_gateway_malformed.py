"""Malformed gRPC is refused with the right status, and other callers' calls are not affected."""

from __future__ import annotations

import base64
import gzip
import struct
from collections.abc import Iterator

import grpc
import httpx
import pytest

from tests.integration.gateway_backend import Backend, Gateway, running
from tests.raw_calls import blocking_unary
from tests.raw_http2 import connected

CREATE_CHALLENGE = "/qagazsyz.identity.v1.TokenService/CreateChallenge"
GET_SUBJECT = "/qagazsyz.identity.v1.SubjectService/GetSubject"
OK, INVALID_ARGUMENT, EXHAUSTED, UNIMPLEMENTED, UNAUTHENTICATED = "0", "3", "8", "12", "16"


@pytest.fixture(scope="module")
def gateway(server: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    # One worker has one connection to the backend, which all callers share.
    with running(folder, server, workers=1) as found:
        yield found


def frame(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def send(web: httpx.Client, content: bytes, **headers: str) -> httpx.Response:
    """Send a native call over HTTP/1.1, where the status of a refusal is a plain header."""
    named = {"content-type": "application/grpc", "te": "trailers"} | headers
    return web.post(CREATE_CHALLENGE, content=content, headers=named)


def status_of(answer: httpx.Response) -> str:
    return str(answer.headers.get("grpc-status", OK))


# Headers that gRPC's core parses by a type, and some that it does not.
HEADERS = [
    ("content-type", "application/grpcx", "application/grpc"),
    ("content-type", "application/grpc-web+x", "application/grpc"),
    ("content-type", "application/grpc;", "application/grpc"),
    ("endpoint-load-metrics-bin", "@@@", "AAAA"),
    ("grpc-accept-encoding", "br,,=", "identity"),
    ("grpc-encoding", "br", "identity"),
    ("grpc-encoding", "identity,br", "identity"),
    ("grpc-internal-encoding-request", "br", "identity"),
    ("grpc-message", "%zz", "fine"),
    ("grpc-previous-rpc-attempts", "many", "1"),
    ("grpc-retry-pushback-ms", "soon", "1"),
    ("grpc-server-stats-bin", "@@@", "AAAA"),
    ("grpc-status", "fine", "0"),
    ("grpc-tags-bin", "@@@", "AAAA"),
    ("grpc-timeout", "soon", "5S"),
    ("grpc-trace-bin", "@@@", "AAAA"),
    ("grpclb_client_stats", "@@@", "AAAA"),
    ("host", "@@@", "gateway"),
    ("lb-cost-bin", "AA", "AAAA"),
    ("lb-token", "@@@", "AAAA"),
    ("te", "gzip", "trailers"),
    ("te", "trailers, deflate", "trailers"),
    ("traceparent", "@@@", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("user-agent", "", "a"),
    ("any-bin", "@@@", "AAAA"),
]


@pytest.mark.parametrize(("name", "bad", "good"), HEADERS)
def test_one_callers_malformed_header_affects_no_other_callers_call(
    backend: Backend, web: httpx.Client, name: str, bad: str, good: str
) -> None:
    for _ in range(2):
        send(web, frame(b""), **{name: bad})
    backend.forget()
    for _ in range(4):
        assert status_of(send(web, frame(b""), **{name: good})) == OK
    assert backend.methods() == [CREATE_CHALLENGE] * 4


def test_a_header_whose_name_grpc_does_not_take_is_refused_alone(
    backend: Backend, web: httpx.Client
) -> None:
    assert status_of(send(web, frame(b""), **{"x!y~z": "a"})) == INVALID_ARGUMENT
    assert status_of(send(web, frame(b""))) == OK


# HTTP/2 itself forbids "te" and "host" there.
TRAILERS = [one for one in HEADERS if one[0] not in ("te", "host")]


@pytest.mark.parametrize(("name", "bad", "good"), TRAILERS)
async def test_one_callers_malformed_trailer_affects_no_other_callers_call(
    backend: Backend, gateway: Gateway, web: httpx.Client, name: str, bad: str, good: str
) -> None:
    async with connected(gateway.port) as caller:
        for _ in range(2):
            stream = await caller.open(CREATE_CHALLENGE)
            await caller.send(stream, frame(b""))
            await caller.send_trailers(stream, {name: bad})
            await caller.status(stream)
    backend.forget()
    for _ in range(4):
        assert status_of(send(web, frame(b""), **{name: good})) == OK


KINDS = (
    "application/grpc",
    "application/grpc+proto",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "timeout",
    [
        "Infinitym",
        "123456789m",
        "",
        "1",
        "m",
        "-1S",
        "1.5S",
        "1 S",
        "1s",
        "1S1S",
        "1S,1S",
        "\xd9\xa1S",
    ],
)
def test_an_unreadable_timeout_is_an_invalid_argument_and_reaches_no_service(
    backend: Backend, web: httpx.Client, kind: str, timeout: str
) -> None:
    content = base64.b64encode(frame(b"")) if "text" in kind else frame(b"")
    headers = {b"content-type": kind.encode(), b"grpc-timeout": timeout.encode("latin-1")}
    answer = web.post(CREATE_CHALLENGE, content=content, headers=headers)
    assert answer.headers["grpc-status"] == INVALID_ARGUMENT
    assert backend.methods() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("timeout", ["00000020S", "1M", "99999999H", "99999999m"])
def test_a_timeout_as_grpc_writes_it_is_passed_on(
    backend: Backend, web: httpx.Client, kind: str, timeout: str
) -> None:
    content = base64.b64encode(frame(b"")) if "text" in kind else frame(b"")
    web.post(
        CREATE_CHALLENGE, content=content, headers={"content-type": kind, "grpc-timeout": timeout}
    )
    assert backend.methods() == [CREATE_CHALLENGE]
    remaining = backend.received[-1].time_remaining
    assert remaining is not None
    assert remaining > 0


def test_a_timeout_that_is_sent_twice_is_refused(backend: Backend, web: httpx.Client) -> None:
    headers = [("content-type", "application/grpc"), ("grpc-timeout", "1S"), ("grpc-timeout", "1S")]
    answer = web.post(CREATE_CHALLENGE, content=frame(b""), headers=headers)
    assert answer.headers["grpc-status"] == INVALID_ARGUMENT
    assert backend.methods() == []


def test_an_unreadable_timeout_of_a_json_call_is_refused(
    backend: Backend, web: httpx.Client
) -> None:
    answer = web.post("/v1/challenges", json={}, headers={"grpc-timeout": "soon"})
    assert answer.status_code == 400
    assert answer.json()["code"] == int(INVALID_ARGUMENT)
    assert backend.methods() == []


@pytest.mark.parametrize("path", ["/v1/documentTypes", CREATE_CHALLENGE])
def test_the_clients_address_is_the_gateways_word(
    backend: Backend, web: httpx.Client, path: str
) -> None:
    spoofed = {"x-qagazsyz-client-address": "192.0.2.1"}
    if path == CREATE_CHALLENGE:
        send(web, frame(b""), **spoofed)
    else:
        web.get(path, headers=spoofed)
    assert backend.received[-1].metadata["x-qagazsyz-client-address"] == "127.0.0.1"


def test_a_message_wrongly_flagged_as_compressed_is_an_invalid_argument(
    backend: Backend, web: httpx.Client
) -> None:
    assert status_of(send(web, frame(b"", flag=1))) == INVALID_ARGUMENT
    assert backend.methods() == []


def test_a_services_own_defect_stays_internal(backend: Backend, web: httpx.Client) -> None:
    def defect(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INTERNAL, "internal error")
        raise AssertionError

    backend.answers[CREATE_CHALLENGE] = defect
    assert send(web, frame(b"")).headers["grpc-status"] == "13"


@pytest.mark.parametrize("encoding", ["br", "gzip", "deflate"])
def test_a_compressed_request_is_unimplemented_and_the_answer_says_what_is_taken(
    backend: Backend, web: httpx.Client, encoding: str
) -> None:
    answer = send(web, frame(gzip.compress(b""), flag=1), **{"grpc-encoding": encoding})
    assert status_of(answer) == UNIMPLEMENTED
    assert answer.headers["grpc-accept-encoding"] == "identity"
    answer = web.post("/v1/challenges", json={}, headers={"grpc-encoding": encoding})
    assert answer.status_code == 415
    assert answer.json()["code"] == int(UNIMPLEMENTED)
    assert backend.methods() == []


def test_a_client_that_compresses_is_refused(backend: Backend, gateway: Gateway) -> None:
    with grpc.insecure_channel(gateway.target) as channel, pytest.raises(grpc.RpcError) as raised:
        blocking_unary(channel, CREATE_CHALLENGE)(bytes(1000), compression=grpc.Compression.Gzip)
    assert isinstance(raised.value, grpc.Call)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert backend.methods() == []


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text"])
@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        (GET_SUBJECT, frame(b""), UNAUTHENTICATED, "the token is missing or does not hold"),
        (CREATE_CHALLENGE, bytes(64 * 1024 * 1024), EXHAUSTED, "the request is too large"),
    ],
)
def test_the_gateways_refusals_reach_browsers_in_the_same_codes(
    web: httpx.Client, kind: str, path: str, content: bytes, status: str, message: str
) -> None:
    answer = web.post(path, content=content, headers={"content-type": kind})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/grpc-web")
    assert (answer.headers["grpc-status"], answer.content) == (status, b"")
    assert answer.headers["grpc-message"] == message


def test_a_grpc_web_body_that_is_not_base64_is_an_invalid_argument(
    backend: Backend, web: httpx.Client
) -> None:
    headers = {"content-type": "application/grpc-web-text"}
    answer = web.post(CREATE_CHALLENGE, content=b"!!!", headers=headers)
    assert answer.headers["grpc-status"] == INVALID_ARGUMENT


def test_a_deadline_is_told_to_a_browser_too(backend: Backend, web: httpx.Client) -> None:
    backend.answers[CREATE_CHALLENGE] = lambda _, context: context.abort(
        grpc.StatusCode.DEADLINE_EXCEEDED, "too late"
    )
    headers = {"content-type": "application/grpc-web+proto", "grpc-timeout": "1n"}
    answer = web.post(CREATE_CHALLENGE, content=frame(b""), headers=headers)
    assert answer.headers["grpc-status"] == "4"
