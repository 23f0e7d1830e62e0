"""Managed keys, those of the signing service: they cannot be used to sign in.

A caller who may have a managed key sign a digest could have it sign that of a sign-in challenge or
of a certification request, since the signing service cannot tell what a digest is of. So signing
announces each key to identity before it can be used, and identity issues no token for a signature
by such a key, whatever certificate is over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.runtime.errors import InvalidArgument
from signatures.keys import (
    EllipticKey,
    MalformedKey,
    UnsupportedKey,
    certificate_spki,
    load_public_key,
)


def key_fingerprint(spki: bytes) -> str:
    """Return the lower-case hex SHA-256 of the key's canonical SubjectPublicKeyInfo, DER.

    A point of an elliptic curve has two encodings, of which the uncompressed one is hashed; of
    other keys strict DER leaves one. Raises MalformedKey or UnsupportedKey.
    """
    key = load_public_key(spki)
    if isinstance(key, EllipticKey):
        spki = key.handle.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def certified_key(der: bytes) -> str:
    """Return the fingerprint of a certificate's key, by which it is told whose the key is; of a key
    of an unsupported kind, that of its bytes. Raises MalformedKey."""
    spki = certificate_spki(der)
    try:
        return key_fingerprint(spki)
    except (MalformedKey, UnsupportedKey):
        return hashlib.sha256(spki).hexdigest()


def key_fingerprints(public_keys: Iterable[bytes]) -> list[str]:
    """Return the keys' fingerprints, in order. Raises InvalidArgument naming the first key that
    cannot be read."""
    found = []
    for index, spki in enumerate(public_keys):
        try:
            found.append(key_fingerprint(spki))
        except (MalformedKey, UnsupportedKey) as error:
            raise InvalidArgument(f"public_keys[{index}]", str(error)) from None
    return found
