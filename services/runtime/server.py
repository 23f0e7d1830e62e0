"""A gRPC server around plain servicers.

What every call needs is done here, once, in this order: a span, who is calling,
whether the method's access option lets them, decoding, the checks that the
contract's field behaviour asks for, the servicer's method, and the mapping of
what it raised to a status. grpc.aio would answer bytes that are no message
with UNKNOWN before any handler runs, so handlers take bytes and decode here; a
call that ends before its message is whole it would not answer at all, so
handlers take the one message from a stream of them.

A servicer is any object with an async method for each method of its contract:

    async def GetSubject(self, request: GetSubjectRequest, call: Call) -> Subject

A method marked with @wire takes and gives bytes, for where Python must not see
the items of a batch; a method that streams both ways takes an async iterator
of bytes and is an async generator of bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from services.runtime import telemetry
from services.runtime.access import Caller, TokenVerifier, access_rule, authorize
from services.runtime.descriptors import service_descriptors
from services.runtime.errors import DomainError, InvalidArgument, Unauthenticated
from services.runtime.field_checks import check_fields
from services.runtime.settings import CannotStart
from services.runtime.status import internal_status, status_of

log = logging.getLogger(__name__)

# gRPC holds a whole message several times over before Python sees it.
MESSAGE_LIMIT_BYTES = 20 * 1024 * 1024
# The gateway bounds what callers send, at half of this, and answers in clear words; gRPC counts 32
# bytes more for each header, and refuses with a list of all of them.
METADATA_LIMIT_BYTES = 128 * 1024
# More calls at once than this are answered RESOURCE_EXHAUSTED by gRPC itself.
CONCURRENT_CALLS = 1_000
# What is under way when the process is told to stop gets this long to end.
DRAIN_SECONDS = 10.0

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTIONS = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")

F = TypeVar("F", bound=Callable[..., Any])


def wire(method: F) -> F:
    """Marks a servicer's method that takes and gives bytes as they are on the wire."""
    method.__dict__["takes_wire_bytes"] = True
    return method


class Call:
    """What a servicer may know of the call it answers."""

    __slots__ = ("_context", "_headers", "_metadata", "caller_or_none", "method")

    def __init__(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        method: MethodDescriptor,
        caller: Caller | None,
        metadata: Mapping[str, str],
    ) -> None:
        self._context = context
        self._metadata = metadata
        self._headers: list[tuple[str, str]] = []
        self.method = method
        self.caller_or_none = caller

    @property
    def caller(self) -> Caller:
        """The token's holder. Raises Unauthenticated on an open method called without one."""
        if self.caller_or_none is None:
            raise Unauthenticated("a token is needed")
        return self.caller_or_none

    def time_remaining(self) -> float | None:
        """Seconds until the caller stops waiting, or None if it never does."""
        remaining: float | None = self._context.time_remaining()
        return remaining

    def cancelled(self) -> bool:
        """Whether the caller has gone."""
        return bool(self._context.cancelled() or self._context.done())

    def set_header(self, name: str, value: str) -> None:
        """A header of the answer: "cache-control" of what never changes."""
        self._headers.append((name, value))

    async def send_headers(self) -> None:
        if self._headers:
            await self._context.send_initial_metadata(tuple(self._headers))


class Endpoint:
    """One method of a contract and the servicer's method behind it."""

    def __init__(
        self, method: MethodDescriptor, handler: Callable[..., Any], tokens: TokenVerifier
    ) -> None:
        self._method = method
        self._name = f"{method.containing_service.full_name}/{method.name}"
        self._handler = handler
        self._rule = access_rule(method)
        self._tokens = tokens
        self._request_class = message_factory.GetMessageClass(method.input_type)
        # A batch's items are checked by its servicer: a bad one costs its own answer.
        self._is_batch = method.name.startswith("Batch")

    def grpc_handler(self) -> grpc.RpcMethodHandler[Any, Any]:
        if self._method.client_streaming and self._method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream)
        if self._method.client_streaming or self._method.server_streaming:
            raise NotImplementedError(f"{self._name} streams one way")
        if self._handler.__dict__.get("takes_wire_bytes", False):
            return grpc.stream_unary_rpc_method_handler(self._wire)
        return grpc.stream_unary_rpc_method_handler(self._unary)

    async def _wire(
        self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        async def answer(call: Call) -> bytes:
            result: bytes = await self._handler(await _only(context), call)
            return result

        return await self._answer(context, answer)

    async def _unary(
        self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        async def answer(call: Call) -> bytes:
            response: Message = await self._handler(self._decode(await _only(context)), call)
            return response.SerializeToString()

        return await self._answer(context, answer)

    async def _answer(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        answer: Callable[[Call], Awaitable[bytes]],
    ) -> bytes:
        metadata = _text_metadata(context)
        with telemetry.server_span(self._name, metadata) as span:
            try:
                call = Call(context, self._method, await self._authorized(metadata), metadata)
                response = await answer(call)
                await call.send_headers()
                return response
            except Exception as error:
                status = _status(error, self._name)
                span.failed(status.code)
        await _abort(context, status)
        raise AssertionError("unreachable")

    async def _stream(
        self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        metadata = _text_metadata(context)
        with telemetry.server_span(self._name, metadata) as span:
            try:
                call = Call(context, self._method, await self._authorized(metadata), metadata)
                async for response in self._handler(_Messages(context), call):
                    yield response
                return
            except Exception as error:
                status = _status(error, self._name)
                span.failed(status.code)
        await _abort(context, status)

    async def _authorized(self, metadata: Mapping[str, str]) -> Caller | None:
        caller = None
        header = metadata.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("the token is not valid")
            caller = await self._tokens.verify(token)
        authorize(self._rule, caller)
        return caller

    def _decode(self, data: bytes) -> Message:
        try:
            request: Message = self._request_class.FromString(data)
        except (DecodeError, ValueError):
            raise InvalidArgument("", "the bytes are no message of this method") from None
        skip: Sequence[str] = ()
        if self._is_batch:
            skip = [
                field.name
                for field in request.DESCRIPTOR.fields
                if field.is_repeated and field.message_type is not None
            ]
        mask = None
        if "update_mask" in request.DESCRIPTOR.fields_by_name and request.HasField("update_mask"):
            mask = getattr(request, "update_mask")  # noqa: B009
        check_fields(request, skip=skip, mask=mask)
        return request


class Server:
    """A process's gRPC server: its contracts, health, and reflection over all contracts."""

    def __init__(
        self,
        servicers: Mapping[str, object],
        tokens: TokenVerifier,
        *,
        concurrent_calls: int = CONCURRENT_CALLS,
    ) -> None:
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=concurrent_calls,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
                ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
                ("grpc.max_metadata_size", METADATA_LIMIT_BYTES),
                ("grpc.absolute_max_metadata_size", METADATA_LIMIT_BYTES),
                ("grpc.so_reuseport", 1),
                # Envoy keeps its connections; a client that pings often is no attack.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        for name, servicer in servicers.items():
            descriptor = service_descriptors()[name]
            handlers = {
                method.name: Endpoint(method, getattr(servicer, method.name), tokens).grpc_handler()
                for method in descriptor.methods
                # One that is not built yet is UNIMPLEMENTED; a test knows of none.
                if hasattr(servicer, method.name)
            }
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, handlers),)
            )
        self.health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        reflection = _Reflection([*service_descriptors(), HEALTH, REFLECTIONS[1]])
        for name in REFLECTIONS:
            # The two versions differ in the package's name alone.
            handler = grpc.stream_stream_rpc_method_handler(
                reflection.ServerReflectionInfo,
                request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
                response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
            )
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
            )

    def listen(self, address: str) -> int:
        """Binds "unix:/path" or "host:port" and returns the port; port 0 is one that is free.

        Raises CannotStart where it cannot be bound.
        """
        try:
            return self._server.add_insecure_port(address)
        except RuntimeError:
            raise CannotStart(f"calls cannot be taken at {address!r}") from None

    async def start(self) -> None:
        """Takes calls; health answers SERVING for the process from now on."""
        await self._server.start()
        await self.health.set("", health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Takes no new calls, and gives those under way DRAIN_SECONDS to end."""
        await self.health.enter_graceful_shutdown()
        await self._server.stop(DRAIN_SECONDS)


class _Reflection(ReflectionServicer):  # type: ignore[misc]  # it comes without types
    """grpc's own, which finds methods too: ghz and grpcurl ask for them (grpc/grpc#34743)."""

    def _file_containing_symbol(self, request: Message, fully_qualified_name: str) -> Message:
        with contextlib.suppress(KeyError):
            method = descriptor_pool.Default().FindMethodByName(fully_qualified_name)
            fully_qualified_name = method.containing_service.full_name
        answer: Message = super()._file_containing_symbol(request, fully_qualified_name)
        return answer


class _Messages:
    """A call's messages, each let go of once it is taken.

    grpc.aio's own iterator holds the last one, and for ever where it is left before its end.
    """

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._context = context

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        message: Any = await self._context.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return bytes(message)


async def _only(context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    """The message of a call that has one. Raises InvalidArgument where the call ended before it."""
    async for message in _Messages(context):
        return message
    raise InvalidArgument("", "the call ended before its message")


def _text_metadata(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    return {
        key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
    }


def _status(error: Exception, method: str) -> status_pb2.Status:
    if isinstance(error, DomainError):
        return status_of(error)
    # The text of an unknown exception may hold personal data: where it arose must do.
    frames = [
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    log.error(
        "internal error",
        extra={"rpc.method": method, "exception": type(error).__name__, "frames": frames},
    )
    return internal_status()


async def _abort(context: grpc.aio.ServicerContext[Any, Any], status: status_pb2.Status) -> None:
    codes = {code.value[0]: code for code in grpc.StatusCode}
    await context.abort(
        codes[status.code],
        status.message,
        (("grpc-status-details-bin", status.SerializeToString()),),
    )


async def wait_for(stop: asyncio.Event, server: Server) -> None:
    """Serves until stop is set, then drains."""
    await server.start()
    await stop.wait()
    await server.stop()
