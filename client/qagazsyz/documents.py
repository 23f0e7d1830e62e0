"""Sign a document for the registry: its statement, and a request with signatures over it, made
with a credential or on a phone."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from qagazsyz.credentials import Credential
from qagazsyz.registry.v1 import documents_pb2
from qagazsyz.signing.v1 import mobile_signatures_pb2

STATEMENT_VERSION = 2


def statement(
    document: documents_pb2.Document, content: bytes, version: int = STATEMENT_VERSION
) -> bytes:
    """Return the bytes that a signature of the document covers (documents.proto,
    DocumentSignature).

    They are canonical JSON (RFC 8785) of the content's SHA-256, the type, the media type, the
    subjects, the issuer and, if set, the expiry time in whole seconds. version: of the signature to
    verify, its `statement_version`; version 1 has no issuer. Raises ValueError for another version,
    and if version 2 has no issuer.
    """
    if version not in (1, 2):
        raise ValueError(f"no statement of version {version} is known")
    members: dict[str, Any] = {
        "v": version,
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "document_type": document.document_type,
        "media_type": document.media_type,
        "subjects": list(document.subjects),
    }
    if version >= 2:
        if not document.issuer:
            raise ValueError("the document has no issuer, which its statement names")
        members["issuer"] = document.issuer
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

    The document's `issuer` is the organization that registers it, the signed-in caller's.
    Raises ValueError without one.
    request_id: a UUID; a repeated request with the same one gets the first one's response.
    """
    algorithm, signature = credential.sign(statement(document, content))
    return documents_pb2.RegisterDocumentRequest(
        document=document,
        content=content,
        signatures=[
            documents_pb2.DocumentSignature(
                certificate=credential.certificate,
                algorithm=algorithm,
                signature=signature,
                statement_version=STATEMENT_VERSION,
            )
        ],
        request_id=request_id,
    )


def ask_phone(
    document: documents_pb2.Document,
    content: bytes,
    *,
    signer: str,
    display_text: str,
    request_id: str = "",
) -> mobile_signatures_pb2.CreateMobileSignatureRequest:
    """Return the request to have the document's statement signed on a person's phone.

    signer: the person, `subjects/{subject}`. display_text: what the screen says of the document;
    the platform puts who asks before it. A statement begins with a brace and has less than 2 KiB:
    it is never one of the platform's own texts, nor too long. Raises ValueError as statement does.
    """
    return mobile_signatures_pb2.CreateMobileSignatureRequest(
        subject=signer,
        message=statement(document, content),
        display_text=display_text,
        purpose=mobile_signatures_pb2.MOBILE_SIGNATURE_PURPOSE_SIGN,
        request_id=request_id,
    )


def phone_signature(
    signed: mobile_signatures_pb2.MobileSignature,
) -> documents_pb2.DocumentSignature:
    """Return what a phone signed, as a document's signature."""
    return documents_pb2.DocumentSignature(
        certificate=signed.certificate,
        algorithm=signed.algorithm,
        signature=signed.signature,
        statement_version=STATEMENT_VERSION,
    )
