"""One world of phones for the tests of a module, and what signs in and confirms in it."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.unit.signing.by_phone.people import People
from tests.unit.signing.mobile.world import World, running_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running_world(tmp_path_factory.mktemp("world")) as world:
        yield world
    # At its end the world cancels streams, and aiosqlite never closes a connection whose use is
    # cancelled. Collected here, it is a warning of this module's, which its tests ignore.
    gc.collect()


@pytest.fixture
def people(world: World) -> People:
    return People(world)
