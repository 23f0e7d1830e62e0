"""Sign a document for the registry: its statement, and a request with a signature over it."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from qagazsyz.credentials import Credential
from qagazsyz.registry.v1 import documents_pb2


def statement(document: documents_pb2.Document, content: bytes) -> bytes:
    """Return the bytes that every signature of the document covers (documents.proto,
    DocumentSignature).

    They are canonical JSON (RFC 8785) of the content's SHA-256, the type, the media type, the
    subjects and, if set, the expiry time in whole seconds.
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
    """Sign the document's statement with the credential; return the request that registers it.

    request_id: a UUID; a repeated request with the same one gets the first one's response.
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
