"""Seal private keys for storage: AES-256-GCM under a key-encryption key (KEK) from a file.

The name of the key's version is the associated data, so that a ciphertext copied into another
version's row does not open. Each ciphertext has the id of its key-encryption key beside it: a new
one can be introduced while the old one still opens what it sealed, and rewrapping moves the rest.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.runtime.clock import Randomness, system_randomness, uuid7
from services.runtime.secret_files import SecretRefused, read_secret

KEY_BYTES = 32
# NIST SP 800-38D: 96 bits, random; far fewer than 2**32 seals under one key.
NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class CannotUnseal(Exception):
    """The ciphertext is another version's, was changed, or is under an unknown key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted private key, and the id of the key-encryption key."""

    wrapping_key_id: str
    # Nonce, ciphertext, tag.
    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class KeyEncryptionKey:
    """A key that encrypts private keys. Its file has one line, "<id> <base64 of 32 bytes>"."""

    id: str
    secret: bytes

    @classmethod
    def generate(
        cls, now: datetime, randomness: Randomness = system_randomness
    ) -> KeyEncryptionKey:
        """Make a fresh key, whose id sorts by the time (UUIDv7)."""
        return cls(str(uuid7(now, randomness)), randomness(KEY_BYTES))

    @classmethod
    def load(cls, path: Path) -> KeyEncryptionKey:
        """Read a key from its file. Raises SecretRefused."""
        try:
            key_id, encoded = read_secret(path).decode("ascii").split()
            secret = base64.b64decode(encoded, validate=True)
        except (UnicodeDecodeError, ValueError, binascii.Error):
            raise SecretRefused(f'{path} is not one line "<id> <key in base64>"') from None
        if not _ID.fullmatch(key_id) or len(secret) != KEY_BYTES:
            raise SecretRefused(f"{path} is not a line of an id and {KEY_BYTES} bytes in base64")
        return cls(key_id, secret)

    def to_line(self) -> bytes:
        """Return the content of the key's file, which `load` reads."""
        return f"{self.id} {base64.b64encode(self.secret).decode()}\n".encode()


class KeyVault:
    """Seals under the current key-encryption key; unseals under every known one."""

    def __init__(
        self,
        current: KeyEncryptionKey,
        *older: KeyEncryptionKey,
        randomness: Randomness = system_randomness,
    ) -> None:
        """Raises ValueError if two keys have the same id."""
        self.current_id = current.id
        self._ciphers = {key.id: AESGCM(key.secret) for key in (*older, current)}
        if len(self._ciphers) != 1 + len(older):
            raise ValueError("two key-encryption keys have the same id")
        self._randomness = randomness

    def knows(self, key_id: str) -> bool:
        """Return whether this vault has the key-encryption key of that id."""
        return key_id in self._ciphers

    def seal(self, plaintext: bytes, *, version: str) -> Sealed:
        """Encrypt the private key of a version, bound to the version's name."""
        nonce = self._randomness(NONCE_BYTES)
        cipher = self._ciphers[self.current_id]
        return Sealed(self.current_id, nonce + cipher.encrypt(nonce, plaintext, version.encode()))

    def unseal(self, sealed: Sealed, *, version: str) -> bytes:
        """Decrypt the private key of a version. Raises CannotUnseal."""
        cipher = self._ciphers.get(sealed.wrapping_key_id)
        if cipher is None:
            raise CannotUnseal("sealed under an unknown key-encryption key")
        nonce, ciphertext = sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, version.encode())
        except (InvalidTag, ValueError):
            raise CannotUnseal("not the ciphertext that was sealed for this version") from None
