"""Keys that the signing service holds, which sign nobody in.

Whoever may sign a digest with such a key can have it sign the digest of a sign-in
challenge, or of a certification request: the signing service cannot tell which it
is. So it tells identity of each key before anybody may use it, and identity gives
no token for such a key's signature, whatever certificate is over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.runtime.errors import InvalidArgument
from signatures.keys import EllipticKey, MalformedKey, UnsupportedKey, load_public_key


def key_fingerprint(spki: bytes) -> str:
    """The lower-case hex SHA-256 of the key's one SubjectPublicKeyInfo, in DER.

    The point of an elliptic curve may be written in two forms and is taken in the longer one;
    of other keys strict DER leaves one form. Raises MalformedKey or UnsupportedKey.
    """
    key = load_public_key(spki)
    if isinstance(key, EllipticKey):
        spki = key.handle.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def key_fingerprints(public_keys: Iterable[bytes]) -> list[str]:
    """Of each, in order. Raises InvalidArgument that names the first that cannot be read."""
    found = []
    for index, spki in enumerate(public_keys):
        try:
            found.append(key_fingerprint(spki))
        except (MalformedKey, UnsupportedKey) as error:
            raise InvalidArgument(f"public_keys[{index}]", str(error)) from None
    return found
