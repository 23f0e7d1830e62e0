"""Requests are measured on the wire, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from qagazsyz.common.v1 import certificates_pb2 as common
from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2, tokens_pb2
from qagazsyz.registry.v1 import documents_pb2
from services.runtime.access import access_rule
from services.runtime.descriptors import service_descriptors
from services.runtime.errors import InvalidArgument
from services.runtime.intake import message_bounds
from services.runtime.intake.message_bounds import (
    check_bounds,
    check_size,
    field_bounds,
    request_limit,
)

EMPLOYEE = common.CertificateRole.keys()[1]


def checked(message: Message) -> None:
    check_bounds(message.SerializeToString(), cast("Descriptor", message.DESCRIPTOR))


def refusal(data: bytes, descriptor: Any) -> str:
    with pytest.raises(InvalidArgument) as raised:
        check_bounds(data, descriptor)
    return str(raised.value)


def request_types() -> Iterator[Descriptor]:
    for service in service_descriptors().values():
        yield from (method.input_type for method in service.methods)


def reachable(descriptor: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        yield field
        if field.message_type is not None:
            yield from reachable(field.message_type, seen)


def test_every_repeated_field_and_every_field_of_bytes_has_a_bound() -> None:
    seen: set[str] = set()
    unbound = [
        field.full_name
        for request in request_types()
        for field in reachable(request, seen)
        if str(field.full_name).startswith("qagazsyz.")
        for bound in [field_bounds(field.containing_type)[field.number]]
        if bound.max_items == 0
        or (field.type == FieldDescriptor.TYPE_BYTES and bound.max_bytes == 0)
    ]
    assert unbound == []


def test_open_methods_take_64_kibibytes_at_most() -> None:
    limits = {
        method.full_name: request_limit(method)
        for service in service_descriptors().values()
        for method in service.methods
        if (rule := access_rule(method)) is not None and rule.open
    }
    assert limits and max(limits.values()) == 64 * 1024


def test_a_request_longer_than_its_method_takes_is_refused() -> None:
    method = service_descriptors()["qagazsyz.identity.v1.TokenService"].methods_by_name[
        "CreateChallenge"
    ]
    check_size(bytes(65_536), method)
    with pytest.raises(InvalidArgument, match="longer than 65536 bytes"):
        check_size(bytes(65_537), method)


def test_items_are_counted_up_to_the_bound_and_the_field_is_named() -> None:
    checked(subjects_pb2.BatchGetSubjectsRequest(names=["x"] * 1_000))
    data = subjects_pb2.BatchGetSubjectsRequest(names=["x"] * 1_001).SerializeToString()
    text = refusal(data, subjects_pb2.BatchGetSubjectsRequest.DESCRIPTOR)
    assert text == "names: holds more than 1000 items"


def test_nobody_sends_extensions_of_a_body() -> None:
    body = HttpBody(content_type="application/ocsp-request", data=b"x")
    checked(certificates_pb2.AnswerOcspRequest(body=body))
    body.extensions.append(AnyMessage())
    data = certificates_pb2.AnswerOcspRequest(body=body).SerializeToString()
    assert "body.extensions" in refusal(data, certificates_pb2.AnswerOcspRequest.DESCRIPTOR)


def test_items_within_items_are_counted_and_named_by_their_index() -> None:
    good = documents_pb2.RegisterDocumentRequest(content=b"x")
    bad = documents_pb2.RegisterDocumentRequest(signatures=[documents_pb2.DocumentSignature()] * 17)
    data = documents_pb2.BatchRegisterDocumentsRequest(requests=[good, bad]).SerializeToString()
    text = refusal(data, documents_pb2.BatchRegisterDocumentsRequest.DESCRIPTOR)
    assert text == "requests[1].signatures: holds more than 16 items"


def test_packed_numbers_are_counted() -> None:
    checked(common.RequiredRole(roles=[EMPLOYEE] * 16))
    data = common.RequiredRole(roles=[EMPLOYEE] * 17).SerializeToString()
    assert "roles" in refusal(data, common.RequiredRole.DESCRIPTOR)
    # Several packed runs count together, and values of several bytes count once each.
    run = b"\x12\x12" + b"\x80\x01" * 9
    assert "roles" in refusal(run + run, common.RequiredRole.DESCRIPTOR)


def test_a_long_string_is_refused_by_its_name_and_not_shown() -> None:
    request = tokens_pb2.CreateChallengeRequest(organization="s" * 4_097)
    text = refusal(request.SerializeToString(), request.DESCRIPTOR)
    assert text == "organization: is longer than 4096 bytes"


def test_one_long_item_of_a_batch_is_left_to_its_own_answer() -> None:
    checked(certificates_pb2.BatchCheckCertificatesRequest(certificates=[bytes(100_000)]))


def test_a_field_that_is_sent_again_and_again_is_refused() -> None:
    descriptor = certificates_pb2.AnswerOcspRequest.DESCRIPTOR
    check_bounds(b"\x0a\x00" * 8, cast("Descriptor", descriptor))
    assert "body" in refusal(b"\x0a\x00" * 9, descriptor)


def test_a_few_unknown_fields_pass_as_a_later_version_sends_them() -> None:
    descriptor = tokens_pb2.CreateChallengeRequest.DESCRIPTOR
    check_bounds(b"\x78\x00" * message_bounds.UNKNOWN_FIELDS, cast("Descriptor", descriptor))
    assert "not known" in refusal(b"\x78\x00" * (message_bounds.UNKNOWN_FIELDS + 1), descriptor)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x08" + b"\xff" * 10 + b"\x01",
        b"\x0b\x0c",
        b"\x00\x00",
        b"\x09\x00",
        b"\x0d\x00",
        b"\xff",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    text = refusal(data, subjects_pb2.BatchGetSubjectsRequest.DESCRIPTOR)
    assert text == "the bytes are no message of this method"


@given(st.binary(max_size=200))
def test_any_bytes_are_measured_without_another_error(data: bytes) -> None:
    for request in request_types():
        try:
            check_bounds(data, request)
        except InvalidArgument:
            continue


@given(st.lists(st.text(max_size=20), max_size=30), st.text(max_size=50))
def test_what_the_encoder_writes_within_bounds_passes(names: list[str], token: str) -> None:
    checked(subjects_pb2.BatchGetSubjectsRequest(names=names))
    checked(subjects_pb2.ListSubjectsRequest(page_size=-1, page_token=token))
