"""The OpenAPI document that is made from the contracts."""

from __future__ import annotations

import json
from typing import Any

import openapi_spec_validator
import pytest

from gateway import contracts, openapi

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return json.loads(openapi.dumps(contracts.load()))  # type: ignore[no-any-return]


def test_a_validator_of_others_finds_it_sound(document: Json) -> None:
    openapi_spec_validator.validate(document)


def test_every_json_route_stands_in_it_once(document: Json) -> None:
    described = [
        (path, verb.upper())
        for path, operations in document["paths"].items()
        for verb in operations
    ]
    served = [
        (openapi.path_of(binding.template), binding.verb)
        for method in contracts.methods(contracts.load())
        for binding in method.bindings
    ]
    assert sorted(described) == sorted(served)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/v1/subjects", "/v1/subjects"),
        ("/v1/{name=keys/*}:sign", "/v1/keys/{key}:sign"),
        (
            "/v1/{name=subjects/*/certificates/*}:revoke",
            "/v1/subjects/{subject}/certificates/{certificate}:revoke",
        ),
        ("/v1/{document_type.name=documentTypes/*}", "/v1/documentTypes/{documentType}"),
        ("/v1/verificationCodes/{verification_code}", "/v1/verificationCodes/{verification_code}"),
        ("/log/tile/{path=**}", "/log/tile/{path}"),
    ],
)
def test_templates_become_paths_whose_parameters_hold_no_slash(template: str, path: str) -> None:
    assert openapi.path_of(template) == path


def test_operations_have_names_of_their_own(document: Json) -> None:
    names = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(set(names)) == len(names)


def test_open_methods_say_that_a_token_may_be_left_out(document: Json) -> None:
    assert document["paths"]["/v1/challenges"]["post"]["security"] == [{}, {"token": []}]
    assert document["paths"]["/v1/subjects"]["post"]["security"] == [{"token": []}]


def test_values_stand_as_proto3_writes_them_in_json(document: Json) -> None:
    receipt = document["components"]["schemas"]["qagazsyz.registry.v1.Receipt"]["properties"]
    assert receipt["logIndex"]["type"] == "string"
    assert receipt["entry"]["contentEncoding"] == "base64"
    assert receipt["inclusionPath"]["type"] == "array"
    kind = document["components"]["schemas"]["qagazsyz.registry.v1.DocumentType"]["properties"]
    assert kind["displayNames"]["additionalProperties"] == {"type": "string"}


def test_comments_of_the_contracts_are_the_descriptions(document: Json) -> None:
    person = document["components"]["schemas"]["qagazsyz.identity.v1.Person"]["properties"]
    assert person["iin"]["description"].startswith("IIN, the individual")
    assert "leaves a record" in document["paths"]["/v1/documents:lookUp"]["post"]["description"]


def test_bodies_leave_out_what_the_path_says(document: Json) -> None:
    body = document["paths"]["/v1/keys/{key}:sign"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"message", "digest"}


def test_a_body_is_demanded_where_a_field_of_it_is(document: Json) -> None:
    def demanded(path: str) -> bool:
        body = document["paths"][path]["post"]["requestBody"]
        return bool(body["required"])

    assert not demanded("/v1/challenges")
    assert not demanded("/v1/keys/{key}:sign")
    assert demanded("/v1/subjects:resolve")
    assert demanded("/v1/subjects")


def test_queries_are_what_neither_path_nor_body_holds(document: Json) -> None:
    parameters = document["paths"]["/v1/subjects"]["get"]["parameters"]
    assert [(one["name"], one["in"]) for one in parameters] == [
        ("pageSize", "query"),
        ("pageToken", "query"),
    ]


def test_raw_bodies_are_binary(document: Json) -> None:
    ocsp = document["paths"]["/pki/ocsp"]["post"]
    assert list(ocsp["requestBody"]["content"]) == ["*/*"]
    assert list(ocsp["responses"]["200"]["content"]) == ["*/*"]
    # What is in them has no type of JSON's: the token keys are an object, a certificate is none.
    keys = document["paths"]["/.well-known/jwks.json"]["get"]["responses"]["200"]["content"]
    assert "type" not in keys["*/*"]["schema"]
