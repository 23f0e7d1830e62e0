"""Required fields, under an update mask too, and values that no method takes."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.runtime.errors import InvalidArgument
from services.runtime.intake.field_checks import check_fields

Consent = consents_pb2.Consent
# The last moment that a Timestamp can name.
LAST_SECOND = 253_402_300_799


def grant(**changes: object) -> consents_pb2.GrantConsentRequest:
    """A request to grant a consent, complete but for the changes."""
    consent = {"organization": "subjects/o", "document_type": "documentTypes/t", "purpose": "p"}
    return consents_pb2.GrantConsentRequest(consent=Consent(**{**consent, **changes}))  # type: ignore[arg-type]  # any field of Consent


def refused_field(message: Message, **options: object) -> str:
    with pytest.raises(InvalidArgument) as refused:
        check_fields(message, **options)  # type: ignore[arg-type]  # any option of check_fields
    return refused.value.field


def test_a_complete_message_is_accepted() -> None:
    check_fields(grant())
    check_fields(grant(expire_time=Timestamp(seconds=LAST_SECOND, nanos=999_999_999)))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (consents_pb2.GrantConsentRequest(), "consent"),
        (grant(purpose=""), "consent.purpose"),
        (grant(purpose_text="a\x00b"), "consent.purpose_text"),
        (grant(expire_time=Timestamp(seconds=LAST_SECOND + 1)), "consent.expire_time"),
        (grant(expire_time=Timestamp(nanos=10**9)), "consent.expire_time"),
        (grant(expire_time=Timestamp(nanos=-1)), "consent.expire_time"),
        (subjects_pb2.ResolveSubjectsRequest(), "numbers"),
        (subjects_pb2.ResolveSubjectsRequest(numbers=["1", "2\x00"]), "numbers[1]"),
    ],
)
def test_a_field_that_is_missing_or_out_of_range_is_named_by_its_path(
    message: Message, field: str
) -> None:
    assert refused_field(message) == field


def test_a_prefix_stands_before_the_path() -> None:
    assert refused_field(grant(purpose=""), prefix="requests[3].") == "requests[3].consent.purpose"


def test_items_that_are_skipped_are_left_to_the_caller() -> None:
    batch = documents_pb2.BatchRegisterDocumentsRequest(
        requests=[documents_pb2.RegisterDocumentRequest()]
    )
    assert refused_field(batch).startswith("requests[0].")
    check_fields(batch, skip=["requests"])


def test_under_an_update_mask_only_its_fields_are_required() -> None:
    request = grant(purpose="")
    check_fields(request, mask=FieldMask(paths=["organization"]))
    assert refused_field(request, mask=FieldMask(paths=["purpose"])) == "consent.purpose"
