"""Hash functions that time-stamps may use, by the OIDs that name them.

SHA-1 and weaker functions are not accepted, nor unknown ones: data that another text could be
exchanged for was not shown to have existed.
"""

from __future__ import annotations

import hashlib

from signatures import oids
from signatures.algorithms import Hash
from signatures.gost.verification import digest_of

HASHES = {
    oids.SHA256: Hash.SHA256,
    oids.SHA384: Hash.SHA384,
    oids.SHA512: Hash.SHA512,
    oids.TC26_STREEBOG256: Hash.STREEBOG256,
    oids.TC26_STREEBOG512: Hash.STREEBOG512,
    oids.KZ_STREEBOG256: Hash.STREEBOG256,
    oids.KZ_STREEBOG512: Hash.STREEBOG512,
}
STREEBOG = frozenset({Hash.STREEBOG256, Hash.STREEBOG512})
_SHA = {Hash.SHA256: "sha256", Hash.SHA384: "sha384", Hash.SHA512: "sha512"}


def digest(function: Hash, data: bytes) -> bytes:
    """Return the data's hash. Streebog, in Python, takes two microseconds a byte."""
    if function in STREEBOG:
        return digest_of(function, data)
    return hashlib.new(_SHA[function], data).digest()
