"""Encrypt texts and numbers for storage, and hash what must be found again.

Numbers and contents are found by HMAC-SHA-256 under the lookup key: there are few enough numbers to
try all of them against a hash without a key. The lookup key stays for good.
"""

from __future__ import annotations

import hashlib
import hmac

from services.runtime import sealing
from services.runtime.clock import Randomness, system_randomness
from services.runtime.sealing import SecretKey


class Vault(sealing.Vault):
    """Seals under the current message key, unseals under every known one, and hashes."""

    def __init__(
        self,
        lookup: SecretKey,
        current: SecretKey,
        *older: SecretKey,
        randomness: Randomness = system_randomness,
    ) -> None:
        """Raises ValueError if two message keys have the same id."""
        super().__init__(current, *older, randomness=randomness)
        self._lookup = lookup.secret

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """Return the keyed hash of parts, 32 bytes; equal parts of one purpose hash alike."""
        mac = hmac.new(self._lookup, digestmod=hashlib.sha256)
        for part in (purpose.encode(), *parts):
            mac.update(len(part).to_bytes(4, "big") + part)
        return mac.digest()

    def number(self, phone: str) -> bytes:
        """Return the keyed hash of a number in E.164, which finds what is sent to and from it."""
        return self.digest("number", phone.encode())
