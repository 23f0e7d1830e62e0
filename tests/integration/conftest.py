"""A real suite: made by `qagazsyz init`, run by `qagazsyz up`, reached through its gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cli.running import RunningSuite, running_suite
from tests.integration.world import World


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """The suite that all tests of the session share."""
    with running_suite(Path(tmp_path_factory.mktemp("suite")) / "data") as running:
        yield running


@pytest.fixture
async def world(suite: RunningSuite) -> AsyncIterator[World]:
    """Actors and documents in the shared suite."""
    made = World(suite)
    yield made
    await made.close()
