"""Seal what a database must not hold in clear: AES-256-GCM under a key from a file.

The record's name is the associated data, so that a ciphertext copied into another record's row does
not open. Each ciphertext has the id of its key beside it: a new key can be introduced while the old
one still opens what it sealed.
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
from services.runtime.secret_files import SecretRefused, read_secret, write_secret

KEY_BYTES = 32
# NIST SP 800-38D: 96 bits, random; far fewer than 2**32 seals under one key.
NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class CannotUnseal(Exception):
    """The ciphertext is another record's, was changed, or is under an unknown key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted value, and the id of its key."""

    key_id: str
    # Nonce, ciphertext, tag.
    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class SecretKey:
    """A key. Its file has one line, "<id> <base64 of 32 bytes>"."""

    id: str
    secret: bytes

    @classmethod
    def generate(cls, now: datetime, randomness: Randomness = system_randomness) -> SecretKey:
        """Make a fresh key, whose id sorts by the time (UUIDv7)."""
        return cls(str(uuid7(now, randomness)), randomness(KEY_BYTES))

    @classmethod
    def load(cls, path: Path) -> SecretKey:
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


def create_key(path: Path, *, now: datetime, randomness: Randomness) -> None:
    """Write a fresh key's file (mode 0600)."""
    write_secret(path, SecretKey.generate(now, randomness).to_line())
    # A service must be able to read what it will find.
    SecretKey.load(path)


def load_keys(current: Path, previous: Path | None) -> tuple[SecretKey, ...]:
    """Load the current key, and the one before it if there is one. Raises SecretRefused."""
    key = SecretKey.load(current)
    if previous is None:
        return (key,)
    older = SecretKey.load(previous)
    if older.id == key.id:
        raise SecretRefused(f"{previous} has the same id as the current key, {current}")
    return (key, older)


class Vault:
    """Seals under the current key; unseals under every known one."""

    def __init__(
        self,
        current: SecretKey,
        *older: SecretKey,
        randomness: Randomness = system_randomness,
    ) -> None:
        """Raises ValueError if two keys have the same id."""
        self.current_id = current.id
        self._ciphers = {key.id: AESGCM(key.secret) for key in (*older, current)}
        if len(self._ciphers) != 1 + len(older):
            raise ValueError("two keys have the same id")
        self._randomness = randomness

    def knows(self, key_id: str) -> bool:
        """Return whether this vault has the key of that id."""
        return key_id in self._ciphers

    def seal(self, plaintext: bytes, *, record: str) -> Sealed:
        """Encrypt a value, bound to its record's name."""
        nonce = self._randomness(NONCE_BYTES)
        cipher = self._ciphers[self.current_id]
        return Sealed(self.current_id, nonce + cipher.encrypt(nonce, plaintext, record.encode()))

    def unseal(self, sealed: Sealed, *, record: str) -> bytes:
        """Decrypt a value. Raises CannotUnseal."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise CannotUnseal("sealed under an unknown key")
        nonce, ciphertext = sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, record.encode())
        except (InvalidTag, ValueError):
            raise CannotUnseal("not the ciphertext that was sealed for this record") from None
