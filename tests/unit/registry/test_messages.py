"""Messages: each kind of an attribute's value in its own field."""

from __future__ import annotations

import pytest

from qagazsyz.registry.v1 import documents_pb2, receipts_pb2
from services.registry.messages import attribute_message, check_message, document_message
from services.registry.model.attributes import Attribute, AttributeKind
from tests.unit.registry.ledger import NOW
from tests.unit.registry.model.builders import document
from tests.unit.registry.world import CITIZEN, CLERK


@pytest.mark.parametrize(
    ("value", "field"),
    [(True, "flag"), (False, "flag"), (0, "number"), (2.5, "number"), ("", "text"), (None, None)],
)
def test_a_value_is_in_the_field_of_its_kind(
    value: str | float | bool | None, field: str | None
) -> None:
    message = attribute_message(Attribute("/a", AttributeKind.TEXT, False, {}), value)
    assert message.pointer == "/a"
    assert message.WhichOneof("value") == field
    assert field is None or getattr(message, field) == value


def test_a_document_shows_its_code_in_groups_and_its_state_now() -> None:
    message = document_message(document(expire_time=NOW), NOW)
    assert message.verification_code == "0000-0000-0000-0000"
    assert message.state == documents_pb2.DOCUMENT_STATE_EXPIRED
    assert message.signatures[0].signer == CLERK


def test_a_check_holds_no_personal_data() -> None:
    message = check_message(document(title="Title"), receipts_pb2.Receipt(), NOW)
    for secret in (CITIZEN, "Title", CLERK):
        assert secret not in str(message)
