"""Offline verification: a receipt proves what it says; no changed copy of it proves anything."""

from __future__ import annotations

import hashlib

import pytest
import rfc8785
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from qagazsyz import notes
from qagazsyz.merkle import leaf_hash, node_hash
from qagazsyz.receipts import (
    MalformedReceipt,
    NotIncluded,
    ReceiptError,
    VerifiedReceipt,
    WrongCheckpoint,
    WrongContent,
    WrongOpening,
    commitment,
    parse_entry,
    verify_receipt,
)
from qagazsyz.registry.v1.receipts_pb2 import Opening, Receipt
from tests.unit.registry.ledger import log_key

KEY = log_key()
CONTENT = "Мекенжай анықтамасы".encode()
DIGEST = hashlib.sha256(CONTENT).digest()
SALTS = [bytes([i]) * 32 for i in range(3)]
SUBJECTS = [b"subjects/one", b"subjects/other"]
ENTRY = rfc8785.dumps(
    {
        "v": 1,
        "event": "registered",
        "content_sha256": commitment(SALTS[0], DIGEST),
        "subjects": [commitment(SALTS[1], SUBJECTS[0]), commitment(SALTS[2], SUBJECTS[1])],
    }
)
NEIGHBOURS = [leaf_hash(b"left"), leaf_hash(b"right")]


def receipt() -> Receipt:
    """The entry as the second of three leaves."""
    root = node_hash(node_hash(NEIGHBOURS[0], leaf_hash(ENTRY)), NEIGHBOURS[1])
    return Receipt(
        entry=ENTRY,
        log_index=1,
        inclusion_path=NEIGHBOURS,
        checkpoint=KEY.sign(3, root),
        openings=[
            Opening(field="content_sha256", salt=SALTS[0], value=DIGEST),
            Opening(field="subjects[1]", salt=SALTS[2], value=SUBJECTS[1]),
        ],
    )


def verify(changed: Receipt, content: bytes | None = CONTENT) -> VerifiedReceipt:
    return verify_receipt(changed, str(KEY.verifier), content)


def test_a_receipt_proves_its_entry_its_openings_and_its_content() -> None:
    proved = verify(receipt())
    assert proved.entry["event"] == "registered"
    assert (proved.log_index, proved.tree_size) == (1, 3)
    assert proved.openings == {"content_sha256": DIGEST, "subjects[1]": SUBJECTS[1]}
    assert proved.content_verified


def test_a_receipt_serves_without_content_and_without_openings() -> None:
    bare = receipt()
    del bare.openings[:]
    proved = verify(bare, None)
    assert proved.openings == {}
    assert not proved.content_verified


def test_a_receipt_survives_the_way_through_json() -> None:
    text = json_format.MessageToJson(receipt())
    assert verify(json_format.Parse(text, Receipt())).content_verified


def test_another_logs_key_proves_nothing() -> None:
    with pytest.raises(WrongCheckpoint):
        verify_receipt(receipt(), log_key(2).verifier)


def test_another_origin_of_the_same_key_proves_nothing() -> None:
    with pytest.raises(WrongCheckpoint):
        verify_receipt(receipt(), log_key(origin="other.example").verifier)


def test_another_text_than_a_verifier_key_is_told() -> None:
    with pytest.raises(notes.NoteError):
        verify_receipt(receipt(), "log+00000000+AAAA")


@pytest.mark.parametrize("index", [-1, 0, 2, 3, 2**62])
def test_another_place_in_the_log_is_refused(index: int) -> None:
    moved = receipt()
    moved.log_index = index
    with pytest.raises(NotIncluded):
        verify(moved)


def test_another_content_is_refused() -> None:
    with pytest.raises(WrongContent):
        verify(receipt(), CONTENT + b".")


def test_a_content_whose_hash_is_not_opened_is_refused() -> None:
    bare = receipt()
    del bare.openings[0]
    with pytest.raises(WrongContent, match="not open"):
        verify(bare)


@pytest.mark.parametrize(
    "opening",
    [
        Opening(field="subjects[0]", salt=SALTS[1], value=b"subjects/other"),
        Opening(field="subjects[0]", salt=SALTS[2], value=SUBJECTS[0]),
        Opening(field="subjects[0]", salt=SALTS[1] + b"s", value=b"ubjects/one"),
        Opening(field="subjects[0]", salt=b"", value=SALTS[1] + SUBJECTS[0]),
        Opening(field="subjects[2]", salt=SALTS[1], value=SUBJECTS[0]),
        Opening(field="subjects[-1]", salt=SALTS[2], value=SUBJECTS[1]),
        Opening(field="subjects[00]", salt=SALTS[1], value=SUBJECTS[0]),
        Opening(field="subjects", salt=SALTS[1], value=SUBJECTS[0]),
        Opening(field="officer", salt=SALTS[1], value=SUBJECTS[0]),
        Opening(field="content_sha256[0]", salt=SALTS[0], value=DIGEST),
        Opening(field="content_sha256", salt=SALTS[0], value=DIGEST),
        Opening(field="", salt=SALTS[1], value=SUBJECTS[0]),
        Opening(field="subjects[" + "9" * 5000 + "]", salt=SALTS[1], value=SUBJECTS[0]),
    ],
    ids=lambda opening: opening.field[:20],
)
def test_an_opening_that_opens_nothing_is_refused(opening: Opening) -> None:
    changed = receipt()
    changed.openings.append(opening)
    with pytest.raises(WrongOpening):
        verify(changed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 20_000 + b"]" * 20_000,
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":"' + b"x" * 70_000 + b'"}',
    ],
    ids=lambda data: repr(data[:12]),
)
def test_an_entry_that_is_no_canonical_object_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedReceipt):
        parse_entry(data)


@given(st.data())
def test_a_receipt_with_any_bit_of_its_proof_flipped_is_refused(data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(["entry", "path", "checkpoint", "salt", "value"]))
    changed = receipt()

    def flipped(value: bytes) -> bytes:
        at = data.draw(st.integers(0, len(value) - 1))
        return value[:at] + bytes([value[at] ^ 1 << data.draw(st.integers(0, 7))]) + value[at + 1 :]

    match field:
        case "entry":
            changed.entry = flipped(changed.entry)
        case "path":
            at = data.draw(st.integers(0, 1))
            changed.inclusion_path[at] = flipped(changed.inclusion_path[at])
        case "checkpoint":
            changed.checkpoint = flipped(changed.checkpoint)
        case "salt":
            changed.openings[0].salt = flipped(changed.openings[0].salt)
        case "value":
            changed.openings[0].value = flipped(changed.openings[0].value)
    with pytest.raises(ReceiptError):
        verify(changed)


@given(st.binary(max_size=300))
def test_noise_is_refused_and_nothing_else_is_raised(noise: bytes) -> None:
    try:
        changed = Receipt.FromString(noise)
    except Exception:
        return
    with pytest.raises(ReceiptError):
        verify(changed)
