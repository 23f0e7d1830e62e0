"""Encrypt texts and numbers for storage, and hash what must be found again.

AES-256-GCM under the message key, from a file; the record's name is the associated data, so that a
ciphertext copied into another row does not open. Each ciphertext has the id of its key beside it: a
new key can take the place of one that still opens what it encrypted, until that is erased.

Numbers and contents are found by HMAC-SHA-256 under the lookup key: there are few enough numbers to
try all of them against a hash without a key. The lookup key stays for good.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.runtime.clock import Randomness, system_randomness
from services.runtime.secret_files import SecretRefused, read_secret

KEY_BYTES = 32
# NIST SP 800-38D: 96 bits, random; far fewer than 2**32 messages under one key.
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
    """A key from a file of one line, "<id> <base64 of 32 bytes>"."""

    id: str
    secret: bytes

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


class Vault:
    """Encrypts under the current message key, decrypts under every known one, and hashes."""

    def __init__(
        self,
        lookup: SecretKey,
        current: SecretKey,
        *older: SecretKey,
        randomness: Randomness = system_randomness,
    ) -> None:
        """Raises ValueError if two message keys have the same id."""
        self._lookup = lookup.secret
        self._current = current.id
        self._ciphers = {key.id: AESGCM(key.secret) for key in (*older, current)}
        if len(self._ciphers) != 1 + len(older):
            raise ValueError("two message keys have the same id")
        self._randomness = randomness

    def knows(self, key_id: str) -> bool:
        """Return whether this vault has the message key of that id."""
        return key_id in self._ciphers

    def seal(self, plaintext: bytes, *, record: str) -> Sealed:
        """Encrypt a value, bound to its record's name."""
        nonce = self._randomness(NONCE_BYTES)
        encrypted = self._ciphers[self._current].encrypt(nonce, plaintext, record.encode())
        return Sealed(self._current, nonce + encrypted)

    def unseal(self, sealed: Sealed, *, record: str) -> bytes:
        """Decrypt a value. Raises CannotUnseal."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise CannotUnseal("sealed under an unknown message key")
        nonce, ciphertext = sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, record.encode())
        except (InvalidTag, ValueError):
            raise CannotUnseal("not the ciphertext that was sealed for this record") from None

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """Return the keyed hash of parts, 32 bytes; equal parts of one purpose hash alike."""
        mac = hmac.new(self._lookup, digestmod=hashlib.sha256)
        for part in (purpose.encode(), *parts):
            mac.update(len(part).to_bytes(4, "big") + part)
        return mac.digest()

    def number(self, phone: str) -> bytes:
        """Return the keyed hash of a number in E.164, which finds what is sent to and from it."""
        return self.digest("number", phone.encode())
