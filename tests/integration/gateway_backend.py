"""A real Envoy before a fake backend, for tests of the gateway alone.

The backend serves any method, with answers that a test sets, and records the calls that reach it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api import httpbody_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gateway import main
from gateway.settings import GatewaySettings

DEADLINE_SECONDS = 20.0
KEY_SET = "/qagazsyz.identity.v1.TokenService/GetKeySet"
# Above the gateway's limit, so that it is the gateway that refuses.
SERVER_LIMIT = 64 * 1024 * 1024
DOMAINS = ("identity", "signing", "registry", "requests")


@dataclass(frozen=True, slots=True)
class Received:
    """A call as it reached the backend."""

    method: str
    metadata: dict[str, str]
    request: bytes
    time_remaining: float | None


Answer = Callable[[bytes, grpc.ServicerContext], bytes]


@dataclass
class Backend:
    """A gRPC server of all services, with answers by method; an empty message if none is set."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    answers: dict[str, Answer] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    address: str = ""

    def start(self, address: str = "127.0.0.1:0") -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(128),
            handlers=[_AnyMethod(self)],
            options=[("grpc.max_receive_message_length", SERVER_LIMIT), ("grpc.so_reuseport", 0)],
        )
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        port = self._server.add_insecure_port(address)
        self.address = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def forget(self) -> None:
        self.answers.clear()
        self.received.clear()

    def methods(self) -> list[str]:
        """Return the methods that were called, in order, without Envoy's own of the keys."""
        return [call.method for call in self.received if call.method != KEY_SET]

    def key_set(self) -> bytes:
        raw = self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        one = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": x}
        return serialized(
            httpbody_pb2.HttpBody(
                content_type="application/json", data=json.dumps({"keys": [one]}).encode()
            )
        )

    def token(self, *, key: Ed25519PrivateKey | None = None, **changed: Any) -> str:
        """Make a token as identity does; a claim that is changed to None is left out."""
        now = int(time.time())
        claims = {
            "iss": "qagazsyz",
            "aud": "qagazsyz",
            "sub": "subjects/0192aa",
            "roles": ["CITIZEN"],
            "iat": now,
            "exp": now + 600,
            "jti": "t1",
        } | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.key, algorithm="EdDSA", headers={"kid": "k1"})


class _AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def service(
        self, details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        method = details.method
        if method.startswith("/grpc.health."):
            return None

        def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
            self._remember(method, request, context)
            if method == KEY_SET:
                return self._backend.key_set()
            answer = self._backend.answers.get(method)
            return answer(request, context) if answer else b""

        def stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            for request in requests:
                yield unary(request, context)

        if method.endswith(("/StreamVerify", "/ServerReflectionInfo")):
            streaming: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
                stream
            )
            return streaming
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(unary)
        return handler

    def _remember(self, method: str, request: bytes, context: grpc.ServicerContext) -> None:
        metadata = {
            key: value if isinstance(value, str) else value.hex()
            for key, value in context.invocation_metadata()
        }
        self._backend.received.append(Received(method, metadata, request, context.time_remaining()))


@dataclass
class Gateway:
    """A running Envoy."""

    settings: GatewaySettings
    process: subprocess.Popen[bytes]
    port: int

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.target}"

    def http(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=DEADLINE_SECONDS, **options)

    def log(self) -> list[dict[str, Any]]:
        assert self.settings.access_log is not None
        return [json.loads(line) for line in self.settings.access_log.read_text().splitlines()]

    def logged(self, count: int) -> list[dict[str, Any]]:
        """Wait until the access log has so many lines; return them."""
        until(lambda: len(self.log()) >= count)
        return self.log()


def until(condition: Callable[[], Any], deadline: float = DEADLINE_SECONDS) -> Any:
    """Return what the condition returns once it is true; connection errors count as not yet."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while True:
        with contextlib.suppress(OSError, httpx.TransportError):
            if result := condition():
                return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} seconds")
        pause.wait(0.02)


def retry_seconds(error: grpc.RpcError) -> int:
    """Return the seconds of a refusal's google.rpc.RetryInfo, which it must have.

    error: of a synchronous call or of an asynchronous one.
    """
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    metadata: dict[str, Any] = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    return int(retry.retry_delay.seconds)


def serialized(message: Message) -> bytes:
    """Return the message's bytes; of messages that come without types, too."""
    return message.SerializeToString()


@contextlib.contextmanager
def serving() -> Iterator[Backend]:
    """Run a backend on a free port."""
    backend = Backend()
    backend.start()
    try:
        yield backend
    finally:
        backend.stop()


@contextlib.contextmanager
def running(
    folder: Path, backend: Backend | None = None, *, ready: bool = True, **changed: Any
) -> Iterator[Gateway]:
    """Run Envoy with these settings; yield once /readyz answers 200, or else once it listens.

    backend: all three services, but for those that the settings place elsewhere.
    """
    settings = GatewaySettings(
        **{
            "folder": folder,
            "listen": "127.0.0.1:0",
            "access_log": folder / "access.log",
            "workers": 2,
            **(dict.fromkeys(DOMAINS, backend.address) if backend is not None else {}),
            **changed,
        }
    )
    main.write_configuration(settings)
    with subprocess.Popen(main.command(settings), cwd=folder) as process:
        try:
            port = until(lambda: _alive(process) and main.listening_port(folder))
            gateway = Gateway(settings, process, port)
            until(lambda: httpx.get(f"{gateway.url}/healthz").status_code == 200)
            if ready:
                until(lambda: httpx.get(f"{gateway.url}/readyz").status_code == 200)
            yield gateway
        finally:
            process.terminate()
            process.wait()


def _alive(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Envoy did not start"
    return True
