"""Fixtures of a real suite, made by `qagazsyz init` and run by `qagazsyz up`, and of a real Envoy
before a fake backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from testing.suite_process import RunningSuite, running_suite
from tests.integration.gateway_backend import Backend, Gateway, running, serving
from tests.integration.world import World

# Spans are exported soon after they end, so that no test waits for them.
ENVIRONMENT = {"OTEL_BSP_SCHEDULE_DELAY": "200"}


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Run the suite that all tests of the session share."""
    data = Path(tmp_path_factory.mktemp("suite")) / "data"
    with running_suite(data, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture
async def world(suite: RunningSuite) -> AsyncIterator[World]:
    """Provide actors and documents in the shared suite."""
    made = World(suite)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Backend]:
    """Serve a backend for the tests of one module."""
    with serving() as backend:
        yield backend


@pytest.fixture
def backend(server: Backend) -> Backend:
    """Provide the module's backend without the answers and calls of the test before."""
    server.forget()
    return server


@pytest.fixture(scope="module")
def gateway(server: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway before the module's backend."""
    with running(tmp_path_factory.mktemp("gateway"), server) as found:
        yield found


@pytest.fixture
def web(gateway: Gateway) -> Iterator[httpx.Client]:
    """Open a plain HTTP client of the gateway, for one test."""
    with gateway.http() as client:
        yield client
