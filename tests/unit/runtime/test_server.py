"""What every call gets, whatever its servicer: access, decoding, checks and errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from google.protobuf import descriptor_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from qagazsyz.registry.v1 import consents_pb2
from services.runtime.access import (
    CALLER_AUDIENCE,
    INTERNAL_AUDIENCE,
    ISSUER,
    TokenVerifier,
    access_rule,
)
from services.runtime.descriptors import service_descriptors
from services.runtime.errors import InvalidArgument, ResourceExhausted
from services.runtime.server import Call, Server

SERVICE = "qagazsyz.registry.v1.ConsentService"
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
KEY = ed25519.Ed25519PrivateKey.generate()


def token(key: ed25519.Ed25519PrivateKey = KEY, **changes: Any) -> str:
    claims = {
        "iss": ISSUER,
        "aud": CALLER_AUDIENCE,
        "sub": "subjects/a",
        "org": "",
        "roles": ["CITIZEN"],
        "iat": int(NOW),
        "exp": int(NOW) + 600,
        "jti": "t",
    } | changes
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "k"})


async def key_set() -> Mapping[str, Any]:
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key()))
    return {"keys": [jwk | {"kid": "k", "alg": "EdDSA"}]}


class Consents:
    async def GrantConsent(self, request: consents_pb2.GrantConsentRequest, call: Call) -> Any:
        if request.consent.purpose == "boom":
            raise RuntimeError("secret 123456789011")
        if request.consent.purpose == "busy":
            raise ResourceExhausted("later", 1.5)
        return consents_pb2.Consent(subject=call.caller.subject, purpose=request.consent.purpose)

    async def WithdrawConsent(self, request: Any, call: Call) -> Any:
        raise InvalidArgument("name", "is not a consent's")

    async def GetConsent(self, request: Any, call: Call) -> Any:
        call.set_header("cache-control", "no-store")
        return consents_pb2.Consent(name=request.name)

    async def ListConsents(self, request: Any, call: Call) -> Any:
        return consents_pb2.ListConsentsResponse()

    async def ListAccesses(self, request: Any, call: Call) -> Any:
        return consents_pb2.ListAccessesResponse()


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    server = Server({SERVICE: Consents()}, TokenVerifier(key_set, now=lambda: NOW))
    port = server.listen("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop()


async def call(
    channel: grpc.aio.Channel, method: str, data: bytes, bearer: str | None = None
) -> bytes:
    metadata = (("authorization", f"Bearer {bearer}"),) if bearer else ()
    return await channel.unary_unary(f"/{SERVICE}/{method}")(data, metadata=metadata)


async def refusal(*args: Any) -> tuple[grpc.StatusCode, status_pb2.Status]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(*args)
    details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    return caught.value.code(), status_pb2.Status.FromString(details)


def grant(**fields: Any) -> bytes:
    consent = {"organization": "subjects/o", "document_type": "documentTypes/t", "purpose": "p"}
    return consents_pb2.GrantConsentRequest(
        consent=consents_pb2.Consent(**(consent | fields))
    ).SerializeToString()


def violations(status: status_pb2.Status) -> list[str]:
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(bad):
            return [violation.field for violation in bad.field_violations]
    return []


async def test_a_good_call_is_answered_in_the_callers_name(channel: grpc.aio.Channel) -> None:
    answer = consents_pb2.Consent.FromString(await call(channel, "GrantConsent", grant(), token()))
    assert answer.subject == "subjects/a"


@pytest.mark.parametrize(
    "bearer",
    [
        None,
        "nonsense",
        "a.b.c",
        token(aud="another"),
        token(iss="another"),
        token(exp=int(NOW) - 60),
        token(iat=int(NOW) + 60),
        token(key=ed25519.Ed25519PrivateKey.generate()),
        token(roles=["SERVICE"]),
        token(roles=["CITIZEN"], aud=INTERNAL_AUDIENCE),
        token(roles=["KING"]),
        token(roles=None),
        token(sub=None),
        jwt.encode({"sub": "subjects/a"}, "", algorithm="none", headers={"kid": "k"}),
        "x" * 5000,
    ],
)
async def test_a_token_that_does_not_hold_is_unauthenticated(
    channel: grpc.aio.Channel, bearer: str | None
) -> None:
    code, _ = await refusal(channel, "GrantConsent", grant(), bearer)
    assert code == grpc.StatusCode.UNAUTHENTICATED


async def test_a_role_that_the_method_does_not_name_is_refused(channel: grpc.aio.Channel) -> None:
    code, _ = await refusal(channel, "GrantConsent", grant(), token(roles=["OFFICER"]))
    assert code == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff", b"\x0a\x05\x22\x03\xff\xfe\xfd"])
async def test_bytes_that_are_no_message_are_an_invalid_argument(
    channel: grpc.aio.Channel, data: bytes
) -> None:
    code, _ = await refusal(channel, "GrantConsent", data, token())
    assert code == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_call_that_ends_before_its_message_is_answered(channel: grpc.aio.Channel) -> None:
    nothing: list[bytes] = []
    metadata = (("authorization", f"Bearer {token()}"),)
    method = channel.stream_unary(f"/{SERVICE}/GrantConsent")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(iter(nothing), metadata=metadata)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "consent"),
        (grant(purpose=""), "consent.purpose"),
        (grant(purpose_text="a\x00b"), "consent.purpose_text"),
        (grant(expire_time=Timestamp(seconds=10**15)), "consent.expire_time"),
    ],
)
async def test_a_bad_field_is_named(channel: grpc.aio.Channel, data: bytes, field: str) -> None:
    code, status = await refusal(channel, "GrantConsent", data, token())
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert violations(status) == [field]


async def test_a_defect_is_internal_and_says_nothing(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    code, status = await refusal(channel, "GrantConsent", grant(purpose="boom"), token())
    assert (code, status.message) == (grpc.StatusCode.INTERNAL, "internal error")
    assert "123456789011" not in caplog.text


async def test_a_refusal_for_now_says_when_to_come_back(channel: grpc.aio.Channel) -> None:
    code, status = await refusal(channel, "GrantConsent", grant(purpose="busy"), token())
    retry = error_details_pb2.RetryInfo()
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 1500


async def test_a_header_that_the_servicer_sets_reaches_the_caller(
    channel: grpc.aio.Channel,
) -> None:
    invocation = channel.unary_unary(f"/{SERVICE}/GetConsent")(
        consents_pb2.GetConsentRequest(name="consents/c").SerializeToString(),
        metadata=(("authorization", f"Bearer {token()}"),),
    )
    await invocation
    assert ("cache-control", "no-store") in list(await invocation.initial_metadata())


async def test_health_and_reflection_are_open(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for version in ("v1", "v1alpha"):
        stream = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]))
        listed = {
            service.name async for r in stream for service in r.list_services_response.service
        }
        assert set(service_descriptors()) <= listed


@pytest.mark.parametrize(
    "symbol", [SERVICE, f"{SERVICE}.GetConsent", "qagazsyz.registry.v1.Consent"]
)
async def test_reflection_finds_services_methods_and_messages(
    channel: grpc.aio.Channel, symbol: str
) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(file).name
        for file in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert "qagazsyz/registry/v1/consents.proto" in files


async def test_reflection_says_what_it_does_not_find(channel: grpc.aio.Channel) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{SERVICE}.Nothing")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_every_method_of_the_contracts_says_who_may_call_it() -> None:
    bare = [
        method.full_name
        for service in service_descriptors().values()
        for method in service.methods
        if access_rule(method) is None
    ]
    assert bare == []
