"""Receipts of each version of entries: tests/vectors/receipts.json is what other implementations
read, and what earlier clients were tried with; run this file as a module to write it anew.

The client of 0.1.0 and of the commits up to 9db55f9 does not look at `v`. It verifies inclusion and
openings of versions 1 and 2 alike, whose openings have one form, and says nothing of a newer
meaning; of version 3's vector it refuses the opening. From version 2 on the client says it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from typer.testing import CliRunner

from cli.main import tool
from qagazsyz import merkle
from qagazsyz.receipts import NotIncluded, WrongContent, verify_receipt
from qagazsyz.registry.v1.receipts_pb2 import Opening, Receipt
from services.registry.log.transparency_log import encode_entry
from services.registry.model import log_entries
from tests.unit.registry.ledger import log_key
from tests.unit.registry.model.builders import access, document

VECTORS = Path(__file__).parents[2] / "vectors" / "receipts.json"
KEY = log_key()
CONTENT = "Мекенжай анықтамасы".encode()


def receipt_of(entry: Mapping[str, Any], openings: list[log_entries.Opening]) -> Receipt:
    """The entry as the second of three leaves."""
    leaf = merkle.leaf_hash(encode_entry(entry))
    left, right = merkle.leaf_hash(b"left"), merkle.leaf_hash(b"right")
    return Receipt(
        entry=encode_entry(entry),
        log_index=1,
        inclusion_path=[left, right],
        checkpoint=KEY.sign(3, merkle.node_hash(merkle.node_hash(left, leaf), right)),
        openings=[Opening(field=each.field, salt=each.salt, value=each.value) for each in openings],
    )


def vectors() -> list[dict[str, Any]]:
    registered = document(content_sha256=hashlib.sha256(CONTENT).digest())
    openings = log_entries.document_openings(registered)
    newer = log_entries.registered_entry(registered, version=3)
    # What a later version may do: another kind of commitment.
    newer["subjects"] = {"root": "00"}
    looked_up = access()
    made = [
        ("registered, version 1", log_entries.registered_entry(registered, version=1), openings),
        ("registered, version 2", log_entries.registered_entry(registered, version=2), openings),
        (
            "looked_up, version 1",
            log_entries.accessed_entry(replace(looked_up, entry_salt=b"")),
            log_entries.access_openings(replace(looked_up, entry_salt=b""), ()),
        ),
        (
            "looked_up, version 2",
            log_entries.accessed_entry(looked_up),
            log_entries.access_openings(looked_up, looked_up.documents),
        ),
        ("a later version", newer, openings),
    ]
    return [
        {
            "name": name,
            "newer": entry["v"] > 2,
            "receipt": json_format.MessageToDict(receipt_of(entry, openings)),
        }
        for name, entry, openings in made
    ]


def read(name: str) -> Receipt:
    """The receipt of that name in the vectors."""
    kept = json.loads(VECTORS.read_text())["receipts"]
    (vector,) = (each for each in kept if each["name"] == name)
    return json_format.ParseDict(vector["receipt"], Receipt())


def test_the_vectors_are_what_the_code_makes() -> None:
    assert json.loads(VECTORS.read_text()) == {"key": str(KEY.verifier), "receipts": vectors()}


@pytest.mark.parametrize("version", [1, 2])
def test_versions_1_and_2_are_understood(version: int) -> None:
    proved = verify_receipt(read(f"registered, version {version}"), KEY.verifier, CONTENT)
    assert proved.entry["v"] == version
    assert not proved.is_newer
    assert proved.content_verified
    assert verify_receipt(read(f"looked_up, version {version}"), KEY.verifier).openings["officer"]


def test_documents_of_an_access_are_opened_in_version_2() -> None:
    proved = verify_receipt(read("looked_up, version 2"), KEY.verifier)
    assert proved.openings["documents[0]"] == b"documents/one"
    assert b"documents/one" not in read("looked_up, version 2").entry
    assert b"documents/one" in read("looked_up, version 1").entry


def test_of_a_later_version_the_inclusion_is_verified_and_its_meaning_left_open() -> None:
    later = read("a later version")
    proved = verify_receipt(later, KEY.verifier)
    assert proved.is_newer
    assert proved.openings == {}
    later.log_index = 0
    with pytest.raises(NotIncluded):
        verify_receipt(later, KEY.verifier)


def test_a_content_is_not_compared_with_an_entry_of_a_later_version() -> None:
    with pytest.raises(WrongContent, match="newer version"):
        verify_receipt(read("a later version"), KEY.verifier, CONTENT)


@pytest.mark.parametrize(
    ("name", "is_told"), [("a later version", True), ("registered, version 2", False)]
)
def test_the_tool_says_that_a_meaning_is_newer(tmp_path: Path, name: str, is_told: bool) -> None:
    (tmp_path / "receipt.json").write_text(json_format.MessageToJson(read(name)))
    (tmp_path / "log.key").write_text(str(KEY.verifier))
    command = ["receipt", "verify", str(tmp_path / "receipt.json"), "--key"]
    done = CliRunner().invoke(tool, [*command, str(tmp_path / "log.key")])
    assert done.exit_code == 0
    assert "The receipt holds" in done.output
    assert ("newer than this tool" in done.output) is is_told


def write() -> None:
    kept = {"key": str(KEY.verifier), "receipts": vectors()}
    VECTORS.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    write()
