"""What officers ask for when they look up, checked as far as can be without asking anybody."""

from __future__ import annotations

from qagazsyz.registry.v1 import documents_pb2
from services.registry.model.accesses import LookUp
from services.registry.model.attributes import LOOKED_UP_LIMIT
from services.registry.model.consents import check_purpose
from services.registry.model.resource_names import check_name, check_text
from services.runtime.access import Caller
from services.runtime.errors import InvalidArgument

REASON_LENGTH = 1_000


def read_attribute_look_up(request: documents_pb2.LookUpAttributeRequest, caller: Caller) -> LookUp:
    """The same for single attributes; whether the type declares them is for its reader to ask."""
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


def read_look_up(request: documents_pb2.LookUpDocumentsRequest, caller: Caller) -> LookUp:
    """The look-up in a request. Raises InvalidArgument naming the field.

    Whether there is such a subject or such a type is nobody's business here.
    """
    return LookUp(
        subject=check_name(request.subject, "subjects", "subject"),
        document_type=check_name(request.document_type, "documentTypes", "document_type"),
        organization=caller.organization,
        officer=caller.subject,
        purpose=check_purpose(request.purpose, "purpose"),
        reason=check_text(request.reason, REASON_LENGTH, "reason"),
    )
