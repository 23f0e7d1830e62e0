"""Envoy's own refusals as google.rpc.Status, for gRPC, gRPC-Web and JSON."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import code_pb2

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
