"""Managed keys: which names there are, what may be signed, and how a version's state changes."""

from __future__ import annotations

import pytest

from qagazsyz.signing.v1 import keys_pb2
from services.runtime.errors import FailedPrecondition, InvalidArgument
from services.signing.keys.rules import (
    PLATFORM_PREFIX,
    VERSIONS_LIMIT,
    Key,
    KeyVersion,
    KeyVersionState,
    check_algorithm,
    check_key_id,
    check_may_sign,
    check_payload,
    check_transition,
    is_version_name,
    parse_key_name,
    parse_version_name,
)
from signatures.algorithms import Algorithm
from tests.unit.signing.builders import MINISTRY, NOW, contract_numbers

GOST = (Algorithm.GOST3410_2012_256, Algorithm.GOST3410_2012_512)
ENABLED, DISABLED, DESTROYED = KeyVersionState


def version(number: int = 1, state: KeyVersionState = ENABLED) -> KeyVersion:
    return KeyVersion("seal", number, b"spki", state, NOW)


def test_states_are_those_of_the_contract() -> None:
    contract = contract_numbers(keys_pb2.KeyVersionState.DESCRIPTOR, "KEY_VERSION_STATE_")
    assert {state.name: state.value for state in KeyVersionState} | {"UNSPECIFIED": 0} == contract


@pytest.mark.parametrize("number", [*GOST, 0, 19, -1])
def test_no_key_is_created_of_gost_or_of_an_unknown_algorithm(number: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_algorithm(number, "key.algorithm")
    assert caught.value.field == "key.algorithm"


@pytest.mark.parametrize(
    ("algorithm", "message", "digest", "field"),
    [
        (Algorithm.ED25519, PLATFORM_PREFIX, None, "message"),
        (Algorithm.ED25519, PLATFORM_PREFIX + b"\nqagazsyz\n", None, "message"),
        (Algorithm.RSA_PKCS1_SHA256, PLATFORM_PREFIX + b"x", None, "message"),
        (Algorithm.ED25519, None, None, "message"),
        (Algorithm.ED25519, None, bytes(64), "digest"),
        (Algorithm.ML_DSA_65, None, bytes(64), "digest"),
        (Algorithm.ECDSA_P256_SHA256, None, bytes(31), "digest"),
        (Algorithm.ECDSA_P256_SHA256, None, b"", "digest"),
        (Algorithm.ECDSA_P384_SHA384, None, bytes(32), "digest"),
    ],
)
def test_a_managed_key_signs_no_challenge_and_no_digest_of_another_length(
    algorithm: Algorithm, message: bytes | None, digest: bytes | None, field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_payload(algorithm, message, digest)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("message", "digest"), [(b"", None), (b"qagazsyz", None), (None, bytes(32))]
)
def test_other_messages_and_digests_of_the_right_length_pass(
    message: bytes | None, digest: bytes | None
) -> None:
    check_payload(Algorithm.ECDSA_P256_SHA256, message, digest)


@pytest.mark.parametrize("key_id", ["A", "-a", "a-", "a/b", "a" * 64, "ключ", "a\x00", " a"])
def test_an_id_of_other_characters_or_length_is_refused(key_id: str) -> None:
    with pytest.raises(InvalidArgument):
        check_key_id(key_id, "key_id")


def test_names_are_read_whole() -> None:
    assert parse_key_name("keys/seal-1", "name") == "seal-1"
    assert parse_version_name("keys/seal-1/versions/12", "name") == ("seal-1", 12)
    for name in ("keys/", "keys/a/versions/1", "seal", "keys/a\n", "keys/" + "a" * 64):
        with pytest.raises(InvalidArgument):
            parse_key_name(name, "name")
    for name in ("keys/a/versions/0", "keys/a/versions/01", "keys/a/versions/9999999999"):
        assert not is_version_name(name)
        with pytest.raises(InvalidArgument):
            parse_version_name(name, "name")


def test_only_an_enabled_version_signs() -> None:
    check_may_sign(version())
    for state in (DISABLED, DESTROYED):
        with pytest.raises(FailedPrecondition) as caught:
            check_may_sign(version(state=state))
        assert caught.value.reason == f"KEY_VERSION_{state.name}"


@pytest.mark.parametrize("now", KeyVersionState)
@pytest.mark.parametrize("then", KeyVersionState)
def test_any_state_may_follow_but_none_after_destroyed(
    now: KeyVersionState, then: KeyVersionState
) -> None:
    if now is DESTROYED and then is not DESTROYED:
        with pytest.raises(FailedPrecondition):
            check_transition(version(state=now), then)
    else:
        check_transition(version(state=now), then)


def test_versions_are_numbered_on_up_to_a_limit() -> None:
    def key(versions: int) -> Key:
        made = tuple(version(number) for number in range(1, versions + 1))
        return Key("seal", MINISTRY, Algorithm.ED25519, versions, made, NOW)

    assert key(1).next_number() == 2
    with pytest.raises(FailedPrecondition) as caught:
        key(VERSIONS_LIMIT).next_number()
    assert caught.value.reason == "TOO_MANY_VERSIONS"
