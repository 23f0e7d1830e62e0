"""The OpenAPI document that is made from the contracts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import openapi_spec_validator
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import descriptors, openapi

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return json.loads(openapi.dumps(descriptors.load()))  # type: ignore[no-any-return]


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
        for method in descriptors.methods(descriptors.load())
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


def undescribed(document: Json) -> list[str]:
    """Everything in the document that a reader is told nothing about."""
    return [
        *(tag["name"] for tag in document["tags"] if not tag["description"]),
        *(
            gap
            for path, operations in document["paths"].items()
            for verb, operation in operations.items()
            for gap in undescribed_in_operation(f"{verb.upper()} {path}", operation)
        ),
        *(
            gap
            for name, schema in document["components"]["schemas"].items()
            for gap in undescribed_in_schema(name, schema)
        ),
    ]


def undescribed_in_operation(where: str, operation: Json) -> Iterator[str]:
    if not operation["summary"] or not operation["description"]:
        yield where
    for parameter in operation["parameters"]:
        if not parameter.get("description"):
            yield f"{where} {parameter['name']}"
    for content in operation.get("requestBody", {"content": {}})["content"].values():
        if "properties" in content["schema"]:
            yield from undescribed_in_schema(where, content["schema"])


def undescribed_in_schema(name: str, schema: Json) -> Iterator[str]:
    description = schema.get("description", "")
    # An enum's values are listed behind its own comment.
    if not description or description.startswith("- "):
        yield name
    for value in schema.get("enum", ()):
        if f"`{value}`: " not in description:
            yield f"{name}.{value}"
    for property_, its_schema in schema.get("properties", {}).items():
        if not its_schema.get("description"):
            yield f"{name}.{property_}"


def without_comment(file_name: str, *path: int) -> FileDescriptorSet:
    """The contracts without the comment at that path of a file's source info."""
    changed = FileDescriptorSet()
    changed.CopyFrom(descriptors.load())
    file = next(file for file in changed.file if file.name == file_name)
    location = next(each for each in file.source_code_info.location if tuple(each.path) == path)
    location.ClearField("leading_comments")
    return changed


def test_everything_in_it_is_described(document: Json) -> None:
    assert undescribed(document) == []


@pytest.mark.parametrize(
    ("path", "gap"),
    [
        ((6, 0), "KeyService"),
        ((6, 0, 2, 1), "GET /v1/keys/{key}"),
        ((4, 0), "qagazsyz.signing.v1.Key"),
        ((4, 0, 2, 1), "qagazsyz.signing.v1.Key.organization"),
        ((5, 0), "qagazsyz.signing.v1.KeyVersionState"),
        ((5, 0, 2, 3), "qagazsyz.signing.v1.KeyVersionState.KEY_VERSION_STATE_DESTROYED"),
    ],
)
def test_a_comment_that_is_missing_leaves_a_gap(path: tuple[int, ...], gap: str) -> None:
    commentless = without_comment("qagazsyz/signing/v1/keys.proto", *path)
    assert undescribed(openapi.document(commentless)) == [gap]


def test_an_operation_is_summed_up_by_the_first_sentence_of_its_comment(document: Json) -> None:
    look_up = document["paths"]["/v1/documents:lookUp"]["post"]
    assert look_up["summary"] == (
        "Looks up a subject's documents of a type for the caller's organization."
    )
    assert look_up["description"].startswith("It has to rest on the subject's consent")
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"].endswith(".")
            assert "\n" not in operation["summary"]


def test_an_operation_says_which_errors_to_expect_and_who_may_call(document: Json) -> None:
    description = document["paths"]["/v1/subjects"]["post"]["description"]
    assert "Errors:\n- INVALID_ARGUMENT: " in description
    assert "\n- ALREADY_EXISTS: " in description
    assert description.endswith("\n\nFor: OPERATOR, REGISTRAR.")
    assert "- UNAUTHENTICATED: " in document["info"]["description"]


def test_comments_of_the_contracts_are_the_descriptions(document: Json) -> None:
    schemas = document["components"]["schemas"]
    subject = schemas["qagazsyz.identity.v1.Subject"]["properties"]
    assert subject["createTime"]["description"] == "When the subject was created."
    assert subject["person"]["description"] == (
        "The natural person.\n\nAt most one of `kind` is set. Whether the subject is a person or an"
        " organization. Required at creation; never changes."
    )
    states = schemas["qagazsyz.signing.v1.KeyVersionState"]["description"]
    assert states.startswith("State of a key version.\n\n- `KEY_VERSION_STATE_UNSPECIFIED`: ")
    assert "\n- `KEY_VERSION_STATE_ENABLED`: Can sign; the state of a new version.\n" in states


def test_parameters_of_a_path_say_which_part_of_a_name_they_are(document: Json) -> None:
    operation = document["paths"]["/v1/keys/{key}/versions/{version}:destroy"]["post"]
    assert [(one["name"], one["description"]) for one in operation["parameters"]] == [
        (
            name,
            f"`{{{name}}}` in `keys/{{key}}/versions/{{version}}`.\n\n"
            "Name of the version, `keys/{key}/versions/{version}`.",
        )
        for name in ("key", "version")
    ]


def test_a_body_that_is_one_field_bears_its_comment(document: Json) -> None:
    ocsp = document["paths"]["/pki/ocsp"]["post"]
    assert ocsp["requestBody"]["description"].startswith("The OCSPRequest, DER, at most 16 KiB")


def test_paragraphs_and_lists_of_a_comment_stay_apart() -> None:
    comment = " Two lines\n of a paragraph:\n - an item\n   of two lines\n - another\n\n The end.\n"
    assert openapi.markdown(comment) == (
        "Two lines of a paragraph:\n- an item of two lines\n- another\n\nThe end."
    )


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


def test_bounds_of_the_contract_are_shown(document: Json) -> None:
    schemas = document["components"]["schemas"]
    items = schemas["qagazsyz.signing.v1.BatchVerifyRequest"]["properties"]["items"]
    assert items["maxItems"] == 10_000
    names = schemas["qagazsyz.registry.v1.DocumentType"]["properties"]["displayNames"]
    assert names["maxProperties"] == 50
    signature = schemas["qagazsyz.registry.v1.DocumentSignature"]["properties"]["signature"]
    assert signature["maxLength"] == len(base64.b64encode(bytes(8192)))
    challenge = document["paths"]["/v1/challenges"]["post"]
    assert "A request has at most 64 KiB." in challenge["description"]
