"""Keys of SIMs: imported under a transport key, sealed at rest, each with a counter that rises.

A key authenticates packets to and from one card (AES-CMAC). The mobile network hands it over
wrapped by AES-KW; here it is sealed as managed keys are, bound to its card's name.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.errors import FailedPrecondition, InvalidArgument
from services.runtime.sealing import Vault
from services.runtime.secret_files import SecretRefused, read_secret
from services.signing.sims import store
from sms.secured_packets import LARGEST_COUNTER, MAC_KEY_OCTETS

# AES-256.
TRANSPORT_KEY_BYTES = 32
# Counters begin at the time in 256ths of a second since then, which five octets hold for 136 years:
# a counter rises even over a database that was restored from an older backup, or a card that was
# taken out of the lists and came again.
COUNTERS_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
COUNTS_A_SECOND = 256


def load_transport_key(path: Path) -> bytes:
    """Return the transport key in a file, which has it in hexadecimal. Raises SecretRefused."""
    try:
        key = binascii.unhexlify(read_secret(path).strip())
    except (ValueError, binascii.Error):
        raise SecretRefused(f"{path} is not a key in hexadecimal") from None
    if len(key) != TRANSPORT_KEY_BYTES:
        raise SecretRefused(f"{path} has not {TRANSPORT_KEY_BYTES} bytes in hexadecimal")
    return key


def time_count(now: datetime) -> int:
    """Return the least counter of a packet that is written at a time."""
    count = int((now - COUNTERS_BEGIN).total_seconds() * COUNTS_A_SECOND)
    return min(max(count, 1), LARGEST_COUNTER)


class SimKeys:
    """The keys of cards, by identity's ids of them."""

    def __init__(self, vault: Vault, clock: Clock, transport_key: bytes | None = None) -> None:
        """transport_key: None where keys are not imported here."""
        self._vault = vault
        self._clock = clock
        self._transport_key = transport_key

    @property
    def has_transport_key(self) -> bool:
        return self._transport_key is not None

    def unwrap(self, wrapped: bytes, field: str) -> bytes:
        """Return a key that came under the transport key. Raises FailedPrecondition, and
        InvalidArgument for one that does not open or has not MAC_KEY_OCTETS."""
        if self._transport_key is None:
            raise FailedPrecondition("NO_TRANSPORT_KEY", "this service has no transport key")
        try:
            key = aes_key_unwrap(self._transport_key, wrapped)
        except (InvalidUnwrap, ValueError):
            raise InvalidArgument(field, "not wrapped under the transport key") from None
        if len(key) != MAC_KEY_OCTETS:
            raise InvalidArgument(field, f"not a key of {MAC_KEY_OCTETS} bytes")
        return key

    async def put(self, connection: AsyncConnection, keys: Mapping[str, bytes]) -> None:
        """Store cards' keys, sealed."""
        sealed = {sim: self._vault.seal(key, record=record_of(sim)) for sim, key in keys.items()}
        await store.replace_keys(connection, sealed)

    async def get(self, connection: AsyncConnection, sim: str) -> bytes | None:
        """Return a card's key, or None."""
        sealed = await store.find_key(connection, sim)
        return None if sealed is None else self._vault.unseal(sealed, record=record_of(sim))

    async def next_counter(self, connection: AsyncConnection, sim: str) -> int | None:
        """Return the counter of the next packet to a card, above all before; None if the card has
        no key, or is used up."""
        counter = await store.raise_counter(connection, sim, time_count(self._clock()))
        return None if counter is None or counter > LARGEST_COUNTER else counter


def record_of(sim: str) -> str:
    """Return the name that a card's key is sealed for."""
    return f"sims/{sim}/key"
