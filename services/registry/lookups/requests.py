"""Requests for look-ups and consents, parsed, and checked as far as needs no other service."""

from __future__ import annotations

from datetime import datetime

from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.registry.documents.requests import parse_time
from services.registry.model.accesses import LookUp
from services.registry.model.attributes import LOOKED_UP_LIMIT
from services.registry.model.consents import Consent, check_expire_time, check_purpose
from services.registry.model.log_entries import SALT_BYTES
from services.registry.model.resource_names import check_name, check_text, new_name
from services.runtime.access import Caller
from services.runtime.clock import Randomness
from services.runtime.errors import InvalidArgument
from services.runtime.storage.idempotency import fingerprint_of_json

REASON_LENGTH = 1_000
PURPOSE_TEXT_LENGTH = 2_000


def parse_look_up(request: documents_pb2.LookUpDocumentsRequest, caller: Caller) -> LookUp:
    """Parse a look-up of whole documents. Raises InvalidArgument.

    Subject and type may not exist: a look-up reveals nothing about that.
    """
    return LookUp(
        subject=check_name(request.subject, "subjects", "subject"),
        document_type=check_name(request.document_type, "documentTypes", "document_type"),
        organization=caller.organization,
        officer=caller.subject,
        purpose=check_purpose(request.purpose, "purpose"),
        reason=check_text(request.reason, REASON_LENGTH, "reason"),
    )


def parse_attribute_look_up(
    request: documents_pb2.LookUpAttributeRequest, caller: Caller
) -> LookUp:
    """Parse a look-up of single attributes, which the type need not declare. Raises
    InvalidArgument."""
    if len(request.attributes) > LOOKED_UP_LIMIT:
        raise InvalidArgument("attributes", f"more than {LOOKED_UP_LIMIT}")
    for index, pointer in enumerate(request.attributes):
        if pointer in request.attributes[:index]:
            raise InvalidArgument(f"attributes[{index}]", "named twice")
    return LookUp(
        subject=check_name(request.subject, "subjects", "subject"),
        document_type=check_name(request.document_type, "documentTypes", "document_type"),
        organization=caller.organization,
        officer=caller.subject,
        purpose=check_purpose(request.purpose, "purpose"),
        reason=check_text(request.reason, REASON_LENGTH, "reason"),
        attributes=tuple(request.attributes),
    )


def parse_consent(
    message: consents_pb2.Consent, caller: Caller, now: datetime, randomness: Randomness
) -> Consent:
    """Parse the consent that the caller grants. Raises InvalidArgument."""
    field = "consent.expire_time"
    return Consent(
        name=new_name("consents", now, randomness),
        subject=caller.subject,
        organization=check_name(message.organization, "subjects", "consent.organization"),
        document_type=check_name(message.document_type, "documentTypes", "consent.document_type"),
        purpose=check_purpose(message.purpose, "consent.purpose"),
        purpose_text=check_text(message.purpose_text, PURPOSE_TEXT_LENGTH, "consent.purpose_text"),
        create_time=now,
        expire_time=check_expire_time(
            parse_time(message.expire_time, field) if message.HasField("expire_time") else None,
            now,
            field,
        ),
        grant_salt=randomness(SALT_BYTES),
    )


def consent_fingerprint(message: consents_pb2.Consent) -> bytes:
    """Return the SHA-256 of everything that a consent is asked to say."""
    expire_time = message.expire_time
    return fingerprint_of_json(
        [
            message.organization,
            message.document_type,
            message.purpose,
            message.purpose_text,
            [expire_time.seconds, expire_time.nanos] if message.HasField("expire_time") else None,
        ]
    )
