"""Hash functions that time-stamps may use, by the OIDs that name them.

SHA-1 and whatever is weaker, or unknown, is not among them: data that another text
could be exchanged for was not shown to have existed.
"""

from __future__ import annotations

import hashlib

from signatures.algorithms import Hash
from signatures.gost.verification import digest_of

HASHES = {
    "2.16.840.1.101.3.4.2.1": Hash.SHA256,
    "2.16.840.1.101.3.4.2.2": Hash.SHA384,
    "2.16.840.1.101.3.4.2.3": Hash.SHA512,
    # Streebog under TC26's OIDs (RFC 9215) and under Kazakhstan's.
    "1.2.643.7.1.1.2.2": Hash.STREEBOG256,
    "1.2.643.7.1.1.2.3": Hash.STREEBOG512,
    "1.2.398.3.10.1.3.2": Hash.STREEBOG256,
    "1.2.398.3.10.1.3.3": Hash.STREEBOG512,
}
STREEBOG = frozenset({Hash.STREEBOG256, Hash.STREEBOG512})
_SHA = {Hash.SHA256: "sha256", Hash.SHA384: "sha384", Hash.SHA512: "sha512"}


def digest(name: Hash, data: bytes) -> bytes:
    """The data's hash. Streebog, in Python, takes two microseconds a byte."""
    if name in STREEBOG:
        return digest_of(name, data)
    return hashlib.new(_SHA[name], data).digest()
