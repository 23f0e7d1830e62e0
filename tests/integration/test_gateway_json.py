"""JSON means what it says: what a message does not have is refused and named, on every route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.protobuf import json_format, message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import descriptors
from qagazsyz.identity.v1 import certificates_pb2
from qagazsyz.signing.v1 import verification_pb2
from services.runtime.descriptors import service_descriptors
from tests.integration.gateway_backend import Backend, Gateway

VERIFY = "/v1/signatures:verify"
BATCH = "/v1/signatures:batchVerify"


@pytest.fixture(scope="module")
def shared_web(gateway: Gateway, server: Backend) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.token(roles=['OPERATOR'])}"}
    with gateway.http(headers=headers) as client:
        yield client


@pytest.fixture
def web(shared_web: httpx.Client, backend: Backend) -> httpx.Client:
    return shared_web


def violation(answer: httpx.Response) -> tuple[str, str]:
    """The field that a refusal names, and what it says of it."""
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["code"] == 3
    assert body["details"][0]["reason"] == "INVALID_ARGUMENT"
    (found,) = body["details"][1]["fieldViolations"]
    assert body["message"] == f"{found['field']}: {found['description']}"
    return found["field"], found["description"]


BODIES: dict[str, tuple[str, str, Any, str]] = {
    "a misspelt safeguard": (VERIFY, "POST", {"requiredRoles": {}}, "requiredRoles"),
    "in a message": (VERIFY, "POST", {"item": {"mesage": ""}}, "item.mesage"),
    "in a list": (
        BATCH,
        "POST",
        {"items": [{"message": "bQ=="}, {"digests": "bQ=="}]},
        "items[1].digests",
    ),
    "in a map's neighbour": (
        "/v1/documentTypes",
        "POST",
        {"displayNames": {"kk": "x"}, "issuer": []},
        "document_type.issuer",
    ),
    "of another message": ("/v1/challenges", "POST", {"challenge": "bQ=="}, "challenge"),
    "by its number": ("/v1/challenges", "POST", {"1": "subjects/a"}, "1"),
    "behind a large value": (
        "/v1/documents",
        "POST",
        {"content": "A" * 300_000, "documents": {}},
        "documents",
    ),
    "in a bound field": (
        "/v1/subjects/0192aa",
        "PATCH",
        {"person": {"surname": "x"}},
        "subject.person.surname",
    ),
}


@pytest.mark.parametrize(("path", "verb", "body", "field"), BODIES.values(), ids=BODIES.keys())
def test_an_unknown_field_is_refused_and_named(
    web: httpx.Client, backend: Backend, path: str, verb: str, body: Any, field: str
) -> None:
    assert violation(web.request(verb, path, json=body)) == (field, "no such field")
    assert backend.methods() == []


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"item": {"message": "bQ==", "message": "bg=="}}', "item.message"),
        ('{"required_role": {}, "requiredRole": {}}', "required_role"),
        (r'{"item": {}, "\u0069tem": {}}', "item"),
    ],
)
def test_a_field_that_stands_there_twice_is_refused(
    web: httpx.Client, text: str, field: str
) -> None:
    assert violation(web.post(VERIFY, content=text)) == (field, "stands there twice")


def test_two_fields_of_one_choice_are_refused(web: httpx.Client) -> None:
    body = {"item": {"message": "bQ==", "digest": "bQ=="}}
    assert violation(web.post(VERIFY, json=body)) == ("item.digest", "another of these is set")
    assert web.post(VERIFY, json={"item": {"message": "bQ==", "digest": None}}).is_success


def test_a_bad_field_is_named_whatever_the_content_type_and_the_framing(
    web: httpx.Client,
) -> None:
    body = b'{"requiredRoles": {}}'
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = web.post(VERIFY, content=body, headers={"content-type": kind})
        assert violation(answer)[0] == "requiredRoles"
    pieces = (body[index : index + 1] for index in range(len(body)))
    assert violation(web.post(VERIFY, content=pieces))[0] == "requiredRoles"


def test_both_names_of_a_field_are_known(web: httpx.Client, backend: Backend) -> None:
    for name in ("requiredRole", "required_role"):
        assert web.post(VERIFY, json={name: {}, "item": {"message": "bQ=="}}).is_success
    assert len(backend.methods()) == 2


def test_forms_of_their_own_are_taken(web: httpx.Client, backend: Backend) -> None:
    mask = {"organization": {"displayName": "x"}}
    answer = web.patch("/v1/subjects/0192aa?updateMask=organization.displayName", json=mask)
    assert answer.is_success, answer.text
    consent = {"purpose": "p", "expireTime": "2026-12-31T00:00:00Z", "purposeText": None}
    answer = web.post("/v1/consents", json=consent)
    assert answer.is_success, answer.text
    assert len(backend.methods()) == 2


@pytest.mark.parametrize(
    ("changed", "field", "becomes"),
    [
        ({"signature": "***"}, "signature", b""),
        ({"signature": "AAAAA"}, "signature", b""),
        ({"signature": "A=A="}, "signature", b""),
        ({"algorithm": "SIGNATURE_ALGORITHM_NEXT_YEARS"}, "algorithm", 2**31 - 1),
        ({"algorithm": 99}, "algorithm", 99),
        ({"message": "AA"}, "message", b"\0"),
        ({"message": "-_-_"}, "message", b"\xfb\xff\xbf"),
        ({"message": "-_+/"}, "message", b""),
    ],
)
def test_a_bad_value_in_a_batch_is_its_own_items(
    web: httpx.Client, backend: Backend, changed: dict[str, Any], field: str, becomes: object
) -> None:
    good = {"algorithm": "SIGNATURE_ALGORITHM_ED25519", "message": "bQ==", "signature": "AA=="}
    answer = web.post(BATCH, json={"items": [good, good | changed, good]})
    assert answer.is_success, answer.text
    (call,) = (one for one in backend.received if one.method.endswith("/BatchVerify"))
    first, second, third = verification_pb2.BatchVerifyRequest.FromString(call.request).items
    assert first == third
    assert getattr(second, field) == becomes
    single = web.post(VERIFY, json={"item": good | {"signature": "***"}})
    assert (single.status_code, single.json()["code"]) == (400, 3)


def test_a_bad_certificate_in_a_batch_is_its_own_items(web: httpx.Client, backend: Backend) -> None:
    answer = web.post("/v1/certificates:batchCheck", json={"certificates": ["AA==", "?", "AQ=="]})
    assert answer.is_success, answer.text
    (call,) = (one for one in backend.received if one.method.endswith("/BatchCheckCertificates"))
    request = certificates_pb2.BatchCheckCertificatesRequest.FromString(call.request)
    assert list(request.certificates) == [b"\0", b"", b"\1"]


@pytest.mark.parametrize(
    ("path", "field", "why"),
    [
        ("/v1/subjects/0192aa?name=subjects/me", "name", "stands in the path"),
        ("/v1/subjects/0192aa?na%6De=subjects/me", "name", "stands in the path"),
        ("/v1/subjects/0192aa/certificates?subject=subjects/me", "subject", "stands in the path"),
        ("/log/tile/0/000?path=1/000", "path", "stands in the path"),
        ("/v1/subjects?pageSize=1&page_size=2", "page_size", "stands there twice"),
    ],
)
def test_a_query_does_not_override_the_path(
    web: httpx.Client, backend: Backend, path: str, field: str, why: str
) -> None:
    assert violation(web.get(path)) == (field, why)
    assert backend.methods() == []


def test_a_query_does_not_override_the_body(web: httpx.Client, backend: Backend) -> None:
    answer = web.post("/v1/challenges?organization=subjects/a", json={})
    assert violation(answer) == ("organization", "belongs in the body")
    assert backend.methods() == []


@pytest.mark.parametrize(
    "path", ["/v1/subjects/0192aa", "/log/checkpoint", "/log/tile/0/000", "/healthz"]
)
def test_head_answers_as_get_without_its_body(
    web: httpx.Client, gateway: Gateway, path: str
) -> None:
    whole, head = web.get(path), web.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers.get("content-type") == whole.headers.get("content-type")


@pytest.mark.parametrize("path", ["/v1/subjects/0192aa", "/log/checkpoint", "/v1/nothing"])
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
def test_no_header_of_grpc_is_in_an_answer_over_http(
    web: httpx.Client, verb: str, path: str
) -> None:
    assert not [name for name in web.request(verb, path).headers if name.startswith("grpc-")]


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("DELETE", "/v1/subjects/0192aa", "GET, HEAD, PATCH"),
        ("GET", VERIFY, "POST"),
        ("HEAD", VERIFY, "POST"),
        ("PUT", "/log/checkpoint", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("DELETE", "/healthz?x=1", "GET, HEAD"),
    ],
)
def test_another_verb_of_a_known_path_is_told_which_there_are(
    web: httpx.Client, backend: Backend, verb: str, path: str, allowed: str
) -> None:
    answer = web.request(verb, path)
    assert (answer.status_code, answer.headers.get("allow")) == (405, allowed)
    assert verb == "HEAD" or answer.json()["details"][0]["reason"] == "UNIMPLEMENTED"
    assert backend.methods() == []


@pytest.mark.parametrize(
    "body",
    [
        *('{"item" {}}', '{"item": nul}', "{}{}", "{} x", "1 2"),
        # The transcoder takes these, and drops what it does not know.
        *('{"item": {},}', "{item: {}}", "{'item': {}}", "{\"at\": 'x'}", "{requiredRoles: {}}"),
    ],
)
def test_what_is_no_json_is_refused(web: httpx.Client, backend: Backend, body: str) -> None:
    answer = web.post(VERIFY, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert answer.json()["message"] == "the body is not JSON"
    assert backend.methods() == []


def test_no_body_is_an_empty_message(web: httpx.Client) -> None:
    assert web.post("/v1/challenges").is_success


def test_deep_and_very_many_values_are_refused(web: httpx.Client, backend: Backend) -> None:
    deep = '{"item": ' + "[" * 2_000 + "]" * 2_000 + "}"
    assert violation(web.post(VERIFY, content=deep))[1] == "nested too deep"
    many = b'{"items": [' + b",".join([b"{}"] * 500_000) + b"]}"
    assert "too many values" in web.post(BATCH, content=many).text
    assert backend.methods() == []


def test_every_json_route_is_checked(web: httpx.Client, backend: Backend) -> None:
    for method in descriptors.methods(descriptors.load()):
        for binding in method.bindings:
            path = json_path(binding.template)
            body = '{"noSuchField": 1}' if binding.body and not binding.raw else None
            answer = web.request(binding.verb, path, content=body)
            if body is None:
                assert answer.status_code != 404, method.path
            else:
                assert violation(answer)[0].endswith("noSuchField"), method.path


def json_path(template: str) -> str:
    """A path of the template."""
    path = template.replace("{path=**}", "0/000")
    while "{" in path:
        before, _, rest = path.partition("{")
        variable, _, after = rest.partition("}")
        pattern = variable.partition("=")[2] or "*"
        path = before + pattern.replace("*", "0192aa") + after
    return path


# --- The same verdict as protobuf's own parser ----------------------------------------------------

REQUEST = service_descriptors()["qagazsyz.signing.v1.VerificationService"].methods_by_name["Verify"]
NAMES = st.sampled_from(
    [
        *("signer", "item", "at", "requiredRole", "required_role", "trustPolicy", "timeStamp"),
        *("certificate", "publicKey", "public_key", "keyVersion", "message", "digest"),
        *("algorithm", "signature", "role", "bin", "x", "Item", ""),
    ]
)
SCALARS = st.sampled_from(["", "bQ==", "x", 0, 1, True, None, "2026-01-01T00:00:00Z"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_protobuf_refuses_never_reaches_a_service(
    web: httpx.Client, server: Backend, body: dict[str, Any]
) -> None:
    server.forget()
    answer = web.post(VERIFY, content=json.dumps(body))
    try:
        expected = json_format.ParseDict(
            body, message_factory.GetMessageClass(REQUEST.input_type)()
        )
    except json_format.ParseError:
        assert not (answer.is_success and drops_something(body, server)), answer.text
        return
    if answer.is_success:
        (call,) = (one for one in server.received if one.method.endswith("/Verify"))
        assert verification_pb2.VerifyRequest.FromString(call.request) == expected


def drops_something(body: dict[str, Any], server: Backend) -> bool:
    """Whether a field of the body, which a service was called with, is not in its request."""
    (call,) = (one for one in server.received if one.method.endswith("/Verify"))
    request = verification_pb2.VerifyRequest.FromString(call.request)
    known = {name for field in request.DESCRIPTOR.fields for name in (field.name, field.json_name)}
    return not set(body) <= known
