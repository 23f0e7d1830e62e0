"""The gateway's limits, and how it refuses calls beyond them."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway import routes
from tests.integration.gateway_backend import Backend, Gateway, retry_seconds, running, until
from tests.raw_calls import blocking_unary

VERIFICATION = "/qagazsyz.signing.v1.VerificationService"
PATIENCE_SECONDS = 20.0
GET_SUBJECT = "/qagazsyz.identity.v1.SubjectService/GetSubject"


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = Backend()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def start(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway before the backend, with these settings."""
    with contextlib.ExitStack() as stack:

        def begin(**changed: Any) -> Gateway:
            folder = tmp_path_factory.mktemp("gateway")
            return stack.enter_context(running(folder, backend, **changed))

        yield begin


class Held:
    """Blocks calls in the backend until they may go, and counts how many were there at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.waiting = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.go.wait()
        with self._lock:
            self.waiting -= 1
        return b""


def outcome(channel: grpc.Channel, path: str, token: str, request: bytes = b"") -> grpc.StatusCode:
    try:
        blocking_unary(channel, path)(request, metadata=(("authorization", f"Bearer {token}"),))
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def test_a_subject_over_the_rate_limit_is_refused_and_others_are_not(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start(rate_limit=1)
    token, other = backend.token(sub="subjects/a"), backend.token(sub="subjects/b")
    with gateway.http() as web, grpc.insecure_channel(gateway.target) as channel:
        headers = {"authorization": f"Bearer {token}"}
        answers = [web.get("/v1/subjects/a", headers=headers) for _ in range(10)]
        assert Counter(one.status_code for one in answers)[429] >= 6
        refused = next(one for one in answers if one.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["details"][1]["retryDelay"] == "1s"
        with pytest.raises(grpc.RpcError) as raised:
            for _ in range(10):
                blocking_unary(channel, GET_SUBJECT)(
                    b"", metadata=(("authorization", f"Bearer {token}"),)
                )
        assert isinstance(raised.value, grpc.Call)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_seconds(raised.value) == 1
        assert outcome(channel, GET_SUBJECT, other) is grpc.StatusCode.OK


def test_open_methods_are_limited_by_address(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start(open_rate_limit=1)
    with gateway.http() as web:
        answers = [web.get("/v1/documentTypes").status_code for _ in range(10)]
        assert Counter(answers)[429] >= 6
        headers = {"authorization": f"Bearer {backend.token()}"}
        assert web.get("/v1/subjects/a", headers=headers).status_code == 200
        assert web.get("/healthz").status_code == 200


def test_callers_behind_a_trusted_proxy_are_limited_by_their_own_addresses(
    start: Callable[..., Gateway],
) -> None:
    gateway = start(open_rate_limit=1, trusted_proxies=1)
    with gateway.http() as web:
        answers = [
            web.get("/v1/documentTypes", headers={"x-forwarded-for": f"10.0.0.{host}"}).status_code
            for host in range(10)
        ]
    assert set(answers) == {200}


def test_the_gateway_lets_one_caller_have_more_calls_than_a_service_does(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start()
    held = Held()
    kinds = [f"{VERIFICATION}/{name}" for name in ("Verify", "BatchVerify")]
    backend.answers |= dict.fromkeys(kinds, held)
    token = backend.token()
    with grpc.insecure_channel(gateway.target) as channel, ThreadPoolExecutor(80) as pool:
        calls = [pool.submit(outcome, channel, kind, token) for kind in kinds for _ in range(40)]
        try:
            until(lambda: held.waiting == len(calls))
        finally:
            held.go.set()
        assert {call.result() for call in calls} == {grpc.StatusCode.OK}


def test_calls_over_the_bound_are_refused_at_once(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start(calls_at_once=2, workers=1)
    held = Held()
    backend.answers[f"{VERIFICATION}/BatchVerify"] = held
    token = backend.token()
    with grpc.insecure_channel(gateway.target) as channel, ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(outcome, channel, f"{VERIFICATION}/BatchVerify", token) for _ in range(8)
        ]
        try:
            until(lambda: sum(call.done() for call in calls) == 6)
            with pytest.raises(grpc.RpcError) as refused:
                blocking_unary(channel, f"{VERIFICATION}/BatchVerify")(
                    b"", metadata=(("authorization", f"Bearer {token}"),)
                )
        finally:
            held.go.set()
        assert isinstance(refused.value, grpc.Call)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_seconds(refused.value) == 1
        found = Counter(call.result() for call in calls)
    assert found == {grpc.StatusCode.OK: 2, grpc.StatusCode.RESOURCE_EXHAUSTED: 6}


def test_large_json_over_the_bound_is_refused_and_small_json_is_not(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start(large_json_at_once=1)
    held = Held()
    backend.answers[f"{VERIFICATION}/Verify"] = held
    message = base64.b64encode(bytes(2 * 1024 * 1024)).decode()
    headers = {"authorization": f"Bearer {backend.token()}"}

    def verify(body: dict[str, object]) -> int:
        with gateway.http() as web:
            return web.post("/v1/signatures:verify", json=body, headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(verify, {"item": {"message": message}})
        try:
            until(lambda: held.waiting == 1)
            assert verify({"item": {"message": message}}) == 429
            small = pool.submit(verify, {})
            until(lambda: held.waiting == 2)
        finally:
            held.go.set()
        assert (first.result(), small.result()) == (200, 200)


def posting(gateway: Gateway, path: str, *headers: str) -> socket.socket:
    """Begin a POST of JSON; return the connection, on which its body has yet to be sent."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_SECONDS)
    lines = [f"POST {path} HTTP/1.1", "host: gateway", "content-type: application/json", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


@pytest.mark.parametrize(
    ("path", "most"),
    [("/v1/challenges", routes.UNANNOUNCED_LIMIT), ("/pki/ocsp", 64 * 1024)],
)
def test_a_body_over_its_methods_limit_is_refused_before_it_is_sent(
    backend: Backend, start: Callable[..., Gateway], path: str, most: int
) -> None:
    gateway = start()
    with posting(gateway, path, f"content-length: {most + 1}") as connection:
        assert connection.recv(12) == b"HTTP/1.1 413"
    assert backend.methods() == []


def test_a_large_body_needs_a_token_before_it_is_sent(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start()
    with posting(gateway, "/v1/signatures:batchVerify", "content-length: 20000000") as connection:
        assert connection.recv(12) == b"HTTP/1.1 401"
    assert backend.methods() == []


def test_a_service_hears_how_long_a_body_will_be_before_it_is_there(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start()
    claimed = ("content-length: 2", "x-qagazsyz-length: 20000000")
    with posting(gateway, "/v1/challenges", *claimed) as connection:
        connection.sendall(b"{}")
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert backend.received[-1].metadata["x-qagazsyz-length"] == "2"


def test_a_body_that_no_service_knows_of_has_seconds_to_arrive(
    start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "UNANNOUNCED_SECONDS", 1)
    gateway = start()
    for path in ("/v1/challenges", "/pki/ocsp"):
        with posting(gateway, path, "transfer-encoding: chunked") as connection:
            connection.sendall(b"1\r\n{\r\n")
            assert connection.recv(12) == b"HTTP/1.1 504"


def test_a_stream_outlives_the_seconds_of_a_body(
    backend: Backend, start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "UNANNOUNCED_SECONDS", 1)
    gateway = start(call_timeout_seconds=1)
    with grpc.insecure_channel(gateway.target) as channel:
        late = threading.Event()

        def requests() -> Iterator[bytes]:
            yield b"1"
            late.wait(2)
            yield b"2"

        call: Any = channel.stream_stream(f"{VERIFICATION}/StreamVerify")
        headers = (("authorization", f"Bearer {backend.token()}"),)
        assert len(list(call(requests(), metadata=headers))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory's peak from /proc")
def test_a_hundred_callers_with_the_largest_messages_do_not_fill_the_memory(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start(call_timeout_seconds=120)
    token = backend.token()
    message = bytes(20 * 1024 * 1024 - 64)
    body = b'{"items":[{"message":"' + base64.b64encode(message) + b'"}]}'

    def native(_: int) -> str:
        alone = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(gateway.target, options=alone) as channel:
            return outcome(channel, f"{VERIFICATION}/BatchVerify", token, message).name

    def web(_: int) -> str:
        head = (
            "POST /v1/signatures:batchVerify HTTP/1.1\r\nhost: gateway\r\n"
            f"authorization: Bearer {token}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
            try:
                with contextlib.suppress(ConnectionError):  # a refusal may come before all is sent
                    connection.sendall(head.encode() + body)
                return connection.recv(12).decode()
            except (TimeoutError, ConnectionError):
                # Ended because it held most of the memory, which HTTP/1.1 gets no answer to.
                return ""

    # While the memory is nearly full, bodies that stand still for two seconds are given up: on a
    # busy machine those of callers who wait for their turn, too.
    known = {"HTTP/1.1 200", "HTTP/1.1 429", "HTTP/1.1 504", ""}

    with ThreadPoolExecutor(100) as pool:
        # Envoy passes on what it reads of a native call, and collects JSON.
        assert set(pool.map(native, range(10))) == {"OK"}
        answers = set(pool.map(web, range(100)))
        assert "HTTP/1.1 200" in answers
        assert answers <= known
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{gateway.process.pid}/status").read_text())
    assert peak is not None
    assert int(peak[1]) < 512 * 1024
    assert backend.methods()


def test_a_call_that_takes_too_long_is_ended(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start(call_timeout_seconds=1)
    held = Held()
    backend.answers[GET_SUBJECT] = held
    token = backend.token()
    with gateway.http() as web, grpc.insecure_channel(gateway.target) as channel:
        answer = web.get("/v1/subjects/a", headers={"authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (504, 4)
        assert outcome(channel, GET_SUBJECT, token) is grpc.StatusCode.DEADLINE_EXCEEDED
    held.go.set()


def test_safe_methods_are_retried_and_others_are_not(
    backend: Backend, start: Callable[..., Gateway]
) -> None:
    gateway = start()

    def unavailable(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        raise AssertionError

    sign = "/qagazsyz.signing.v1.KeyService/Sign"
    backend.answers |= {GET_SUBJECT: unavailable, sign: unavailable}
    with grpc.insecure_channel(gateway.target) as channel:
        for path in (GET_SUBJECT, sign):
            assert outcome(channel, path, backend.token()) is grpc.StatusCode.UNAVAILABLE
    asked = Counter(backend.methods())
    assert asked == {GET_SUBJECT: 3, sign: 1}


def test_pages_of_configured_origins_may_call(start: Callable[..., Gateway]) -> None:
    gateway = start(allowed_origins="https://a.example")
    asked = {"access-control-request-method": "POST"}
    with gateway.http() as web:
        for path in ("/v1/challenges", "/v1/keys", "/qagazsyz.signing.v1.KeyService/Sign"):
            headers = asked | {"origin": "https://a.example"}
            answer = web.options(path, headers=headers)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "https://a.example"
            answer = web.options(path, headers=asked | {"origin": "https://b.example"})
            assert "access-control-allow-origin" not in answer.headers
        assert web.get("/nothing").status_code == 404
        answer = web.get("/v1/documentTypes", headers={"origin": "https://a.example"})
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
