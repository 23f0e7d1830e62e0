"""Managed keys: names, versions and states, and what may be signed with them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from qagazsyz.signed_texts import PREFIX
from services.runtime.errors import FailedPrecondition, InvalidArgument
from signatures.algorithms import SCHEMES, Algorithm, KeyKind

# The first bytes of all texts that the platform has people sign, sign-ins and confirmations among
# them: a managed key must never sign one.
PLATFORM_PREFIX = PREFIX.encode()
# A key with a new version each day for a quarter; the message Key lists them all.
VERSIONS_LIMIT = 100

# Of the hash of an organization's name: names are UUIDs, which nobody chooses.
OWN_DIGITS = 12
# What an organization chooses of a key's id.
CHOSEN_LIMIT = 63 - OWN_DIGITS - 1

_KEY_ID = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# At most nine digits, which fit the database's 32-bit integer.
_VERSION = r"[1-9][0-9]{0,8}"
_KEY_ID_PATTERN = re.compile(_KEY_ID)
_KEY_NAME = re.compile(rf"keys/({_KEY_ID})")
_VERSION_NAME = re.compile(rf"keys/({_KEY_ID})/versions/({_VERSION})")


class KeyVersionState(IntEnum):
    """Whether a version may sign; every version verifies."""

    ENABLED = 1
    DISABLED = 2
    DESTROYED = 3


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One key pair of a key, without the private part."""

    key_id: str
    number: int
    # SubjectPublicKeyInfo, DER.
    public_key: bytes
    state: KeyVersionState
    create_time: datetime

    @property
    def name(self) -> str:
        return version_name(self.key_id, self.number)


@dataclass(frozen=True, slots=True)
class Key:
    """An organization's key with all its versions by number; the primary version signs."""

    id: str
    organization: str
    algorithm: Algorithm
    primary: int
    versions: tuple[KeyVersion, ...]
    create_time: datetime

    @property
    def name(self) -> str:
        return f"keys/{self.id}"

    @property
    def primary_name(self) -> str:
        return version_name(self.id, self.primary)

    def version(self, number: int) -> KeyVersion | None:
        """Return the version of that number, or None."""
        return next((v for v in self.versions if v.number == number), None)

    def next_number(self) -> int:
        """Return the number of the next version. Raises FailedPrecondition at VERSIONS_LIMIT."""
        if len(self.versions) >= VERSIONS_LIMIT:
            raise FailedPrecondition(
                "TOO_MANY_VERSIONS", f"a key has at most {VERSIONS_LIMIT} versions: make a new key"
            )
        return max(v.number for v in self.versions) + 1


def own_key_id(key_id: str, organization: str) -> str:
    """Return the last part of the name of an organization's key.

    The end of it is the organization's, whichever ids others have: so that nobody's choice tells or
    takes another's.
    """
    return f"{key_id}-{hashlib.sha256(organization.encode()).hexdigest()[:OWN_DIGITS]}"


def version_name(key_id: str, number: int) -> str:
    return f"keys/{key_id}/versions/{number}"


def parse_key_name(name: str, field: str) -> str:
    """Return the id in "keys/{id}". Raises InvalidArgument."""
    match = _KEY_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument(field, 'not of the form "keys/{key}"')
    return match[1]


def parse_version_name(name: str, field: str) -> tuple[str, int]:
    """Return id and number in "keys/{id}/versions/{number}". Raises InvalidArgument."""
    match = _VERSION_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument(field, 'not of the form "keys/{key}/versions/{version}"')
    return match[1], int(match[2])


def is_version_name(name: str) -> bool:
    """Return whether the name has the form of a version's."""
    return _VERSION_NAME.fullmatch(name) is not None


def check_key_id(key_id: str, field: str) -> str:
    """Return the id unchanged. Raises InvalidArgument."""
    if not _KEY_ID_PATTERN.fullmatch(key_id) or len(key_id) > CHOSEN_LIMIT:
        raise InvalidArgument(
            field, f"not 1 to {CHOSEN_LIMIT} lower-case letters, digits and inner hyphens"
        )
    return key_id


def check_algorithm(number: int, field: str) -> Algorithm:
    """Return the algorithm if keys of it are generated here. Raises InvalidArgument."""
    scheme = SCHEMES.get(number)
    if scheme is None:
        raise InvalidArgument(field, "unknown algorithm")
    if scheme.key in (KeyKind.GOST_256, KeyKind.GOST_512):
        raise InvalidArgument(field, "keys of this algorithm can only verify, not be created")
    return Algorithm(number)


def check_payload(algorithm: Algorithm, message: bytes | None, digest: bytes | None) -> None:
    """Raise InvalidArgument unless a key of the algorithm may sign this message or digest."""
    if message is not None:
        if message.startswith(PLATFORM_PREFIX):
            raise InvalidArgument(
                "message", "begins like the platform's own texts, which managed keys never sign"
            )
        return
    if digest is None:
        raise InvalidArgument("message", "neither a message nor a digest")
    scheme = SCHEMES[algorithm]
    if scheme.hash is None:
        raise InvalidArgument("digest", "this key's algorithm signs the message itself")
    if len(digest) != scheme.hash.digest_length:
        raise InvalidArgument("digest", f"not {scheme.hash.digest_length} bytes long")


def check_may_sign(version: KeyVersion) -> None:
    """Raise FailedPrecondition unless the version is enabled."""
    if version.state is not KeyVersionState.ENABLED:
        raise FailedPrecondition(
            f"KEY_VERSION_{version.state.name}", f"the version is {version.state.name.lower()}"
        )


def check_transition(version: KeyVersion, state: KeyVersionState) -> None:
    """Raise FailedPrecondition if the version cannot change to the state: it is destroyed."""
    destroyed = KeyVersionState.DESTROYED
    if version.state is destroyed and state is not destroyed:
        raise FailedPrecondition("KEY_VERSION_DESTROYED", "the version is destroyed")
