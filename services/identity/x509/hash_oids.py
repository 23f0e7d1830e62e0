"""Hash functions that time-stamps may use, by the OIDs that name them, and a budget for slow ones.

SHA-1 and weaker functions are not accepted, nor unknown ones: data that another text could be
exchanged for was not shown to have existed.
"""

from __future__ import annotations

from signatures import hashing, oids
from signatures.algorithms import Hash

HASHES = {
    oids.SHA256: Hash.SHA256,
    oids.SHA384: Hash.SHA384,
    oids.SHA512: Hash.SHA512,
    oids.TC26_STREEBOG256: Hash.STREEBOG256,
    oids.TC26_STREEBOG512: Hash.STREEBOG512,
    oids.KZ_STREEBOG256: Hash.STREEBOG256,
    oids.KZ_STREEBOG512: Hash.STREEBOG512,
}
# Bytes that one request has hashed in pure Python, where the kernel is not installed: a second or
# two. Callers with more send the digest.
PYTHON_LIMIT_BYTES = 1024 * 1024


class TooMuchToHash(Exception):
    """The request has had as many bytes hashed in pure Python as it may."""


class Hasher:
    """Hashes for one request, and counts each byte that is hashed in pure Python."""

    def __init__(self) -> None:
        self._left = PYTHON_LIMIT_BYTES

    def digest(self, function: Hash, data: bytes) -> bytes:
        """Return the data's digest. Raises TooMuchToHash."""
        self.count(function, len(data))
        return hashing.digest(function, data)

    def count(self, function: Hash, size: int) -> None:
        """Count bytes that are about to be hashed elsewhere. Raises TooMuchToHash."""
        if hashing.is_in_python(function):
            self._left -= size
            if self._left < 0:
                raise TooMuchToHash
