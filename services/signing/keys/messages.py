"""Make the contract's messages of keys and versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import keys_pb2
from services.runtime.clock import to_timestamp
from services.signing.keys.rules import Key, KeyVersion


def key_message(key: Key) -> keys_pb2.Key:
    """Return the message of a key with all its versions."""
    return keys_pb2.Key(
        name=key.name,
        organization=key.organization,
        algorithm=cast("signatures_pb2.SignatureAlgorithm", int(key.algorithm)),
        primary_version=key.primary_name,
        versions=[version_message(version) for version in key.versions],
        create_time=to_timestamp(key.create_time),
    )


def version_message(version: KeyVersion) -> keys_pb2.KeyVersion:
    """Return the message of one version."""
    return keys_pb2.KeyVersion(
        name=version.name,
        public_key=version.public_key,
        state=cast("keys_pb2.KeyVersionState", int(version.state)),
        create_time=to_timestamp(version.create_time),
    )


def key_messages(keys: Iterable[Key], *, limit_bytes: int) -> list[keys_pb2.Key]:
    """Return the messages of the first keys that fit the limit together, of at least one."""
    messages: list[keys_pb2.Key] = []
    length = 0
    for key in keys:
        message = key_message(key)
        length += message.ByteSize()
        if messages and length > limit_bytes:
            break
        messages.append(message)
    return messages
