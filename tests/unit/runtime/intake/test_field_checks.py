"""Required fields, under an update mask too, and values that no method takes."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from services.runtime.errors import InvalidArgument
from services.runtime.intake.field_checks import Update, check_fields

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


def update(*paths: str, **person: str) -> subjects_pb2.UpdateSubjectRequest:
    """An update of a person by a mask of these paths; without any, without a mask."""
    request = subjects_pb2.UpdateSubjectRequest(
        subject=subjects_pb2.Subject(name="subjects/a", person=subjects_pb2.Person(**person))
    )
    if paths:
        request.update_mask.CopyFrom(FieldMask(paths=paths))
    return request


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (update(patronymic="x"), None),
        (update("person.patronymic"), None),
        (update("person.given_name"), "subject.person.given_name"),
        (update("person", given_name="a"), "subject.person.family_name"),
        (update("*", given_name="a"), "subject.person.family_name"),
        # A number never changes.
        (update("*", given_name="a", family_name="b"), None),
        # Whatever the mask names, what is sent is checked.
        (
            update("person.given_name", given_name="a", family_name="\0"),
            "subject.person.family_name",
        ),
        (update(patronymic="\x1b[2K"), "subject.person.patronymic"),
        (subjects_pb2.UpdateSubjectRequest(), "subject"),
    ],
)
def test_an_update_requires_what_its_mask_names(
    request_: subjects_pb2.UpdateSubjectRequest, field: str | None
) -> None:
    required = Update.of(request_)
    assert required is not None
    if field is None:
        check_fields(request_, update=required)
    else:
        assert refused_field(request_, update=required) == field


def test_items_of_an_updates_lists_are_whole() -> None:
    basis = documents_pb2.LegalBasis(purpose="p")
    request = documents_pb2.UpdateDocumentTypeRequest(
        document_type=documents_pb2.DocumentType(name="documentTypes/a", legal_bases=[basis])
    )
    field = refused_field(request, update=Update.of(request))
    assert field.startswith("document_type.legal_bases[0].")


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "\x1b[2K",
        "a\nb",
        "\t",
        "\x7f",
        "\x9b2K",
        "\u202eyad",
        "\u2066",
        "\u2028",
        "\u2029",
    ],
)
def test_a_text_that_is_not_shown_as_it_is_is_refused(text: str) -> None:
    assert refused_field(grant(purpose_text=text)) == "consent.purpose_text"
    types = documents_pb2.CreateDocumentTypeRequest(
        document_type=documents_pb2.DocumentType(display_names={"kk": text}), document_type_id="t"
    )
    assert refused_field(types) == "document_type.display_names"


@pytest.mark.parametrize(
    "text", ["Әбдіқалықұлы Қ. — «Ұйым»", "Ёлкин-Й", "e\u0301", "👩‍👩‍👧", "مرحبا"]
)
def test_ordinary_texts_are_taken(text: str) -> None:
    check_fields(grant(purpose_text=text))
