"""`qagazsyz receipt verify`: so many of the known witnesses have to have cosigned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import json_format

from cli.commands.receipt import verify
from cli.errors import CHECK_FAILED, WRONG_USE, Failure
from qagazsyz import merkle
from qagazsyz.registry.v1 import receipts_pb2
from services.registry.log.transparency_log import encode_entry
from tests.unit.registry.ledger import WITNESS, cosigned, log_key

COSIGNED_AT = 1_795_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A receipt of a log with one entry, cosigned by one of two known witnesses."""
    entry = encode_entry({"v": 1, "event": "tested"})
    checkpoint = log_key().sign(1, merkle.leaf_hash(entry))
    line = cosigned(checkpoint, time=COSIGNED_AT).rpartition(b"\n\n")[2]
    receipt = receipts_pb2.Receipt(entry=entry, log_index=0, checkpoint=checkpoint + line)
    (tmp_path / "receipt").write_text(json_format.MessageToJson(receipt))
    (tmp_path / "key").write_text(f"{log_key().verifier}\n")
    other = log_key(7, "other.example").verifier
    (tmp_path / "witnesses").write_text(f"{WITNESS}\n{other}\n")
    return tmp_path


def check(folder: Path, cosignatures: int) -> None:
    verify(
        folder / "receipt",
        folder / "key",
        witnesses=folder / "witnesses",
        cosignatures=cosignatures,
        json=True,
    )


def test_a_receipt_with_enough_cosignatures_holds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(folder, 1)
    assert json.loads(capsys.readouterr().out)["witnesses"] == {WITNESS.name: COSIGNED_AT}


def test_a_receipt_with_fewer_does_not_hold(folder: Path) -> None:
    with pytest.raises(Failure, match="1 of the witnesses cosigned, 2 are asked for") as failure:
        check(folder, 2)
    assert failure.value.exit_code == CHECK_FAILED


def test_more_cosignatures_than_witnesses_are_wrong_use(folder: Path) -> None:
    with pytest.raises(Failure) as failure:
        check(folder, 3)
    assert failure.value.exit_code == WRONG_USE
