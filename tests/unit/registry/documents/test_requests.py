"""Requests that cannot be accepted name their field."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2

from qagazsyz.registry.v1 import documents_pb2
from services.registry.documents import requests as document_requests
from services.runtime.errors import (
    InvalidArgument,
)
from tests.unit.registry.world import (
    CITIZEN,
    World,
    field_of,
    registration,
)


@pytest.mark.parametrize(
    ("field", "spoil"),
    [
        ("document", lambda r: r.ClearField("document")),
        ("content", lambda r: r.ClearField("content")),
        ("signatures", lambda r: r.ClearField("signatures")),
        ("signatures", lambda r: r.signatures.extend([r.signatures[0]] * 16)),
        ("signatures[0].certificate", lambda r: r.signatures[0].ClearField("certificate")),
        ("signatures[0].algorithm", lambda r: r.signatures[0].ClearField("algorithm")),
        ("signatures[0].signature", lambda r: r.signatures[0].ClearField("signature")),
        (
            "signatures[0].statement_version",
            lambda r: setattr(r.signatures[0], "statement_version", 3),
        ),
        ("document.document_type", lambda r: r.document.ClearField("document_type")),
        ("document.document_type", lambda r: setattr(r.document, "document_type", "types/a")),
        ("document.subjects", lambda r: r.document.ClearField("subjects")),
        ("document.subjects[1]", lambda r: r.document.subjects.append(CITIZEN)),
        ("document.subjects[1]", lambda r: r.document.subjects.append("791028302728")),
        (
            "document.subjects",
            lambda r: r.document.subjects.extend(f"subjects/s{i}" for i in range(16)),
        ),
        ("document.media_type", lambda r: r.document.ClearField("media_type")),
        ("document.media_type", lambda r: setattr(r.document, "media_type", "pdf")),
        ("document.media_type", lambda r: setattr(r.document, "media_type", "a/b\r\nx: y")),
        ("document.title", lambda r: setattr(r.document, "title", "x" * 501)),
        ("document.title", lambda r: setattr(r.document, "title", "x\x00")),
        ("document.expire_time", lambda r: setattr(r.document.expire_time, "seconds", 1)),
        ("document.expire_time", lambda r: setattr(r.document.expire_time, "seconds", 10**18)),
        (
            "document.expire_time",
            lambda r: r.document.expire_time.FromJsonString("2030-01-01T00:00:00.5Z"),
        ),
        ("request_id", lambda r: setattr(r, "request_id", "seven")),
    ],
)
async def test_an_item_that_cannot_be_accepted_names_its_field(
    world: World, field: str, spoil: object
) -> None:
    request = registration()
    assert callable(spoil)
    spoil(request)
    (result,) = await world.register_batch(request)
    assert result.error.code == code_pb2.INVALID_ARGUMENT
    assert field_of(result.error) == field


async def test_contents_have_a_limit_each_and_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_requests, "CONTENT_LIMIT_BYTES", 10)
    (result,) = await world.register_batch(registration(content=b"12345678901"))
    assert field_of(result.error) == "content"
    monkeypatch.setattr("services.registry.documents.requests.BATCH_LIMIT_BYTES", 15)
    with pytest.raises(InvalidArgument, match="requests"):
        await world.register_batch(*(registration(content=b"1234567890") for _ in range(2)))
    with pytest.raises(InvalidArgument, match="requests"):
        await world.register_batch(*[documents_pb2.RegisterDocumentRequest()] * 1001)
