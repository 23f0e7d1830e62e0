"""Malformed input is refused with the right status, through the gateway and by every service."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import time
from collections.abc import AsyncIterator

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from gateway.descriptors import INTERNAL_PACKAGES
from services.runtime.access import Role, access_rule
from services.runtime.descriptors import service_descriptors
from tests.integration.world import TIMEOUT_SECONDS, World
from tests.raw_calls import NO_MESSAGE, name_of, refusal_of_bytes, send, unary

METHODS = [
    method
    for service in service_descriptors().values()
    for method in service.methods
    if not service.full_name.startswith(INTERNAL_PACKAGES)
]
MEBIBYTE = 1024 * 1024
# Bytes that no message can be. (Not a tag of field number 0: protobuf takes it as the end of a
# message without fields.)
MALFORMED = {
    "a length beyond the end": NO_MESSAGE,
    "a varint of twelve bytes": b"\x08" + b"\xff" * 11,
    "groups without end": b"\x0b\x0b\x0b\x0b",
}
# Field 1 with two bytes that are not UTF-8.
INVALID_UTF8 = b"\x0a\x02\xc3\x28"


def officers_may_call(method: MethodDescriptor) -> bool:
    rule = access_rule(method)
    assert rule is not None
    return rule.open or not {Role.ROLE_ANY, Role.ROLE_OFFICER}.isdisjoint(rule.roles)


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_bytes_that_no_message_can_be_are_invalid_for_every_method_that_officers_may_call(
    world: World, data: bytes
) -> None:
    channel = world.client(await world.officer()).channel
    for method in filter(officers_may_call, METHODS):
        code = await send(channel, method, data, TIMEOUT_SECONDS)
        assert code is refusal_of_bytes(method), name_of(method)


async def test_text_that_is_not_utf8_is_invalid_for_every_such_method_that_begins_with_text(
    world: World,
) -> None:
    channel = world.client(await world.officer()).channel
    methods = [method for method in METHODS if begins_with_text(method)]
    assert methods
    for method in filter(officers_may_call, methods):
        code = await send(channel, method, INVALID_UTF8, TIMEOUT_SECONDS)
        assert code is grpc.StatusCode.INVALID_ARGUMENT, name_of(method)


def begins_with_text(method: MethodDescriptor) -> bool:
    field = method.input_type.fields_by_number.get(1)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/subjects:resolve", b'{"numbers": 7}'),
        ("/v1/subjects:resolve", b'{"numbers": ["\xff"]}'),
        ("/v1/subjects:resolve", b'{"numbers"'),
        ("/v1/subjects:resolve", b"[]"),
        ("/v1/subjects:resolve", b'{"no_such_field": 1}'),
        ("/v1/signatures:verify", b'{"item": {"algorithm": "NO_SUCH"}}'),
        ("/v1/signatures:verify", b'{"item": {"signature": "@@@"}}'),
        ("/v1/subjects:resolve", b'{"numbers": ' + b"[" * 5_000 + b"}"),
    ],
)
async def test_wrong_json_is_a_bad_request(world: World, path: str, body: bytes) -> None:
    async with world.http() as http:
        headers = {**await world.headers(world.operator), "content-type": "application/json"}
        answer = await http.post(path, content=body, headers=headers)
    assert answer.status_code == 400, answer.text


async def _zeros(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // MEBIBYTE):
        yield bytes(MEBIBYTE)


@pytest.mark.parametrize("path", ["/v1/documents", "/pki/ocsp", "/v1/documents:check"])
async def test_a_body_of_a_hundred_megabytes_is_too_large(world: World, path: str) -> None:
    officer = await world.officer()
    async with world.http() as http:
        headers = {**await world.headers(officer), "content-type": "application/json"}
        try:
            answer = await http.post(path, content=_zeros(100 * MEBIBYTE), headers=headers)
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            pass  # the gateway has answered and closed the connection before all was sent
        else:
            assert answer.status_code == 413, answer.text
        assert (await http.get("/readyz")).status_code == 200


async def test_a_message_of_a_hundred_megabytes_is_refused_over_grpc(world: World) -> None:
    token = await world.token(await world.officer())
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(world.suite.gateway, options) as channel:
        method = unary(channel, "/qagazsyz.registry.v1.DocumentService/RegisterDocument")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(
                bytes(100 * MEBIBYTE),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=TIMEOUT_SECONDS,
            )
    assert caught.value.code() in (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNAVAILABLE,  # the connection was closed on the sender
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("pageSize=-1", 400),
        ("pageSize=-2147483648", 400),
        ("pageSize=2147483647", 200),
        ("pageSize=99999999999999999999", 400),
        ("pageSize=many", 400),
        ("pageToken=AAAA", 400),
        ("pageToken=%FF%FE", 400),
        ("pageToken=" + "A" * 20_000, 400),
        ("noSuchParameter=1", 400),
    ],
)
async def test_absurd_pages_are_refused(world: World, query: str, status: int) -> None:
    async with world.http() as http:
        headers = await world.headers(world.operator)
        answer = await http.get(f"/v1/subjects?{query}", headers=headers)
    if len(query) > 10_000:
        assert 400 <= answer.status_code < 500
    else:
        assert answer.status_code == status, answer.text


def _claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": "qagazsyz",
        "aud": "qagazsyz",
        "sub": "subjects/x",
        "roles": ["OPERATOR"],
        "iat": now,
        "exp": now + 600,
        "jti": "x",
        **changes,
    }


async def _forged(world: World) -> dict[str, str]:
    """Tokens that must be refused, each for a reason of its own."""
    good = await world.token(world.operator)
    header = jwt.get_unverified_header(good)
    key = Ed25519PrivateKey.generate()
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["roles"] = ["SERVICE"]
    other_body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    secret = "a secret of thirty-two characters"
    return {
        "another key under a known kid": jwt.encode(
            _claims(), key, algorithm="EdDSA", headers={"kid": header["kid"]}
        ),
        "an unknown kid": jwt.encode(_claims(), key, algorithm="EdDSA", headers={"kid": "x"}),
        "no kid": jwt.encode(_claims(), key, algorithm="EdDSA"),
        "HMAC": jwt.encode(_claims(), secret, algorithm="HS256", headers={"kid": header["kid"]}),
        "no algorithm": f"{none}.{body}.",
        "other claims": f"{head}.{other_body}.{signature}",
        "no signature": f"{head}.{body}.",
        "cut short": good[:-4],
        "no token": "x",
        "another scheme in it": f"Basic {good}",
        "far too long": good + "A" * 8_000,
    }


async def test_forged_tokens_are_unauthenticated_over_json_and_grpc(world: World) -> None:
    for reason, token in (await _forged(world)).items():
        headers = {"authorization": f"Bearer {token}"}
        async with world.http() as http:
            answer = await http.get("/v1/subjects", headers=headers)
        assert answer.status_code == 401, f"{reason}: {answer.status_code}"
        async with grpc.aio.insecure_channel(world.suite.gateway) as channel:
            method = unary(channel, "/qagazsyz.identity.v1.SubjectService/ListSubjects")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                metadata = (("authorization", f"Bearer {token}"),)
                await method(b"", metadata=metadata, timeout=TIMEOUT_SECONDS)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, reason


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing/here"),
        ("GET", "/v1"),
        ("DELETE", "/v1/documents"),
        ("GET", "/v1/documents/a%2Fb"),
        ("GET", "/v1/documents/%00"),
        ("GET", "/v1/documents/%FF%FE"),
        ("GET", "/log/tile/../../etc/passwd"),
        ("GET", "/log/tile/%2e%2e/%2e%2e/etc/passwd"),
        ("GET", "/log/tile/99/x999/999"),
        ("GET", "/v1/verificationCodes/%D2%9A"),
    ],
)
async def test_strange_paths_are_refused(world: World, method: str, path: str) -> None:
    async with world.http() as http:
        headers = await world.headers(await world.citizen())
        answer = await http.request(method, path, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


def _frame(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"", "identity"),
        (b"\x00\x00", "identity"),
        (_frame(b"a message that is cut short")[:-4], "identity"),
        (_frame(b"", flag=1), "identity"),
        (_frame(b"no gzip", flag=1), "gzip"),
        (_frame(gzip.compress(bytes(200 * MEBIBYTE)), flag=1), "gzip"),
    ],
    ids=["nothing", "half a frame", "half a message", "not compressed", "no gzip", "a bomb"],
)
async def test_a_frame_that_is_no_whole_message_is_refused_by_every_unary_method(
    world: World, content: bytes, encoding: str
) -> None:
    headers = await world.headers(await world.officer())
    headers |= {"content-type": "application/grpc", "te": "trailers", "grpc-encoding": encoding}
    refusals = {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.PERMISSION_DENIED,
        # Of compressed messages, which no method takes.
        grpc.StatusCode.UNIMPLEMENTED,
    }
    async with world.http() as http:
        for method in METHODS:
            if method.client_streaming:
                continue
            answer = await http.post(f"/{name_of(method)}", content=content, headers=headers)
            status = answer.headers["grpc-status"]
            assert status in {str(code.value[0]) for code in refusals}, f"{name_of(method)}"


async def test_headers_of_100_kb_or_500_headers_are_too_large(world: World) -> None:
    token = await world.headers(world.operator)
    async with world.http() as http:
        passed = await http.get("/v1/subjects", headers=token | {"x-large": "a" * 50_000})
        assert passed.status_code == 200, passed.text
        refused = await http.get("/v1/subjects", headers=token | {"x-large": "a" * 100_000})
        assert refused.status_code == 431
        many = await http.get("/v1/subjects", headers=token | {f"x-{n}": "" for n in range(500)})
        assert many.status_code == 431
