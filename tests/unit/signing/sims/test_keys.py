"""Keys of SIMs: unwrapped, sealed at rest, moved to another key, and counters that rise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from services.runtime.errors import FailedPrecondition, InvalidArgument
from services.runtime.sealing import CannotUnseal, Vault
from services.runtime.secret_files import SecretRefused, write_secret
from services.runtime.storage.database import Database
from services.signing.sims import store
from services.signing.sims.keys import (
    COUNTERS_BEGIN,
    SimKeys,
    load_transport_key,
    record_of,
    time_count,
)
from services.signing.sims.rewrap import rewrap
from sms.secured_packets import LARGEST_COUNTER
from tests.clock import Clock
from tests.unit.signing.builders import FIRST_KEY, NOW, SECOND_KEY, vault

TRANSPORT = bytes(range(32))
KEY, OTHER_KEY = b"k" * 16, b"o" * 16
CARD, OTHER_CARD = "card", "other"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def keys(clock: Clock) -> SimKeys:
    return SimKeys(vault(), clock, TRANSPORT)


def test_a_key_comes_wrapped_under_the_transport_key(keys: SimKeys) -> None:
    assert keys.unwrap(aes_key_wrap(TRANSPORT, KEY), "key") == KEY


@pytest.mark.parametrize(
    "wrapped",
    [
        b"",
        bytes(24),
        aes_key_wrap(bytes(32), KEY),
        aes_key_wrap(TRANSPORT, KEY)[:-1] + b"x",
        # AES-256.
        aes_key_wrap(TRANSPORT, KEY * 2),
    ],
)
def test_what_does_not_unwrap_to_a_key_is_refused(keys: SimKeys, wrapped: bytes) -> None:
    with pytest.raises(InvalidArgument) as refused:
        keys.unwrap(wrapped, "key")
    assert refused.value.field == "key"


def test_without_a_transport_key_nothing_is_imported(clock: Clock) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        SimKeys(vault(), clock).unwrap(aes_key_wrap(TRANSPORT, KEY), "key")
    assert refused.value.reason == "NO_TRANSPORT_KEY"


def test_the_transport_key_is_a_secret_file_in_hexadecimal(tmp_path: Path) -> None:
    path = tmp_path / "transport.key"
    write_secret(path, TRANSPORT.hex().encode() + b"\n")
    assert load_transport_key(path) == TRANSPORT
    for content in (b"xy", TRANSPORT[1:].hex().encode(), b""):
        other = tmp_path / f"{len(content)}.key"
        write_secret(other, content)
        with pytest.raises(SecretRefused):
            load_transport_key(other)
    path.chmod(0o644)
    with pytest.raises(SecretRefused):
        load_transport_key(path)


async def test_keys_are_sealed_for_their_card(keys: SimKeys, database: Database) -> None:
    async with database.transaction() as connection:
        await keys.put(connection, {CARD: KEY, OTHER_CARD: OTHER_KEY})
        assert await keys.get(connection, CARD) == KEY
        assert await keys.get(connection, "unknown") is None
        sealed = await store.find_key(connection, OTHER_CARD)
    assert sealed is not None
    assert OTHER_KEY not in sealed.data
    with pytest.raises(CannotUnseal):
        vault().unseal(sealed, record=record_of(CARD))


async def test_counters_rise_whatever_happens(
    keys: SimKeys, database: Database, clock: Clock
) -> None:
    counters = []

    async def count() -> None:
        async with database.transaction() as connection:
            counter = await keys.next_counter(connection, CARD)
        assert counter is not None
        counters.append(counter)

    async with database.transaction() as connection:
        await keys.put(connection, {CARD: KEY})
    for _ in range(3):
        await count()
    # The clock goes back, and the key is replaced.
    clock.move(hours=-1)
    async with database.transaction() as connection:
        await keys.put(connection, {CARD: OTHER_KEY})
    await count()
    # The database is an older one: the card left the lists and came again.
    clock.move(hours=1, seconds=1)
    async with database.transaction() as connection:
        await store.delete_keys(connection, [CARD])
        await keys.put(connection, {CARD: KEY})
    await count()
    assert counters == sorted(set(counters))
    async with database.transaction() as connection:
        assert await keys.next_counter(connection, "unknown") is None


async def test_a_card_at_the_end_of_its_counter_is_used_up(
    keys: SimKeys, database: Database, clock: Clock
) -> None:
    clock.now = datetime(2200, 1, 1, tzinfo=UTC)
    async with database.transaction() as connection:
        await keys.put(connection, {CARD: KEY})
        assert await keys.next_counter(connection, CARD) == LARGEST_COUNTER
        assert await keys.next_counter(connection, CARD) is None


def test_counters_last_a_century() -> None:
    assert time_count(COUNTERS_BEGIN - timedelta(days=1)) == 1
    assert time_count(COUNTERS_BEGIN + timedelta(days=365 * 130)) < LARGEST_COUNTER


async def test_keys_move_to_another_key_encryption_key(
    keys: SimKeys, database: Database, clock: Clock
) -> None:
    async with database.transaction() as connection:
        await keys.put(connection, {CARD: KEY, OTHER_CARD: OTHER_KEY})
        counter = await keys.next_counter(connection, CARD)
    assert await rewrap(database, FIRST_KEY, SECOND_KEY) == 2
    assert await rewrap(database, FIRST_KEY, SECOND_KEY) == 0
    moved = SimKeys(Vault(SECOND_KEY), clock)
    async with database.transaction() as connection:
        assert await moved.get(connection, CARD) == KEY
        assert await moved.next_counter(connection, CARD) == (counter or 0) + 1
        assert await store.wrapping_keys_in_use(connection) == {SECOND_KEY.id: 2}
