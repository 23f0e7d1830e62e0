"""Phone numbers at rest: found by a keyed hash, and encrypted.

There are so few numbers that a plain hash of one is as good as the number: SHA-256 of all of a
country's is computed in minutes. So the hash is an HMAC under a key that the database does not
have, and so is that of a card. Each number is sealed with AES-256-GCM, its hash being the
associated data: a ciphertext that is copied into another number's row does not open.
"""

from __future__ import annotations

import hmac
import re
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from services.runtime.clock import Randomness
from services.runtime.errors import InvalidArgument
from services.runtime.secret_files import SecretRefused, read_secret, write_secret

# The file of the key, in identity's folder.
NUMBER_KEY = "phone-numbers.key"
NUMBER_KEY_BYTES = 32
# NIST SP 800-38D: 96 bits, random; far fewer than 2**32 seals under one key.
NONCE_BYTES = 12

# E.164, as it is written in full: at most fifteen digits.
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
# ITU-T E.118, with and without its check digit.
_ICCID = re.compile(r"[0-9]{18,20}")


class NumberVault:
    """Hashes and seals numbers under one key."""

    def __init__(self, key: bytes, randomness: Randomness) -> None:
        self._hash_key = _derive(key, b"hash")
        self._cipher = AESGCM(_derive(key, b"seal"))
        self._randomness = randomness
        # What the database keeps, so that another key is noticed: it would find nobody.
        self.key_id = _derive(key, b"id").hex()

    def hash_number(self, number: str) -> str:
        """Return the hash by which a number is found, 64 hex digits."""
        return self._hash(f"number {number}")

    def hash_card(self, iccid: str) -> str:
        """Return the hash by which a card is told from another, 64 hex digits."""
        return self._hash(f"card {iccid}")

    def seal(self, number: str) -> bytes:
        """Encrypt a number: nonce, ciphertext, tag."""
        nonce = self._randomness(NONCE_BYTES)
        bound_to = self.hash_number(number).encode()
        return nonce + self._cipher.encrypt(nonce, number.encode(), bound_to)

    def open(self, sealed: bytes, number_hash: str) -> str:
        """Decrypt a number. Raises cryptography's InvalidTag if it was not sealed for this hash
        with this key."""
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        return self._cipher.decrypt(nonce, ciphertext, number_hash.encode()).decode()

    def _hash(self, text: str) -> str:
        return hmac.digest(self._hash_key, text.encode(), "sha256").hex()


def load_number_vault(folder: Path, randomness: Randomness) -> NumberVault:
    """Return the vault of the key in identity's folder; make the key if there is none, as in a
    folder of an earlier version. Raises SecretRefused."""
    path = folder / NUMBER_KEY
    if not path.exists():
        # Another replica may make it at the same moment.
        with suppress(FileExistsError):
            make_number_key(folder, randomness)
    key = read_secret(path)
    if len(key) != NUMBER_KEY_BYTES:
        raise SecretRefused(f"{path} has not {NUMBER_KEY_BYTES} bytes")
    return NumberVault(key, randomness)


def make_number_key(folder: Path, randomness: Randomness) -> None:
    """Write a new key into identity's folder. Raises FileExistsError, and SecretRefused if the
    folder cannot be written."""
    path = folder / NUMBER_KEY
    try:
        write_secret(path, randomness(NUMBER_KEY_BYTES))
    except FileExistsError:
        raise
    except OSError as error:
        raise SecretRefused(f"{path} cannot be written: {error.strerror}") from None


def check_number(number: str, field: str) -> str:
    """Return a number in the form of E.164. Raises InvalidArgument."""
    if not _NUMBER.fullmatch(number):
        raise InvalidArgument(field, "not a number in the form of E.164, + and 7 to 15 digits")
    return number


def check_iccid(iccid: str, field: str) -> str:
    """Return a card's number. Raises InvalidArgument."""
    if not _ICCID.fullmatch(iccid):
        raise InvalidArgument(field, "not 18 to 20 digits")
    return iccid


def _derive(key: bytes, use: bytes) -> bytes:
    """Return the key of one use (RFC 5869, section 2.3: the key is uniformly random already)."""
    return HKDFExpand(SHA256(), 32, b"qagazsyz phone numbers " + use).derive(key)
