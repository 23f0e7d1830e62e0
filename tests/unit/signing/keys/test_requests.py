"""What requests of KeyService are parsed into."""

from __future__ import annotations

import pytest

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import keys_pb2
from services.runtime.errors import InvalidArgument
from services.signing.keys.requests import (
    BATCH_SIGN_LIMIT,
    ParsedKey,
    check_batch_sign,
    parse_create_key,
    parse_payload,
)
from signatures.algorithms import Algorithm
from tests.unit.signing.builders import MINISTRY

ED25519 = signatures_pb2.SIGNATURE_ALGORITHM_ED25519


def test_a_new_key_has_an_organization_an_algorithm_and_perhaps_an_id() -> None:
    key = keys_pb2.Key(organization=MINISTRY, algorithm=ED25519)
    for key_id in ("", "seal"):
        parsed = parse_create_key(keys_pb2.CreateKeyRequest(key=key, key_id=key_id))
        assert parsed == ParsedKey(MINISTRY, Algorithm.ED25519, key_id)


@pytest.mark.parametrize(
    ("algorithm", "key_id", "field"),
    [
        (signatures_pb2.SIGNATURE_ALGORITHM_UNSPECIFIED, "", "key.algorithm"),
        (ED25519, "Seal", "key_id"),
    ],
)
def test_a_new_key_that_cannot_be_created_names_its_field(
    algorithm: signatures_pb2.SignatureAlgorithm, key_id: str, field: str
) -> None:
    key = keys_pb2.Key(organization=MINISTRY, algorithm=algorithm)
    with pytest.raises(InvalidArgument) as caught:
        parse_create_key(keys_pb2.CreateKeyRequest(key=key, key_id=key_id))
    assert caught.value.field == field


def test_a_payload_is_a_message_a_digest_or_neither_and_may_be_empty() -> None:
    assert parse_payload(keys_pb2.SignItem(message=b"")) == (b"", None)
    assert parse_payload(keys_pb2.SignItem(digest=b"d")) == (None, b"d")
    assert parse_payload(keys_pb2.SignRequest()) == (None, None)


def test_a_batch_has_as_many_items_as_the_contract_allows() -> None:
    items = [keys_pb2.SignItem()] * BATCH_SIGN_LIMIT
    check_batch_sign(keys_pb2.BatchSignRequest(items=items))
    with pytest.raises(InvalidArgument) as caught:
        check_batch_sign(keys_pb2.BatchSignRequest(items=[*items, keys_pb2.SignItem()]))
    assert caught.value.field == "items"
