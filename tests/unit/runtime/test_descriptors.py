"""gRPC reflection: every process describes all contracts, by service, method and message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from services.runtime.descriptors import (
    HEALTH,
    REFLECTION,
    REFLECTION_ALPHA,
    add_reflection,
    service_descriptors,
)
from services.runtime.intake.open_streams import OpenStreams

Request = reflection_pb2.ServerReflectionRequest
SERVICE = "qagazsyz.registry.v1.ConsentService"


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    add_reflection(server, OpenStreams())
    address = f"unix:{tmp_path / 's'}"
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel
    await server.stop(None)


async def reflect(
    channel: grpc.aio.Channel,
    request: reflection_pb2.ServerReflectionRequest,
    service: str = REFLECTION,
) -> reflection_pb2.ServerReflectionResponse:
    """The only answer to one question."""
    method: grpc.aio.StreamStreamMultiCallable[
        reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    ] = channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        request_serializer=Request.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = [answer async for answer in method(iter([request]))]
    return answer


@pytest.mark.parametrize("version", [REFLECTION, REFLECTION_ALPHA])
async def test_all_services_are_listed_in_both_versions(
    channel: grpc.aio.Channel, version: str
) -> None:
    answer = await reflect(channel, Request(list_services="*"), version)
    listed = {service.name for service in answer.list_services_response.service}
    assert listed == {*service_descriptors(), HEALTH, REFLECTION}


@pytest.mark.parametrize(
    "symbol", [SERVICE, f"{SERVICE}.GetConsent", "qagazsyz.registry.v1.Consent"]
)
async def test_the_file_of_a_service_a_method_and_a_message_is_found(
    channel: grpc.aio.Channel, symbol: str
) -> None:
    answer = await reflect(channel, Request(file_containing_symbol=symbol))
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(file).name
        for file in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert "qagazsyz/registry/v1/consents.proto" in files


async def test_an_unknown_symbol_is_not_found(channel: grpc.aio.Channel) -> None:
    answer = await reflect(channel, Request(file_containing_symbol=f"{SERVICE}.Nothing"))
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
