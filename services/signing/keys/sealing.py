"""Private keys at rest: AES-256-GCM under a key-encryption key that lives in a file of its own.

The name of the key's version is the associated data, so that a ciphertext that
was moved to another version's row opens nothing. The key-encryption key's id
stands beside each ciphertext: a new one can be brought in while the old one
still opens what it closed, and rewrapping moves everything over.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.runtime.clock import Randomness, system_randomness
from services.runtime.secret_files import SecretRefused, read_secret

KEY_BYTES = 32
# NIST SP 800-38D: 96 bits, drawn at random; far below 2**32 of them under one key.
NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class CannotUnseal(Exception):
    """The ciphertext is another version's, was changed, or is under a key that is not here."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted private key and the id of the key that encrypted it."""

    wrapping_key_id: str
    # Nonce, ciphertext, tag.
    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class KeyEncryptionKey:
    """A key that encrypts keys."""

    id: str
    secret: bytes

    @classmethod
    def load(cls, path: Path) -> KeyEncryptionKey:
        """The key in a file of one line, "<id> <base64>". Raises SecretRefused."""
        try:
            key_id, encoded = read_secret(path).decode("ascii").split()
            secret = base64.b64decode(encoded, validate=True)
        except (UnicodeDecodeError, ValueError, binascii.Error):
            raise SecretRefused(f"{path} is no line of an id and a key in base64") from None
        if not _ID.fullmatch(key_id) or len(secret) != KEY_BYTES:
            raise SecretRefused(f"{path} is no line of an id and {KEY_BYTES} bytes in base64")
        return cls(key_id, secret)


class KeyVault:
    """Seals under the current key-encryption key; unseals what any of the known ones sealed."""

    def __init__(
        self,
        current: KeyEncryptionKey,
        *older: KeyEncryptionKey,
        randomness: Randomness = system_randomness,
    ) -> None:
        self.current_id = current.id
        self._ciphers = {key.id: AESGCM(key.secret) for key in (*older, current)}
        if len(self._ciphers) != 1 + len(older):
            raise ValueError("two key-encryption keys bear the same id")
        self._randomness = randomness

    def knows(self, key_id: str) -> bool:
        """Whether what that key sealed can be opened here."""
        return key_id in self._ciphers

    def seal(self, plaintext: bytes, *, version: str) -> Sealed:
        """The private key of a version, encrypted for that version's name."""
        nonce = self._randomness(NONCE_BYTES)
        cipher = self._ciphers[self.current_id]
        return Sealed(self.current_id, nonce + cipher.encrypt(nonce, plaintext, version.encode()))

    def unseal(self, sealed: Sealed, *, version: str) -> bytes:
        """The private key. Raises CannotUnseal."""
        cipher = self._ciphers.get(sealed.wrapping_key_id)
        if cipher is None:
            raise CannotUnseal("sealed under a key-encryption key that is not known here")
        nonce, ciphertext = sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, version.encode())
        except (InvalidTag, ValueError):
            raise CannotUnseal("not what was sealed for this version") from None
