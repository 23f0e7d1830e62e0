"""Sign-in challenges that need no storage.

A challenge is text that says what it is for and carries its own MAC, so that the service may give
out any number and stores only those that were used, until they expire. A signature over one means
nothing else: no document begins with its first line, and managed keys sign no message that does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from qagazsyz.signed_texts import SIGN_IN
from services.runtime.clock import Randomness
from services.runtime.errors import Unauthenticated

# The file of the MAC's key, in identity's folder.
CHALLENGE_KEY = "challenge.key"
CHALLENGE_KEY_BYTES = 32
CHALLENGE_LIFETIME = timedelta(minutes=2)
NONCE_BYTES = 24


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge of ours that has not expired."""

    organization: str
    expire_time: datetime
    # SHA-256 in hex, by which a used one is stored.
    digest: str


class Challenges:
    """Makes and checks the challenges of one platform."""

    def __init__(self, key: bytes, platform: str, randomness: Randomness) -> None:
        self._key = key
        self._platform = platform
        self._randomness = randomness

    @property
    def platform(self) -> str:
        """The platform's name, which every challenge states."""
        return self._platform

    def create(self, organization: str, now: datetime) -> tuple[bytes, datetime]:
        """Return a new challenge, and when it expires."""
        expire_time = (now + CHALLENGE_LIFETIME).replace(microsecond=0)
        nonce = base64.urlsafe_b64encode(self._randomness(NONCE_BYTES)).decode()
        lines = [
            SIGN_IN,
            self._platform,
            organization,
            expire_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            nonce,
        ]
        text = "\n".join(lines)
        return f"{text}\n{self._mac(text)}\n".encode(), expire_time

    def check(self, challenge: bytes, now: datetime) -> Challenge:
        """Read a challenge. Raises Unauthenticated if it is not ours or has expired."""
        refusal = Unauthenticated("the challenge is not valid")
        try:
            text, mac = challenge.decode("ascii").removesuffix("\n").rsplit("\n", 1)
            first, platform, organization, expires, _nonce = text.split("\n")
            expire_time = datetime.strptime(expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise refusal from None
        is_ours = hmac.compare_digest(self._mac(text), mac) and challenge.endswith(b"\n")
        if not is_ours or (first, platform) != (SIGN_IN, self._platform) or now >= expire_time:
            raise refusal
        return Challenge(organization, expire_time, hashlib.sha256(challenge).hexdigest())

    def _mac(self, text: str) -> str:
        mac = hmac.digest(self._key, text.encode(), "sha256")
        return base64.urlsafe_b64encode(mac).decode()
