"""The keys that sign tokens: a folder of Ed25519 keys, the newest of which signs.

All of them are published. A new key signs only after it has been published for OVERLAP, and an old
one stays published until its file is removed, so that a rotation fails no call: add a new key,
wait, remove the old one.
"""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from services.runtime.clock import Randomness
from services.runtime.secret_files import SecretRefused, read_secret, write_secret

log = logging.getLogger(__name__)

# In identity's folder.
TOKEN_KEYS_FOLDER = "token-keys"  # noqa: S105 - a folder's name
# Services and the gateway fetch the key set at least this often.
OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """kid: the file's name; since: when it was put into the folder."""

    kid: str
    key: Ed25519PrivateKey
    since: datetime


class TokenKeys:
    """The folder, read again whenever it changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listing: tuple[tuple[str, int], ...] = ()
        self._keys: list[TokenKey] = []

    def all(self) -> list[TokenKey]:
        """Return every usable key, the newest first. Raises RuntimeError if there is none."""
        paths = sorted(self._folder.glob("*.pem"))
        # The time of the inode's last change, so that a corrected mode is noticed too.
        listing = tuple((path.name, path.stat().st_ctime_ns) for path in paths)
        if listing != self._listing:
            usable = (key for path in paths if (key := _load(path)) is not None)
            self._keys = sorted(usable, key=lambda key: key.since, reverse=True)
            self._listing = listing
        if not self._keys:
            raise RuntimeError("there is no token key")
        return self._keys

    def signing(self, now: datetime) -> TokenKey:
        """Return the newest key that has been published for OVERLAP, or else the oldest."""
        keys = self.all()
        return next((key for key in keys if key.since + OVERLAP <= now), keys[-1])

    def key_set(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "alg": "EdDSA",
                    "use": "sig",
                    "kid": key.kid,
                    "x": base64url(
                        key.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
                    ),
                }
                for key in self.all()
            ]
        }


def make_token_key(folder: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write a new key into the folder."""
    path = folder / f"{now:%Y%m%dT%H%M%S}-{randomness(4).hex()}.pem"
    key = Ed25519PrivateKey.generate()
    write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _load(path: Path) -> TokenKey | None:
    """Return the key in the file, or None, logged, if it cannot be used: the others still serve."""
    try:
        key = load_pem_private_key(read_secret(path), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("not an Ed25519 key")
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, SecretRefused) as error:
        log.error("a token key is ignored", extra={"file": path.name, "why": str(error)})
        return None
    return TokenKey(path.stem, key, since)


def base64url(data: bytes) -> str:
    """Return the data as JSON Web Keys and Tokens have it: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
