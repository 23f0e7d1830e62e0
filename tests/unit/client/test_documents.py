"""The statement that is signed, by the vectors, and as the registry makes it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from qagazsyz.documents import statement
from qagazsyz.registry.v1 import documents_pb2
from services.registry.model.statements import StatementVersion, encode_statement

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "statements.json").read_text())
CONTENT = VECTORS["content"].encode()


@pytest.mark.parametrize("vector", VECTORS["statements"])
def test_client_and_registry_make_the_statement_of_the_vector(vector: dict[str, Any]) -> None:
    document = ParseDict(vector["document"], documents_pb2.Document())
    made = statement(document, CONTENT, vector["version"])
    assert made.decode() == vector["text"]
    expire_time = document.expire_time.ToDatetime() if document.HasField("expire_time") else None
    assert made == encode_statement(
        version=StatementVersion(vector["version"]),
        issuer=document.issuer,
        content_sha256=hashlib.sha256(CONTENT).digest(),
        document_type=document.document_type,
        media_type=document.media_type,
        subjects=document.subjects,
        expire_time=expire_time,
    )


def test_a_statement_without_its_issuer_is_not_made() -> None:
    with pytest.raises(ValueError, match="issuer"):
        statement(documents_pb2.Document(), CONTENT)


def test_a_later_version_is_said_to_be_unknown() -> None:
    with pytest.raises(ValueError, match="version 3"):
        statement(documents_pb2.Document(issuer="subjects/ministry"), CONTENT, 3)
