"""Keys as the contract's messages."""

from __future__ import annotations

from datetime import UTC

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import keys_pb2
from services.signing.keys.messages import key_message, key_messages
from services.signing.keys.rules import Key, KeyVersion, KeyVersionState
from signatures.algorithms import Algorithm
from tests.unit.signing.builders import MINISTRY, NOW


def key(key_id: str) -> Key:
    versions = (
        KeyVersion(key_id, 1, b"old", KeyVersionState.DESTROYED, NOW),
        KeyVersion(key_id, 2, b"new", KeyVersionState.ENABLED, NOW),
    )
    return Key(key_id, MINISTRY, Algorithm.ED25519, 2, versions, NOW)


def test_a_keys_message_names_its_versions_and_the_one_that_signs() -> None:
    message = key_message(key("seal"))
    assert (message.name, message.organization) == ("keys/seal", MINISTRY)
    assert message.algorithm == signatures_pb2.SIGNATURE_ALGORITHM_ED25519
    assert message.primary_version == "keys/seal/versions/2"
    assert message.create_time.ToDatetime(UTC) == NOW
    assert [(v.name, v.public_key, v.state) for v in message.versions] == [
        ("keys/seal/versions/1", b"old", keys_pb2.KEY_VERSION_STATE_DESTROYED),
        ("keys/seal/versions/2", b"new", keys_pb2.KEY_VERSION_STATE_ENABLED),
    ]


def test_as_many_messages_are_made_as_fit_and_at_least_one() -> None:
    keys = [key(key_id) for key_id in "abc"]
    size = key_message(keys[0]).ByteSize()
    for limit, count in ((1, 1), (2 * size - 1, 1), (2 * size, 2), (9 * size, 3)):
        assert len(key_messages(keys, limit_bytes=limit)) == count
    assert key_messages([], limit_bytes=1) == []
