"""Descriptors of the contracts: every service by its full name, and gRPC reflection over them.

Every process serves reflection over all contracts, not only its own: a caller asks one process
(the gateway sends reflection to identity) and must find every method.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from qagazsyz.identity.v1 import certificates_pb2, events_pb2, phones_pb2, subjects_pb2, tokens_pb2
from qagazsyz.messaging.v1 import messages_pb2
from qagazsyz.registry.v1 import (
    consent_requests_pb2,
    consents_pb2,
    delegated_pb2,
    documents_pb2,
    log_pb2,
)
from qagazsyz.requests.v1 import public_services_pb2, service_requests_pb2, statistics_pb2
from qagazsyz.signing.v1 import (
    keys_pb2,
    mobile_signatures_pb2,
    phone_confirmations_pb2,
    phone_sign_ins_pb2,
    verification_pb2,
)
from services.runtime.intake.open_streams import OpenStreams

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
# The two versions differ in the package's name alone; clients ask for either.
REFLECTION = "grpc.reflection.v1.ServerReflection"
REFLECTION_ALPHA = "grpc.reflection.v1alpha.ServerReflection"

_FILES = (
    certificates_pb2,
    subjects_pb2,
    tokens_pb2,
    events_pb2,
    phones_pb2,
    messages_pb2,
    keys_pb2,
    mobile_signatures_pb2,
    verification_pb2,
    phone_sign_ins_pb2,
    phone_confirmations_pb2,
    consents_pb2,
    consent_requests_pb2,
    documents_pb2,
    delegated_pb2,
    log_pb2,
    public_services_pb2,
    service_requests_pb2,
    statistics_pb2,
)


@cache
def service_descriptors() -> dict[str, ServiceDescriptor]:
    """Return all services of the contracts by full name."""
    return {
        service.full_name: service
        for file in _FILES
        for service in file.DESCRIPTOR.services_by_name.values()
    }


def add_reflection(server: grpc.aio.Server, streams: OpenStreams) -> None:
    """Add both versions of the reflection service to a server; they list all contracts."""
    servicer = _Reflection(streams, [*service_descriptors(), HEALTH, REFLECTION])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (REFLECTION, REFLECTION_ALPHA):
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )


class _Reflection(ReflectionServicer):  # type: ignore[misc]  # it comes without types
    """grpc's own, extended to find a method's file, as ghz and grpcurl ask (grpc/grpc#34743)."""

    def __init__(self, streams: OpenStreams, names: list[str]) -> None:
        super().__init__(names)
        self._streams = streams

    async def ServerReflectionInfo(
        self,
        requests: AsyncIterator[reflection_pb2.ServerReflectionRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        async with self._streams.hold(context):
            async for response in super().ServerReflectionInfo(requests, context):
                yield response

    def _file_containing_symbol(self, request: Message, fully_qualified_name: str) -> Message:
        with contextlib.suppress(KeyError):
            method = descriptor_pool.Default().FindMethodByName(fully_qualified_name)
            fully_qualified_name = method.containing_service.full_name
        answer: Message = super()._file_containing_symbol(request, fully_qualified_name)
        return answer
