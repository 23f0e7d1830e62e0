"""A fake identity and the registry's client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.registry.identity_events.clients import IdentityEventClient
from tests.unit.registry.identity_events.fake_identity import FakeIdentity, serving


@pytest.fixture
def identity() -> FakeIdentity:
    return FakeIdentity()  # type: ignore[abstract]


@pytest.fixture
async def client(identity: FakeIdentity, tmp_path: Path) -> AsyncIterator[IdentityEventClient]:
    async with serving(identity, tmp_path) as client:
        yield client
