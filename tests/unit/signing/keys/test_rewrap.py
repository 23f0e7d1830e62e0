"""Rewrapping moves private keys to another key-encryption key."""

from __future__ import annotations

import pytest

from services.runtime.sealing import CannotUnseal, SecretKey, Vault
from services.runtime.storage.database import Database
from services.signing.keys import store
from services.signing.keys.rewrap import rewrap
from services.signing.keys.servicer import KeyServicer
from tests.unit.signing.builders import (
    FIRST_KEY,
    SEAL,
    SECOND_KEY,
    create,
    destroy,
    key_name,
    key_servicer,
    sign,
)


async def test_every_private_key_moves_once_and_signs_under_the_new_key(
    service: KeyServicer, database: Database
) -> None:
    for number in range(3):
        await create(service, key_id=f"k{number}")
    await destroy(service, key_name("k1") + "/versions/1")
    assert await rewrap(database, FIRST_KEY, SECOND_KEY) == 2
    assert await rewrap(database, FIRST_KEY, SECOND_KEY) == 0
    async with database.reading() as connection:
        assert await store.wrapping_keys_in_use(connection) == {"second": 2}
    with pytest.raises(CannotUnseal):
        await sign(service, key_name("k0"))
    assert (await sign(key_servicer(database, Vault(SECOND_KEY)), key_name("k0"))).signature


async def test_a_service_that_knows_both_keys_signs_before_and_after(database: Database) -> None:
    service = key_servicer(database, Vault(SECOND_KEY, FIRST_KEY))
    await create(key_servicer(database, Vault(FIRST_KEY)), key_id="seal")
    assert (await sign(service, SEAL)).signature
    await rewrap(database, FIRST_KEY, SECOND_KEY)
    assert (await sign(service, SEAL)).signature


async def test_a_wrong_old_key_moves_nothing(service: KeyServicer, database: Database) -> None:
    await create(service, key_id="seal")
    with pytest.raises(CannotUnseal):
        await rewrap(database, SecretKey("first", SECOND_KEY.secret), SECOND_KEY)
    assert (await sign(service, SEAL)).signature
