"""What every call goes through, whatever its servicer: access, decoding, checks, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from qagazsyz.confirmations import HEADER
from qagazsyz.registry.v1 import consents_pb2
from services.runtime.access import TokenVerifier
from services.runtime.errors import InvalidArgument, NotFound, ResourceExhausted
from services.runtime.server import Call, Server
from tests.confirming import confirmation, confirmations
from tests.unit.runtime.tokens import NOW, fetch_keys, token

SERVICE = "qagazsyz.registry.v1.ConsentService"


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
        if request.name == "consents/none":
            raise NotFound("there is none yet")
        return consents_pb2.Consent(name=request.name)

    async def ListConsents(self, request: Any, call: Call) -> Any:
        return consents_pb2.ListConsentsResponse()

    async def ListAccesses(self, request: Any, call: Call) -> Any:
        return consents_pb2.ListAccessesResponse()


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    server = Server(
        {SERVICE: Consents()},
        TokenVerifier(fetch_keys, now=lambda: NOW),
        confirmations=confirmations(),
        page_secret=b"secret",
    )
    port = server.listen("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop()


def method(channel: grpc.aio.Channel, name: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """A method of the service, called with bytes as they are on the wire."""
    callable_: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        f"/{SERVICE}/{name}"
    )
    return callable_


async def call(
    channel: grpc.aio.Channel, name: str, data: bytes, bearer: str | None = None
) -> bytes:
    metadata = [("authorization", f"Bearer {bearer}")] if bearer else []
    if bearer and name == "GrantConsent":
        metadata.append(confirm_grant(data, bearer))
    return await method(channel, name)(data, metadata=tuple(metadata))


def confirm_grant(data: bytes, bearer: str) -> tuple[str, str]:
    """The header that confirms a call of GrantConsent; of an empty one for bytes that are none."""
    try:
        request = consents_pb2.GrantConsentRequest.FromString(data)
        return confirmation(f"/{SERVICE}/GrantConsent", request, bearer)
    except (DecodeError, ValueError):  # which is refused before its confirmation is looked at
        return HEADER, "none"


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


@pytest.mark.parametrize("bearer", [None, "nonsense", token(exp=int(NOW) - 60)])
async def test_a_call_without_a_valid_token_is_unauthenticated(
    channel: grpc.aio.Channel, bearer: str | None
) -> None:
    code, _ = await refusal(channel, "WithdrawConsent", b"", bearer)
    assert code == grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_of_another_scheme_is_unauthenticated(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(channel, "GrantConsent")(grant(), metadata=(("authorization", "Basic YTpi"),))
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


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
    stream: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(
        f"/{SERVICE}/GrantConsent"
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream(iter(nothing), metadata=metadata)
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
    invocation = method(channel, "GetConsent")(
        consents_pb2.GetConsentRequest(name="consents/c").SerializeToString(),
        metadata=(("authorization", f"Bearer {token()}"),),
    )
    await invocation
    assert ("cache-control", "no-store") in list(await invocation.initial_metadata())


async def test_a_header_that_the_servicer_sets_comes_with_its_refusal_too(
    channel: grpc.aio.Channel,
) -> None:
    invocation = method(channel, "GetConsent")(
        consents_pb2.GetConsentRequest(name="consents/none").SerializeToString(),
        metadata=(("authorization", f"Bearer {token()}"),),
    )
    assert await invocation.code() is grpc.StatusCode.NOT_FOUND
    assert ("cache-control", "no-store") in list(await invocation.initial_metadata())
    assert "grpc-status-details-bin" in dict(await invocation.trailing_metadata())


async def test_health_and_reflection_are_open(channel: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="*")
    (listed,) = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
    assert SERVICE in {service.name for service in listed.list_services_response.service}
