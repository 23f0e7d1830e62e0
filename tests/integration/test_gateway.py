"""The gateway as callers see it: a real Envoy before a fake backend."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api import httpbody_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway import descriptors
from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2, tokens_pb2
from qagazsyz.registry.v1 import documents_pb2, log_pb2, receipts_pb2
from qagazsyz.signing.v1 import verification_pb2
from tests.integration.gateway_backend import Backend, Gateway, serialized
from tests.raw_calls import blocking_stream, blocking_unary

SUBJECTS = "/qagazsyz.identity.v1.SubjectService"
TOKENS = "/qagazsyz.identity.v1.TokenService"
AUTHORITY = "/qagazsyz.identity.v1.AuthorityService"
DOCUMENTS = "/qagazsyz.registry.v1.DocumentService"
LOG = "/qagazsyz.registry.v1.LogService"
VERIFICATION = "/qagazsyz.signing.v1.VerificationService"
METHODS = descriptors.methods(descriptors.load())
GUARDED = [method for method in METHODS if not method.open]
OPEN = [method for method in METHODS if method.open]


@pytest.fixture
def channel(gateway: Gateway) -> Iterator[grpc.Channel]:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(gateway.target, options=unlimited) as found:
        yield found


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def call(
    channel: grpc.Channel, path: str, request: bytes = b"", token: str = "", **options: Any
) -> bytes:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    return blocking_unary(channel, path)(request, metadata=metadata, **options)


def refusal(channel: grpc.Channel, path: str, request: bytes = b"", token: str = "") -> grpc.Call:
    with pytest.raises(grpc.RpcError) as raised:
        call(channel, path, request, token)
    assert isinstance(raised.value, grpc.Call)
    return raised.value


def unsigned(backend: Backend) -> str:
    claims = jwt.decode(backend.token(), options={"verify_signature": False})
    return jwt.encode(claims, "", algorithm="none", headers={"kid": "k1"})


def symmetric(backend: Backend) -> str:
    """Sign with the public key as if it were a shared secret (HS256)."""
    claims = jwt.decode(backend.token(), options={"verify_signature": False})
    return jwt.encode(claims, backend.key_set(), algorithm="HS256", headers={"kid": "k1"})


BAD_TOKENS: dict[str, Callable[[Backend], str]] = {
    "expired": lambda backend: backend.token(exp=1_000_000_000),
    "of more than ten minutes": lambda backend: backend.token(exp=int(time.time()) + 660),
    "of ten years": lambda backend: backend.token(exp=int(time.time()) + 315_360_000),
    "without an end": lambda backend: backend.token(exp=None),
    "for the inside": lambda backend: backend.token(aud="qagazsyz.internal"),
    "for nobody": lambda backend: backend.token(aud=None),
    "of another issuer": lambda backend: backend.token(iss="somebody"),
    "forged": lambda backend: backend.token(key=Ed25519PrivateKey.generate()),
    "unsigned": unsigned,
    "symmetric": symmetric,
    "of an unknown key": lambda backend: jwt.encode(
        {"iss": "qagazsyz", "aud": "qagazsyz"}, backend.key, "EdDSA", {"kid": "k2"}
    ),
    "cut off": lambda backend: backend.token()[:-40],
    "no token": lambda backend: "zzz",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_bad_token_never_reaches_a_service(
    backend: Backend, web: httpx.Client, channel: grpc.Channel, name: str
) -> None:
    token = BAD_TOKENS[name](backend)
    answer = web.get("/v1/subjects/a", headers=bearer(token))
    assert answer.status_code == 401
    assert answer.json()["code"] == 16
    assert refusal(channel, f"{SUBJECTS}/GetSubject", b"", token).code() is (
        grpc.StatusCode.UNAUTHENTICATED
    )
    assert backend.methods() == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_schemes_name_is_read_in_any_case(
    backend: Backend, web: httpx.Client, channel: grpc.Channel, scheme: str
) -> None:
    token = f"{scheme} {backend.token()}"
    answer = web.get("/v1/subjects/a", headers={"authorization": token})
    assert answer.status_code == 200
    blocking_unary(channel, f"{SUBJECTS}/GetSubject")(b"", metadata=(("authorization", token),))
    assert backend.methods() == [f"{SUBJECTS}/GetSubject"] * 2


@pytest.mark.parametrize("method", GUARDED, ids=lambda method: method.path)
def test_a_guarded_method_is_reached_with_a_token_only(
    backend: Backend, channel: grpc.Channel, method: descriptors.Method
) -> None:
    if method.streams:
        with pytest.raises(grpc.RpcError) as raised:
            next(iter(blocking_stream(channel, method.path)(iter([b""]))))
        assert isinstance(raised.value, grpc.Call)
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    else:
        code = refusal(channel, method.path).code()
        assert code is grpc.StatusCode.UNAUTHENTICATED
        call(channel, method.path, token=backend.token())
    assert backend.methods() == ([] if method.streams else [method.path])


@pytest.mark.parametrize("method", OPEN, ids=lambda method: method.path)
def test_an_open_method_is_reached_without_a_token(
    backend: Backend, channel: grpc.Channel, method: descriptors.Method
) -> None:
    call(channel, method.path)
    assert method.path in {received.method for received in backend.received}


@pytest.mark.parametrize(
    ("method", "binding"),
    [(method, binding) for method in METHODS for binding in method.bindings],
    ids=lambda value: getattr(value, "template", ""),
)
def test_each_json_route_leads_to_its_method_and_asks_for_its_token(
    backend: Backend, web: httpx.Client, method: descriptors.Method, binding: descriptors.Binding
) -> None:
    path = re.sub(r"\{[a-z_.]+=([^{}]*[^*{}]\*)\}", r"\1", binding.template)
    path = path.replace("{document=", "").replace("{path=**}", "0/x001/234").replace("}", "")
    path = path.replace("{verification_code", "ABC").replace("*", "a1")
    body: Any = {} if binding.body and not binding.raw else None
    answer = web.request(binding.verb, path, json=body)
    if method.open:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 401
        assert backend.methods() == []
        answer = web.request(binding.verb, path, json=body, headers=bearer(backend.token()))
        assert answer.status_code == 200
    assert method.path in {received.method for received in backend.received}


@pytest.mark.parametrize("name", ["expired", "forged", "for the inside"])
def test_a_bad_token_is_refused_where_none_is_needed(
    backend: Backend, web: httpx.Client, name: str
) -> None:
    answer = web.get("/v1/documentTypes", headers=bearer(BAD_TOKENS[name](backend)))
    assert answer.status_code == 401
    assert backend.methods() == []


def test_a_token_in_the_url_is_ignored(backend: Backend, web: httpx.Client) -> None:
    answer = web.get("/v1/subjects", params={"access_token": backend.token()})
    assert answer.status_code == 400
    assert backend.methods() == []


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v2/subjects", "/v1/subjects/a/b/c", "/logs/key", "/log", "/v1/documents:checks"],
)
def test_an_unknown_path_is_not_found_and_reaches_no_service(
    backend: Backend, web: httpx.Client, path: str
) -> None:
    for verb in ("GET", "POST"):
        answer = web.request(verb, path, headers=bearer(backend.token()))
        assert answer.status_code == 404
        assert answer.json()["code"] == 5
    assert backend.methods() == []


def test_an_unknown_method_is_unimplemented_and_reaches_no_service(
    backend: Backend, channel: grpc.Channel
) -> None:
    for path in (f"{SUBJECTS}/Nothing", "/qagazsyz.identity.v2.SubjectService/GetSubject"):
        assert refusal(channel, path, token=backend.token()).code() is (
            grpc.StatusCode.UNIMPLEMENTED
        )
    assert backend.methods() == []


def test_native_paths_serve_grpc_only(backend: Backend, web: httpx.Client) -> None:
    path = f"{TOKENS}/CreateChallenge"
    assert web.get(path).status_code == 404
    assert web.post(path, json={}).status_code == 404
    for verb in ("PUT", "GET", "DELETE"):
        answer = web.request(verb, path, headers={"content-type": "application/grpc"})
        assert answer.headers["grpc-status"] in ("12", "16")
    assert backend.methods() == []


def test_json_is_converted_to_the_message_and_back(backend: Backend, web: httpx.Client) -> None:
    person = subjects_pb2.Person(iin="980101300400", given_name="Әсел", family_name="Қайрат")
    backend.answers[f"{SUBJECTS}/CreateSubject"] = lambda request, _: (
        subjects_pb2.CreateSubjectRequest.FromString(request).subject.SerializeToString()
    )
    answer = web.post(
        "/v1/subjects?requestId=r1",
        json={"person": {"iin": "980101300400", "givenName": "Әсел", "family_name": "Қайрат"}},
        headers=bearer(backend.token()),
    )
    assert answer.status_code == 200
    assert answer.json()["person"]["givenName"] == "Әсел"
    (received,) = backend.received[-1:]
    request = subjects_pb2.CreateSubjectRequest.FromString(received.request)
    assert request.subject.person == person
    assert request.request_id == "r1"


def test_paths_queries_and_enums_become_fields(backend: Backend, web: httpx.Client) -> None:
    headers = bearer(backend.token())
    web.get("/v1/subjects/o1/memberships?page_size=3&pageToken=a%2Bb", headers=headers)
    request = subjects_pb2.ListMembershipsRequest.FromString(backend.received[-1].request)
    assert (request.organization, request.page_size, request.page_token) == (
        "subjects/o1",
        3,
        "a+b",
    )
    web.post(
        "/v1/subjects/s1/certificates/c1:revoke",
        json={"reason": "REVOCATION_REASON_KEY_COMPROMISE"},
        headers=headers,
    )
    revoke = certificates_pb2.RevokeCertificateRequest.FromString(backend.received[-1].request)
    assert (revoke.name, revoke.reason) == ("subjects/s1/certificates/c1", 2)
    web.get("/log/tile/entries/x001/234.p/7")
    assert log_pb2.GetTileRequest.FromString(backend.received[-1].request).path == (
        "entries/x001/234.p/7"
    )


def test_defaults_are_printed_and_long_numbers_are_strings(
    backend: Backend, web: httpx.Client
) -> None:
    backend.answers[f"{DOCUMENTS}/GetReceipt"] = lambda *_: (
        receipts_pb2.Receipt().SerializeToString()
    )
    answer = web.get("/v1/documents/d1/receipt", headers=bearer(backend.token()))
    assert answer.json()["logIndex"] == "0"


def test_a_patch_whose_body_names_another_resource_is_refused(
    backend: Backend, web: httpx.Client
) -> None:
    headers = bearer(backend.token())
    bodies: list[dict[str, object]] = [
        {"organization": {}},
        {"name": "subjects/a", "organization": {}},
    ]
    for body in bodies:
        assert web.patch("/v1/subjects/a", json=body, headers=headers).status_code == 200
        request = subjects_pb2.UpdateSubjectRequest.FromString(backend.received[-1].request)
        assert request.subject.name == "subjects/a"
    answer = web.patch("/v1/subjects/a", json={"name": "subjects/b"}, headers=headers)
    assert answer.status_code == 400
    assert "subjects/b" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"challenge": ', "end of string"),
        (b"[1, 2]", ""),
        (b"\xff\xfe", ""),
        (b'{"challenge": 5}', "challenge"),
        (b'{"algorithm": "SIGNATURE_ALGORITHM_NONE"}', "algorithm"),
        (b'{"challenge": "***"}', "challenge"),
    ],
)
def test_malformed_json_is_an_invalid_argument_that_says_why(
    backend: Backend, web: httpx.Client, body: bytes, said: str
) -> None:
    answer = web.post("/v1/tokens:exchange", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == 3
    assert said in answer.json()["message"]
    assert backend.methods() in ([], [f"{TOKENS}/ExchangeToken"])


def test_an_unknown_query_parameter_is_refused(backend: Backend, web: httpx.Client) -> None:
    answer = web.get("/v1/documentTypes?colour=blue")
    assert answer.status_code == 400
    assert "colour" in answer.json()["message"]
    assert backend.methods() == []


def test_raw_bodies_go_both_ways_as_they_are(backend: Backend, web: httpx.Client) -> None:
    def answer(request: bytes, _: grpc.ServicerContext) -> bytes:
        asked = certificates_pb2.AnswerOcspRequest.FromString(request).body
        assert asked.content_type == "application/ocsp-request"
        return serialized(
            httpbody_pb2.HttpBody(content_type="application/ocsp-response", data=asked.data[::-1])
        )

    backend.answers[f"{AUTHORITY}/AnswerOcsp"] = answer
    raw = bytes(range(256))
    found = web.post("/pki/ocsp", content=raw, headers={"content-type": "application/ocsp-request"})
    assert found.status_code == 200
    assert found.headers["content-type"] == "application/ocsp-response"
    assert found.content == raw[::-1]


def test_http_1_0_is_answered(gateway: Gateway, backend: Backend) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(b"POST /pki/ocsp HTTP/1.0\r\nContent-Length: 2\r\n\r\nab")
        assert connection.recv(1000).startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))


def test_json_comes_over_http_2_in_clear_text_too(gateway: Gateway, backend: Backend) -> None:
    with gateway.http(http1=False, http2=True) as web:
        answer = web.post("/v1/challenges", json={})
    assert answer.http_version == "HTTP/2"
    assert answer.status_code == 200


def test_cache_control_is_passed_on(backend: Backend, web: httpx.Client) -> None:
    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("cache-control", "max-age=31536000, immutable"),))
        return serialized(
            httpbody_pb2.HttpBody(content_type="application/octet-stream", data=b"tile")
        )

    backend.answers[f"{LOG}/GetTile"] = answer
    found = web.get("/log/tile/0/000")
    assert found.headers["cache-control"] == "max-age=31536000, immutable"
    assert found.content == b"tile"


def test_a_download_larger_than_any_buffer_comes_whole(backend: Backend, web: httpx.Client) -> None:
    content = b"%PDF" * (4 * 1024 * 1024)
    backend.answers[f"{DOCUMENTS}/DownloadDocument"] = lambda *_: httpbody_pb2.HttpBody(
        content_type="application/pdf", data=content
    ).SerializeToString()
    found = web.get("/v1/documents/d1:download", headers=bearer(backend.token()))
    assert found.headers["content-type"] == "application/pdf"
    assert found.content == content


def test_a_caller_that_reads_slowly_gets_the_whole_last_response(
    backend: Backend, gateway: Gateway
) -> None:
    backend.answers[f"{DOCUMENTS}/DownloadDocument"] = lambda *_: httpbody_pb2.HttpBody(
        content_type="application/pdf", data=bytes(16 * 1024 * 1024)
    ).SerializeToString()
    head = (
        "GET /v1/documents/d1:download HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
        f"authorization: Bearer {backend.token()}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(head.encode())
        received = len(connection.recv(1024))
        threading.Event().wait(1.5)  # longer than Envoy's default would let it
        while part := connection.recv(1024 * 1024):
            received += len(part)
    assert received > 16 * 1024 * 1024


def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
    status = status_pb2.Status(code=3, message="person.iin: has a wrong check digit")
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="person.iin", description="has a wrong check digit"
    )
    status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError


def test_errors_keep_their_details_in_json(backend: Backend, web: httpx.Client) -> None:
    backend.answers[f"{SUBJECTS}/ResolveSubjects"] = refuse
    answer = web.post("/v1/subjects:resolve", json={}, headers=bearer(backend.token()))
    assert answer.status_code == 400
    assert answer.json() == {
        "code": 3,
        "message": "person.iin: has a wrong check digit",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [
                    {
                        "field": "person.iin",
                        "description": "has a wrong check digit",
                        "reason": "",
                    }
                ],
            }
        ],
    }


def test_errors_inside_a_batch_keep_their_details_in_json(
    backend: Backend, web: httpx.Client
) -> None:
    results = documents_pb2.BatchRegisterDocumentsResponse()
    error = results.results.add().error
    error.code = 7
    error.details.add().Pack(error_details_pb2.ErrorInfo(reason="NOT_ITS_ISSUER"))
    backend.answers[f"{DOCUMENTS}/BatchRegisterDocuments"] = lambda *_: results.SerializeToString()
    answer = web.post("/v1/documents:batchRegister", json={}, headers=bearer(backend.token()))
    assert answer.status_code == 200
    assert answer.json()["results"][0]["error"]["details"][0]["reason"] == "NOT_ITS_ISSUER"


def test_large_messages_pass_and_larger_ones_are_refused(
    backend: Backend, web: httpx.Client
) -> None:
    path, headers = "/v1/signatures:batchVerify", bearer(backend.token())
    message = base64.b64encode(bytes(19 * 1024 * 1024)).decode()
    body = json.dumps({"items": [{"message": message}]})
    assert web.post(path, content=body, headers=headers).status_code == 200
    request = verification_pb2.BatchVerifyRequest.FromString(backend.received[-1].request)
    assert len(request.items[0].message) == 19 * 1024 * 1024
    # By what it announced, callers share the memory for bodies on their way.
    assert backend.received[-1].metadata["x-qagazsyz-length"] == str(len(body))
    backend.forget()
    answer = web.post(path, content=body + " " * 10 * 1024 * 1024, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["code"] == 8
    assert backend.methods() == []


def test_a_body_in_chunks_without_end_is_refused(backend: Backend, web: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"organization": "'
        for _ in range(100):
            yield bytes(1024 * 1024)

    answer = web.post("/v1/challenges", content=chunks())
    assert answer.status_code == 413
    assert answer.json()["code"] == 8
    assert backend.methods() == []
    assert web.post("/v1/challenges", content=iter([b"{", b"}"])).status_code == 200


def test_a_raw_body_over_one_mebibyte_is_too_large(backend: Backend, web: httpx.Client) -> None:
    assert web.post("/pki/ocsp", content=bytes(2 * 1024 * 1024)).status_code == 413
    assert backend.methods() == []


def frames(content: bytes) -> list[tuple[int, bytes]]:
    found = []
    while content:
        kind, length = struct.unpack(">BI", content[:5])
        found.append((kind, content[5 : 5 + length]))
        content = content[5 + length :]
    return found


@pytest.mark.parametrize("encoded", [False, True], ids=["binary", "text"])
def test_grpc_web_is_served(backend: Backend, web: httpx.Client, encoded: bool) -> None:
    challenge = tokens_pb2.Challenge(challenge=b"sign me")
    backend.answers[f"{TOKENS}/CreateChallenge"] = lambda *_: challenge.SerializeToString()
    sent = b"\0\0\0\0\0"
    kind = "application/grpc-web-text" if encoded else "application/grpc-web+proto"
    answer = web.post(
        f"{TOKENS}/CreateChallenge",
        content=base64.b64encode(sent) if encoded else sent,
        headers={"content-type": kind, "accept": kind, "x-grpc-web": "1"},
    )
    content = answer.content
    if encoded:  # each part is padded by itself
        parts = re.findall(rb"[^=]+=*", content)
        content = b"".join(base64.b64decode(part) for part in parts)
    (message, trailers) = frames(content)
    assert tokens_pb2.Challenge.FromString(message[1]) == challenge
    assert trailers[0] == 0x80
    assert b"grpc-status:0" in trailers[1]


def test_grpc_web_asks_for_the_same_tokens(backend: Backend, web: httpx.Client) -> None:
    headers = {"content-type": "application/grpc-web+proto"}
    path = f"{SUBJECTS}/GetSubject"
    answer = web.post(path, content=b"\0\0\0\0\0", headers=headers)
    assert answer.headers["grpc-status"] == "16"
    assert backend.methods() == []
    answer = web.post(path, content=b"\0\0\0\0\0", headers=headers | bearer(backend.token()))
    assert b"grpc-status:0" in answer.content


def test_streams_go_through_message_by_message(backend: Backend, channel: grpc.Channel) -> None:
    backend.answers[f"{VERIFICATION}/StreamVerify"] = lambda request, _: request[::-1]
    stream = blocking_stream(channel, f"{VERIFICATION}/StreamVerify")
    metadata = (("authorization", f"Bearer {backend.token()}"),)
    assert list(stream(iter([b"ab", b"cd"]), metadata=metadata)) == [b"ba", b"dc"]


def test_health_and_reflection_answer_for_the_suite_without_a_token(
    backend: Backend, channel: grpc.Channel
) -> None:
    assert call(channel, "/grpc.health.v1.Health/Check") == b"\x08\x01"
    for version in ("v1", "v1alpha"):
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        assert list(blocking_stream(channel, path)(iter([b""]))) == [b""]


def test_envoys_own_headers_from_callers_are_dropped(backend: Backend, web: httpx.Client) -> None:
    spoofed = {
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-retry-on": "5xx",
        "x-envoy-original-path": "/elsewhere",
        "x-envoy-internal": "true",
        "x-qagazsyz-length": "1",
        "x-request-id": "mine",
    }
    assert web.get("/v1/documentTypes", headers=spoofed).status_code == 200
    received = backend.received[-1].metadata
    assert received["x-request-id"] != "mine"
    assert received["x-envoy-original-path"] == "/v1/documentTypes"
    assert set(received).isdisjoint(set(spoofed) - {"x-request-id", "x-envoy-original-path"})


def test_responses_have_no_headers_of_envoys_own(backend: Backend, web: httpx.Client) -> None:
    answer = web.get("/v1/documentTypes")
    assert answer.headers["server"] == "qagazsyz"
    assert not any(name.startswith("x-envoy") for name in answer.headers)


def test_a_callers_deadline_is_passed_on_and_every_call_has_one(
    backend: Backend, web: httpx.Client, channel: grpc.Channel
) -> None:
    def time_left() -> float:
        left = backend.received[-1].time_remaining
        assert left is not None
        return left

    # Each is what was given but for the way, however slow the machine. gRPC writes a deadline of
    # some seconds in tenths of them, rounded up.
    call(channel, f"{SUBJECTS}/GetSubject", token=backend.token(), timeout=12)
    assert 0 < time_left() <= 12.1
    call(channel, f"{SUBJECTS}/GetSubject", token=backend.token(), timeout=500)
    assert 12.1 < time_left() <= 31
    web.get("/v1/documentTypes")
    assert 12.1 < time_left() <= 31


def test_the_gateways_own_pages(web: httpx.Client) -> None:
    assert web.get("/healthz").status_code == 200
    assert web.get("/readyz").status_code == 200
    document = web.get("/openapi.json")
    assert document.headers["content-type"] == "application/json"
    assert document.json()["openapi"] == "3.1.0"
