"""A start announces every managed key to identity."""

from __future__ import annotations

import pytest

from services.runtime.errors import Unavailable
from services.runtime.storage.database import Database
from services.signing.keys.announcing import announce_all
from services.signing.keys.servicer import KeyServicer
from tests.unit.signing.builders import FakeIdentity, create, destroy, key_name, rotate


async def test_every_version_is_announced_whatever_its_state(
    service: KeyServicer, database: Database
) -> None:
    made = [await create(service, key_id=f"k{number}") for number in range(3)]
    made.append(await rotate(service, key_name("k1")))
    await destroy(service, key_name("k1") + "/versions/1")
    identity = FakeIdentity()
    await announce_all(database, identity.announce_keys, chunk=2)
    assert len(identity.announced) == 4
    assert set(identity.announced) == {v.public_key for key in made for v in key.versions}


async def test_an_announcement_that_fails_is_raised(
    service: KeyServicer, database: Database
) -> None:
    await create(service)
    with pytest.raises(Unavailable):
        await announce_all(database, FakeIdentity(reachable=False).announce_keys)
