"""Signing a document for the registry: its statement, and a request with a signature over it."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from qagazsyz.credentials import Credential
from qagazsyz.registry.v1 import documents_pb2


def statement(document: documents_pb2.Document, content: bytes) -> bytes:
    """What every signature of the document is made over (documents.proto, DocumentSignature).

    Canonical JSON (RFC 8785) of the content's hash, the type, the media type, the subjects and,
    where it is set, the time of expiry in whole seconds.
    """
    members: dict[str, Any] = {
        "v": 1,
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "document_type": document.document_type,
        "media_type": document.media_type,
        "subjects": list(document.subjects),
    }
    if document.HasField("expire_time"):
        expire_time = document.expire_time.ToDatetime()
        members["expire_time"] = expire_time.isoformat(timespec="seconds") + "Z"
    return rfc8785.dumps(members)


def sign_document(
    document: documents_pb2.Document,
    content: bytes,
    credential: Credential,
    *,
    request_id: str = "",
) -> documents_pb2.RegisterDocumentRequest:
    """The request that registers the document, signed by the credential's holder.

    request_id: a UUID; a repeat with the same one answers with the first one's result.
    """
    algorithm, signature = credential.sign(statement(document, content))
    return documents_pb2.RegisterDocumentRequest(
        document=document,
        content=content,
        signatures=[
            documents_pb2.DocumentSignature(
                certificate=credential.certificate, algorithm=algorithm, signature=signature
            )
        ],
        request_id=request_id,
    )
