"""Contents: read back, or unavailable once lost."""

from __future__ import annotations

import pytest

from services.runtime.errors import (
    Unavailable,
)
from tests.unit.registry.world import (
    World,
    citizen,
)


async def test_a_content_that_is_lost_is_unavailable(world: World) -> None:
    document = await world.register()
    async for found in world.objects.list("packs/"):
        await world.objects.delete(found.key)
    with pytest.raises(Unavailable):
        await world.download(document.name, citizen)
