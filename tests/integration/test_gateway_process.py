"""The gateway's process: readiness follows the services, and a stop loses no call."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway import main
from tests.integration.gateway_backend import DOMAINS, Backend, running, until
from tests.integration.test_gateway_bounds import GET_SUBJECT, Held, outcome

RUN = "import sys; from gateway.main import run; from gateway.settings import GatewaySettings; "
RUN += "sys.exit(run(GatewaySettings()))"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def backends() -> Iterator[dict[str, Backend]]:
    found = {name: Backend() for name in DOMAINS}
    for backend in found.values():
        backend.start()
    yield found
    for backend in found.values():
        backend.stop()


def addresses(backends: dict[str, Backend]) -> dict[str, Any]:
    return {name: backend.address for name, backend in backends.items()}


def ready(url: str) -> bool:
    return httpx.get(f"{url}/readyz").status_code == 200


def test_it_is_ready_while_all_services_are_healthy(
    backends: dict[str, Backend], tmp_path_factory: pytest.TempPathFactory
) -> None:
    signing = backends["signing"]
    signing.stop()
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, ready=False, **addresses(backends)) as gateway:
        assert not ready(gateway.url)
        signing.start(signing.address)
        until(lambda: ready(gateway.url))
        backends["registry"].stop()
        until(lambda: not ready(gateway.url))
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        backends["registry"].start(backends["registry"].address)
        until(lambda: ready(gateway.url))


def test_a_service_that_says_it_is_not_serving_is_not_ready(
    backends: dict[str, Backend], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, **addresses(backends)) as gateway:
        backends["identity"].health.enter_graceful_shutdown()
        until(lambda: not ready(gateway.url))


def test_calls_are_unavailable_while_the_token_keys_cannot_be_fetched(
    backends: dict[str, Backend], tmp_path_factory: pytest.TempPathFactory
) -> None:
    identity = backends["identity"]
    identity.stop()
    folder = tmp_path_factory.mktemp("gateway")
    headers = {"authorization": f"Bearer {identity.token()}"}
    with running(folder, ready=False, **addresses(backends)) as gateway, gateway.http() as web:
        answer = web.get("/v1/keys", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, 14)
        assert backends["signing"].methods() == []
        identity.start(identity.address)
        until(lambda: ready(gateway.url))
        assert web.get("/v1/keys", headers=headers).status_code == 200


def test_unix_sockets_serve_as_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("g")
    backend = Backend()
    backend.start(f"unix:{folder / 's'}")
    try:
        with running(folder / "gateway", backend) as gateway:
            assert httpx.get(f"{gateway.url}/v1/documentTypes").status_code == 200
    finally:
        backend.stop()


@pytest.fixture
def process(
    backends: dict[str, Backend], tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The gateway in a process of its own, started as in a container."""
    folder = tmp_path / "gateway"
    environment = os.environ | {
        "QAGAZSYZ_GATEWAY_FOLDER": str(folder),
        "QAGAZSYZ_GATEWAY_LISTEN": "127.0.0.1:0",
        "QAGAZSYZ_GATEWAY_ACCESS_LOG": str(folder / "access.log"),
        **{
            f"QAGAZSYZ_GATEWAY_{name.upper()}": address
            for name, address in addresses(backends).items()
        },
    }
    with subprocess.Popen([sys.executable, "-c", RUN], env=environment, cwd=ROOT) as started:
        yield started, folder
        started.kill()


def test_its_files_are_readable_by_their_owner_only(
    process: tuple[subprocess.Popen[bytes], Path],
) -> None:
    _, folder = process
    until(lambda: main.listening_port(folder))
    until((folder / "access.log").exists)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_calls_under_way_are_finished_before_it_ends(
    process: tuple[subprocess.Popen[bytes], Path], backends: dict[str, Backend]
) -> None:
    started, folder = process
    port = until(lambda: main.listening_port(folder))
    until(lambda: ready(f"http://127.0.0.1:{port}"))
    held = Held()
    backends["identity"].answers[GET_SUBJECT] = held
    token = backends["identity"].token()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, ThreadPoolExecutor(1) as pool:
        call = pool.submit(outcome, channel, GET_SUBJECT, token)
        until(lambda: held.waiting == 1)
        started.send_signal(signal.SIGTERM)
        until(lambda: not accepts(port))
        held.go.set()
        assert call.result() is grpc.StatusCode.OK
    assert started.wait(20) == 0


def test_the_process_ends_when_envoy_ends(
    process: tuple[subprocess.Popen[bytes], Path],
) -> None:
    started, folder = process
    until(lambda: main.listening_port(folder))
    main.admin(folder, "POST", "/quitquitquit")
    assert started.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a child with its parent")
def test_envoy_does_not_outlive_a_killed_parent(
    process: tuple[subprocess.Popen[bytes], Path],
) -> None:
    started, folder = process
    port = until(lambda: main.listening_port(folder))
    started.kill()
    started.wait()
    until(lambda: not accepts(port))


def accepts(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/healthz")
    except httpx.TransportError:
        return False
    return True
