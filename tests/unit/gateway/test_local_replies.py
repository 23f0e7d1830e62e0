"""Envoy's own refusals as google.rpc.Status, for gRPC, gRPC-Web and JSON."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.local_replies import STATUSES, WORDS, local_replies
from tests.unit.gateway.configuration import Json

MAPPERS: list[Json] = local_replies()["mappers"]


def statuses(filter_: Any) -> set[int]:
    """The HTTP statuses that a filter compares with, wherever they stand in it."""
    if isinstance(filter_, list):
        return {status for one in filter_ for status in statuses(one)}
    if not isinstance(filter_, dict):
        return set()
    if "status_code_filter" in filter_:
        return {filter_["status_code_filter"]["comparison"]["value"]["default_value"]}
    return {status for one in filter_.values() for status in statuses(one)}


def mappers(status: int) -> list[Json]:
    """The mappers of Envoy's refusal with that status: for gRPC-Web, for gRPC, for JSON."""
    return [mapper for mapper in MAPPERS if statuses(mapper["filter"]) == {status}]


def headers(mapper: Json) -> dict[str, str]:
    return {one["header"]["key"]: one["header"]["value"] for one in mapper["headers_to_add"]}


@pytest.mark.parametrize("status", [*STATUSES, 404])
def test_every_refusal_has_a_form_for_each_protocol(status: int) -> None:
    web, grpc, json = mappers(status)
    assert web["status_code"] == 200
    assert headers(web)["grpc-message"] == WORDS[status]
    assert headers(web)["grpc-status"] == headers(grpc)["grpc-status"]
    details = json["body_format_override"]["json_format"]
    assert details["details"][0]["reason"] == code_pb2.Code.Name(details["code"])
    found = status_pb2.Status.FromString(base64.b64decode(headers(grpc)["grpc-status-details-bin"]))
    assert (str(found.code), found.message) == (headers(grpc)["grpc-status"], WORDS[status])
    info = error_details_pb2.ErrorInfo()
    assert found.details[0].Unpack(info)
    assert (info.reason, info.domain) == (code_pb2.Code.Name(found.code), "qagazsyz")
    assert headers(web)["grpc-status-details-bin"] == headers(grpc)["grpc-status-details-bin"]


def test_what_cannot_be_reached_is_told_apart_from_what_is_full_and_both_say_when() -> None:
    for status, code in ((503, code_pb2.UNAVAILABLE), (429, code_pb2.RESOURCE_EXHAUSTED)):
        _, grpc, json = mappers(status)
        details = base64.b64decode(headers(grpc)["grpc-status-details-bin"])
        found = status_pb2.Status.FromString(details)
        assert found.code == code
        assert found.details[1].Unpack(error_details_pb2.RetryInfo())
        assert json["body_format_override"]["json_format"]["details"][1]["retryDelay"] == "1s"


def test_an_unknown_path_is_an_unknown_method_for_grpc_and_not_found_for_json() -> None:
    _, grpc, json = mappers(404)
    assert headers(grpc)["grpc-status"] == str(code_pb2.UNIMPLEMENTED)
    assert json["body_format_override"]["json_format"]["code"] == code_pb2.NOT_FOUND
    assert json["status_code"] == 404


def test_too_many_calls_say_when_to_come_back_to_json_and_grpc_alike() -> None:
    web, grpc, json = mappers(429)
    for mapper in (web, grpc):
        assert headers(mapper)["grpc-status"] == str(code_pb2.RESOURCE_EXHAUSTED)
        assert headers(mapper)["retry-after"] == "1"
        assert "grpc-status-details-bin" in headers(mapper)
    assert headers(json)["retry-after"] == "1"
    retry = json["body_format_override"]["json_format"]["details"][1]
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
