"""Confirm an act: the caller's own signature over one call (confirmation.proto).

The lines that are signed bind method, content, caller and challenge. They are built here, for the
callers who sign them and for the services that verify the signature.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import rfc8785
from google.protobuf import json_format
from google.protobuf.message import Message

from qagazsyz.common.v1 import access_pb2, confirmation_pb2
from qagazsyz.credentials import Credential
from qagazsyz.signed_texts import CONFIRM

# The metadata key and HTTP header of a confirmation.
HEADER = "qagazsyz-confirmation"


def needs_confirmation(method: str, request: object) -> bool:
    """Return whether a call of "/package.Service/Method" with this request has to be confirmed.

    The descriptors that the request came with say so; a request that is no message needs none.
    """
    if not isinstance(request, Message):
        return False
    service, _, name = method.lstrip("/").partition("/")
    try:
        found = request.DESCRIPTOR.file.pool.FindServiceByName(service).methods_by_name[name]
    except KeyError:
        return False
    # The type stubs of protoc do not say what type an extension has.
    access: Any = access_pb2.access
    return bool(found.GetOptions().Extensions[access].confirm)


def content_hash(request: Message) -> str:
    """Return the lower-case hex SHA-256 of the RFC 8785 form of the request's ProtoJSON."""
    return hashlib.sha256(rfc8785.dumps(json_format.MessageToDict(request))).hexdigest()


def act_text(
    *, method: str, subject: str, organization: str, challenge: bytes, request: Message
) -> bytes:
    """Return the lines that a confirmation signs (confirmation.proto).

    method: "/package.Service/Method". Raises ValueError if the challenge is not of its form, or the
    request has no canonical form (RFC 7493: text that is not Unicode, numbers that are none).
    """
    try:
        platform = challenge.decode("ascii").split("\n")[1]
        content = content_hash(request)
    except (IndexError, json_format.Error, rfc8785.CanonicalizationError) as error:
        raise ValueError(str(error)) from error
    lines = (CONFIRM, platform, method, subject, organization, _base64(challenge), content)
    return "\n".join(lines).encode()


def confirm(
    credential: Credential,
    *,
    method: str,
    subject: str,
    organization: str,
    challenge: bytes,
    request: Message,
) -> str:
    """Sign the act with the credential that the caller is signed in with; return the value of the
    header. Raises ValueError as act_text does."""
    text = act_text(
        method=method,
        subject=subject,
        organization=organization,
        challenge=challenge,
        request=request,
    )
    algorithm, signature = credential.sign(text)
    confirmation = confirmation_pb2.Confirmation(
        challenge=challenge, algorithm=algorithm, signature=signature
    )
    return _base64(confirmation.SerializeToString())


def read_header(value: str) -> confirmation_pb2.Confirmation:
    """Parse the header's value. Raises ValueError."""
    padded = value + "=" * (-len(value) % 4)
    if not value.isascii() or "=" in value:
        raise ValueError("not base64url without padding")
    data = base64.b64decode(padded, altchars=b"-_", validate=True)
    try:
        return confirmation_pb2.Confirmation.FromString(data)
    except Exception as error:  # protobuf's DecodeError, which its two backends derive differently
        raise ValueError("not a Confirmation") from error


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
