"""Parse, verify and sign notes and checkpoints (C2SP signed-note, tlog-checkpoint,
tlog-cosignature).

A note is a text, an empty line and signature lines; a checkpoint is a note whose text names a log,
its size and its root hash. Two types of signature are supported: a log's own Ed25519 signature, and
a witness' timestamped cosignature. Lines by unknown keys are ignored, as the format demands; an
invalid signature by a known key makes the whole note invalid.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from qagazsyz.merkle import HASH_SIZE

# Sixteen signatures must be accepted (signed-note); post-quantum ones have 5 kB each.
NOTE_LIMIT_BYTES = 100_000
# Beyond the sixteen there may be a few of several logs' old keys.
SIGNATURES_LIMIT = 64
# Sizes are int64 in the contracts.
SIZE_LIMIT = 2**63 - 1

# The algorithm byte of witnesses' ML-DSA-44 cosignatures (signed-note).
_ML_DSA_COSIGNATURE = b"\x06"
_KEY_ID_SIZE = 4
_ED25519_SIZE = 32
_SIGNATURE_SIZE = 64
_TIMESTAMP_SIZE = 8
_DASH = "— "


class NoteError(ValueError):
    """A note, a key or a signature is malformed or invalid."""


class SignatureType(IntEnum):
    """The algorithm byte of signed-note, in which a verifier key's material begins."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named public key: a log's, or a witness'."""

    name: str
    type: SignatureType
    public_key: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Parse a key written as name+hash+key. Raises NoteError."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise NoteError("a verifier key has the form name+hash+key")
        name, hash_, encoded = parts
        _check_name(name)
        material = _decode(encoded, "the verifier key")
        if material[:1] == _ML_DSA_COSIGNATURE:
            raise NoteError("a verifier key of ML-DSA, whose cosignatures are not supported yet")
        if not material or material[0] not in SignatureType.__members__.values():
            raise NoteError("a verifier key of an unknown type")
        if len(material) != 1 + _ED25519_SIZE:
            raise NoteError("a verifier key of a wrong length")
        key = cls(name, SignatureType(material[0]), material[1:])
        if key.id.hex() != hash_:
            raise NoteError("the verifier key's hash is not its own")
        return key

    @property
    def id(self) -> bytes:
        """The key id: the four bytes in which its signatures begin."""
        named = self.name.encode() + b"\n" + bytes([self.type]) + self.public_key
        return hashlib.sha256(named).digest()[:_KEY_ID_SIZE]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.type]) + self.public_key).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def verify(self, text: str, signature: bytes) -> int | None:
        """Verify a signature; return a cosignature's time in POSIX seconds, None for a log's own.

        signature: the bytes behind the key id in the line. Raises NoteError.
        """
        time = None
        message = text.encode()
        if self.type is SignatureType.COSIGNATURE:
            if len(signature) != _TIMESTAMP_SIZE + _SIGNATURE_SIZE:
                raise NoteError("a cosignature of a wrong length")
            time = int.from_bytes(signature[:_TIMESTAMP_SIZE], "big")
            if time > SIZE_LIMIT:
                raise NoteError("a cosignature's time is out of range")
            message = _cosigned(text, time)
            signature = signature[_TIMESTAMP_SIZE:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise NoteError("the note's signature does not hold") from None
        return time


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, with its newline."""
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_DASH}{self.name} {encoded}\n"

    def is_by(self, key: VerifierKey) -> bool:
        """Return whether the line names that key, which verifies nothing yet."""
        return self.name == key.name and self.key_id == key.id


@dataclass(frozen=True, slots=True)
class Note:
    """A text, with its last newline, and its signatures, not yet verified."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Parse a note. Raises NoteError."""
        if len(data) > NOTE_LIMIT_BYTES:
            raise NoteError("the note is too long")
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise NoteError("the note is not UTF-8") from None
        if any(character < " " and character != "\n" for character in whole):
            raise NoteError("the note has control characters")
        text, separator, lines = whole.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise NoteError("the note has no signatures")
        # Only newlines end a line here, unlike in str.splitlines.
        signatures = [_parse_line(line) for line in lines[:-1].split("\n")]
        if len(signatures) > SIGNATURES_LIMIT:
            raise NoteError("the note has too many signatures")
        return cls(text + "\n", tuple(signatures))

    def verify(self, keys: Sequence[VerifierKey]) -> dict[VerifierKey, int | None]:
        """Return the keys that signed the note, with the times of their cosignatures.

        Keys that did not sign are left out. Raises NoteError if a signature by one of the keys is
        invalid.
        """
        verified: dict[VerifierKey, int | None] = {}
        for signature in self.signatures:
            for key in keys:
                if signature.is_by(key):
                    verified[key] = key.verify(self.text, signature.signature)
        return verified

    def __bytes__(self) -> bytes:
        return "".join([self.text, "\n", *(each.line for each in self.signatures)]).encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root hash."""

    origin: str
    tree_size: int
    root_hash: bytes

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Parse a checkpoint from a note's text, ignoring extension lines. Raises NoteError."""
        lines = text.removesuffix("\n").split("\n")
        if len(lines) < 3 or not all(lines):
            raise NoteError("a checkpoint has at least three lines, none of them empty")
        origin, size, root = lines[:3]
        if not (size.isascii() and size.isdigit()) or (size[0] == "0" and size != "0"):
            raise NoteError("the checkpoint's size is no number")
        # Checked by length first: int() refuses very long numbers with an error of its own.
        if len(size) > len(str(SIZE_LIMIT)) or int(size) > SIZE_LIMIT:
            raise NoteError("the checkpoint's size is out of range")
        root_hash = _decode(root, "the checkpoint's root hash")
        if len(root_hash) != HASH_SIZE:
            raise NoteError("the checkpoint's root hash has not 32 bytes")
        return cls(origin, int(size), root_hash)

    @property
    def text(self) -> str:
        """The text of its note."""
        return f"{self.origin}\n{self.tree_size}\n{base64.b64encode(self.root_hash).decode()}\n"


def open_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Parse a note, verify the log's signature, and return its checkpoint. Raises NoteError."""
    note = Note.parse(data)
    if key not in note.verify([key]):
        raise NoteError("the checkpoint is not signed by the log's key")
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != key.name:
        raise NoteError("the checkpoint is another log's")
    return checkpoint


def verifier_key(
    name: str, key: Ed25519PrivateKey, type_: SignatureType = SignatureType.ED25519
) -> VerifierKey:
    """Return the verifier key of a private key. Raises NoteError for a malformed name."""
    _check_name(name)
    return VerifierKey(name, type_, key.public_key().public_bytes_raw())


def sign(text: str, key: VerifierKey, private_key: Ed25519PrivateKey) -> Signature:
    """Sign the text as a log."""
    return Signature(key.name, key.id, private_key.sign(text.encode()))


def cosign(text: str, key: VerifierKey, private_key: Ed25519PrivateKey, time: int) -> Signature:
    """Cosign a checkpoint's text as a witness, at a time in POSIX seconds."""
    signature = private_key.sign(_cosigned(text, time))
    return Signature(key.name, key.id, time.to_bytes(_TIMESTAMP_SIZE, "big") + signature)


def cosignature_time(line: str) -> int:
    """Return the time of a cosignature's line, in POSIX seconds, which is not verified; 0 for a
    line that has none. Raises NoteError for another line."""
    signature = _parse_line(line.removesuffix("\n")).signature
    if len(signature) != _TIMESTAMP_SIZE + _SIGNATURE_SIZE:
        return 0
    return int.from_bytes(signature[:_TIMESTAMP_SIZE], "big")


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _parse_line(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise NoteError("a signature line begins with an em dash")
    name, separator, encoded = line[len(_DASH) :].partition(" ")
    if not separator:
        raise NoteError("a signature line names a key and a signature")
    _check_name(name)
    decoded = _decode(encoded, "a signature")
    if len(decoded) <= _KEY_ID_SIZE:
        raise NoteError("a signature is too short")
    return Signature(name, decoded[:_KEY_ID_SIZE], decoded[_KEY_ID_SIZE:])


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise NoteError("a key's name is empty or has spaces or a plus")


def _decode(encoded: str, what: str) -> bytes:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
    # Refuse stray bits behind the last byte, so that each value has one encoding.
    if base64.b64encode(decoded).decode() != encoded:
        raise NoteError(f"{what} is not base64 in its usual form")
    return decoded
