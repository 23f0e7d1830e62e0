"""Fixtures of a real suite: made by `qagazsyz init`, run by `qagazsyz up`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from testing.suite_process import RunningSuite, running_suite
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
