"""Seal what people wrote, and what could tell it, as JSON in one column of a row."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from services.runtime import sealing
from services.runtime.clock import Randomness, system_randomness
from services.runtime.sealing import Sealed, SecretKey


class PrivateTexts(sealing.Vault):
    """Seals under the current text key, unseals under every known one."""

    def __init__(
        self,
        current: SecretKey,
        *older: SecretKey,
        randomness: Randomness = system_randomness,
    ) -> None:
        """Raises ValueError if two keys have the same id."""
        super().__init__(current, *older, randomness=randomness)
        self._secret = current.secret

    def seal_json(self, members: Mapping[str, Any], *, record: str) -> Sealed:
        """Encrypt an object, bound to its record's name."""
        return self.seal(json.dumps(members, ensure_ascii=False).encode(), record=record)

    def unseal_json(self, sealed: Sealed, *, record: str) -> Any:
        """Decrypt an object. Raises CannotUnseal."""
        return json.loads(self.unseal(sealed, record=record))

    def digest(self, text: str) -> str:
        """Return a keyed hash, for what is compared within a day: a bare one could be guessed."""
        return hmac.digest(self._secret, b"form\n" + text.encode(), "sha256").hex()
