"""The keys that tokens are signed with: a folder of Ed25519 keys, the newest of which signs.

All of them are published. A new key signs only once it has been published for
OVERLAP, and an old one stays published until its file is taken away, so that a
rotation fails no call: put a new key in, wait, take the old one out.
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
    PublicFormat,
    load_pem_private_key,
)

from services.runtime.secret_files import SecretRefused, read_secret

log = logging.getLogger(__name__)

# Services and the gateway fetch the key set anew at least this often.
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
        self._seen: tuple[tuple[str, int], ...] = ()
        self._keys: list[TokenKey] = []

    def all(self) -> list[TokenKey]:
        """Every key, the newest first. Raises RuntimeError where there is none."""
        paths = sorted(self._folder.glob("*.pem"))
        # Not the time of the content alone: a mode that was put right counts too.
        seen = tuple((path.name, path.stat().st_ctime_ns) for path in paths)
        if seen != self._seen:
            taken = (key for path in paths if (key := _load(path)) is not None)
            self._keys = sorted(taken, key=lambda key: key.since, reverse=True)
            self._seen = seen
        if not self._keys:
            raise RuntimeError("there is no token key")
        return self._keys

    def signing(self, now: datetime) -> TokenKey:
        """The newest that has been published long enough, or the oldest there is."""
        keys = self.all()
        return next((key for key in keys if key.since + OVERLAP <= now), keys[-1])

    def key_set(self) -> dict[str, Any]:
        """The public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "alg": "EdDSA",
                    "use": "sig",
                    "kid": key.kid,
                    "x": _base64url(
                        key.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
                    ),
                }
                for key in self.all()
            ]
        }


def _load(path: Path) -> TokenKey | None:
    """The key in the file, or None where it must not be used: those beside it serve on."""
    try:
        key = load_pem_private_key(read_secret(path), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("not an Ed25519 key")
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, SecretRefused) as error:
        log.error("a token key is left out", extra={"file": path.name, "why": str(error)})
        return None
    return TokenKey(path.stem, key, since)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
