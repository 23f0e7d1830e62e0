"""Malformed gRPC is refused with the right status, and other callers' calls are not affected."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator

import grpc
import httpx
import pytest

from tests.integration.gateway_backend import Backend, Gateway, running, serving

CREATE_CHALLENGE = "/qagazsyz.identity.v1.TokenService/CreateChallenge"
GET_SUBJECT = "/qagazsyz.identity.v1.SubjectService/GetSubject"
OK, INVALID_ARGUMENT, EXHAUSTED, UNIMPLEMENTED, UNAUTHENTICATED = "0", "3", "8", "12", "16"


@pytest.fixture(scope="module")
def server() -> Iterator[Backend]:
    with serving() as backend:
        yield backend


@pytest.fixture
def backend(server: Backend) -> Backend:
    server.forget()
    return server


@pytest.fixture(scope="module")
def gateway(server: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    one = server.address
    # One worker has one connection to the backend, which all callers share.
    with running(folder, identity=one, signing=one, registry=one, workers=1) as found:
        yield found


@pytest.fixture
def web(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.http() as client:
        yield client


def frame(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def send(web: httpx.Client, content: bytes, **headers: str) -> httpx.Response:
    """Send a native call over HTTP/1.1, where the status of a refusal is a plain header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"content-type": "application/grpc", "te": "trailers"} | named
    return web.post(CREATE_CHALLENGE, content=content, headers=named)


def status_of(answer: httpx.Response) -> str:
    return str(answer.headers.get("grpc-status", OK))


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("grpc_encoding", "br", "identity"),
        ("grpc_encoding", "gzip,br", "gzip"),
        ("grpc_internal_encoding_request", "br", "gzip"),
        ("grpc_previous_rpc_attempts", "many", "1"),
        ("grpc_retry_pushback_ms", "soon", "1"),
        ("grpc_status", "fine", "0"),
        ("grpc_timeout", "soon", "5S"),
        ("grpc_trace_bin", "@@@", "AAAA"),
        ("any_bin", "@@@", "AAAA"),
        ("te", "gzip", "trailers"),
    ],
)
def test_one_callers_malformed_header_affects_no_other_callers_call(
    backend: Backend, web: httpx.Client, name: str, bad: str, good: str
) -> None:
    for _ in range(2):
        assert status_of(send(web, frame(b""), **{name: bad})) in (OK, UNIMPLEMENTED)
    backend.forget()
    for _ in range(4):
        assert status_of(send(web, frame(b""), **{name: good})) == OK
    assert backend.methods() == [CREATE_CHALLENGE] * 4


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (frame(b"", flag=1), "identity"),
        (frame(b"no gzip at all", flag=1), "gzip"),
        (frame(gzip.compress(b"a" * 100)[:-9], flag=1), "gzip"),
        (frame(b"no zlib either", flag=1), "deflate"),
    ],
    ids=["not compressed", "no gzip", "gzip cut short", "no zlib"],
)
def test_a_message_wrongly_flagged_as_compressed_is_an_invalid_argument(
    backend: Backend, web: httpx.Client, content: bytes, encoding: str
) -> None:
    assert status_of(send(web, content, grpc_encoding=encoding)) == INVALID_ARGUMENT
    assert backend.methods() == []


def test_a_services_own_defect_stays_internal(backend: Backend, web: httpx.Client) -> None:
    def defect(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INTERNAL, "internal error")
        raise AssertionError

    backend.answers[CREATE_CHALLENGE] = defect
    assert send(web, frame(b"")).headers["grpc-status"] == "13"


def test_an_unsupported_encoding_is_unimplemented(backend: Backend, web: httpx.Client) -> None:
    answer = send(web, frame(b"", flag=1), grpc_encoding="br")
    assert status_of(answer) == UNIMPLEMENTED
    assert "gzip" in answer.headers["grpc-message"]
    answer = web.post("/v1/challenges", json={}, headers={"grpc-encoding": "br"})
    assert answer.status_code == 415
    assert answer.json()["code"] == int(UNIMPLEMENTED)
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
