"""Serve plain servicers over gRPC.

Every call goes through an Endpoint, which does in this order: open a span, authenticate the caller,
authorize by the method's access option, give it a slot, read its body, measure that against the
contract's bounds, decode, check the fields by the contract's field behaviour, check the caller's
confirmation where the option asks for one, call the servicer, and map what it raised to a status.

Handlers take bytes and decode here, because grpc.aio answers bytes that it cannot parse with
UNKNOWN before any handler runs. They read the one message of a unary call from a stream, because
grpc.aio never answers a unary call that ends before its message is whole.

A servicer is any object with an async method for each method of its contract:

    async def GetSubject(self, request: GetSubjectRequest, call: Call) -> Subject

A method marked with @wire takes and returns bytes: Python objects for each item of a batch would
cost more than the batch's work. A method that streams both ways takes an async iterator of bytes
and is an async generator of bytes; one that streams its answers takes a request and is an async
generator of messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime import telemetry
from services.runtime.access import Caller, TokenVerifier, access_rule, authorize
from services.runtime.acts.confirmations import Confirmations
from services.runtime.concurrency.worker_pool import DECODING
from services.runtime.descriptors import add_reflection, service_descriptors
from services.runtime.errors import InvalidArgument, Unauthenticated
from services.runtime.intake.admission import Slot
from services.runtime.intake.field_checks import Update, check_fields
from services.runtime.intake.intake import Intake, announced_length, caller_key, text_metadata
from services.runtime.intake.message_bounds import MESSAGE_LIMIT_BYTES, check_bounds, check_size
from services.runtime.intake.open_streams import Health, OpenStreams
from services.runtime.paging import PageRequest, PageTokens
from services.runtime.settings import BYTES_IN_FLIGHT, CannotStart
from services.runtime.status import abort, status_of_failure

# The gateway refuses at half of this, in clear words; gRPC itself counts 32 bytes more for each
# header, and lists all headers in its refusal.
METADATA_LIMIT_BYTES = 128 * 1024
# Unary calls at once that callers share; the services' own calls have as many again.
CONCURRENT_CALLS = 1_000
# Streams at once.
CONCURRENT_STREAMS = 8
# A longer request is decoded in a thread: a millisecond's worth.
DECODED_ON_LOOP_BYTES = 64 * 1024
# How long calls under way may go on once the process is told to stop.
DRAIN_SECONDS = 10.0

# grpc_compression_algorithm's bit of "identity".
IDENTITY_ENCODING_ONLY = 1

F = TypeVar("F", bound=Callable[..., Any])


def wire(method: F) -> F:
    """Mark a servicer's method that takes and returns bytes as they are on the wire."""
    method.__dict__["takes_wire_bytes"] = True
    return method


class Call:
    """The call that a servicer answers: its caller, its deadline, the headers of its answer."""

    __slots__ = ("_context", "_headers", "_pages", "caller_or_none", "metadata", "method")

    def __init__(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        method: MethodDescriptor,
        caller: Caller | None,
        metadata: Mapping[str, str],
        pages: PageTokens,
    ) -> None:
        self._context = context
        self._pages = pages
        self.metadata = metadata
        self._headers: dict[str, str] = {}
        self.method = method
        self.caller_or_none = caller

    @property
    def caller(self) -> Caller:
        """The token's holder. Raises Unauthenticated on an open method called without a token."""
        if self.caller_or_none is None:
            raise Unauthenticated("a token is needed")
        return self.caller_or_none

    def page(self, request: Any, *filters: str) -> PageRequest:
        """Return the page of a list that a request asks for, by its page_size and page_token.

        filters: what the list is of, beside the method. Raises InvalidArgument.
        """
        caller = self.caller_or_none
        who = (caller.subject, caller.organization) if caller is not None else ("", "")
        of = (self.method.full_name, *who, *filters)
        return self._pages.read(request.page_size, request.page_token, of=of)

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline, or None without a deadline."""
        remaining: float | None = self._context.time_remaining()
        return remaining

    def cancelled(self) -> bool:
        """Return whether the caller has gone."""
        return bool(self._context.cancelled() or self._context.done())

    def set_header(self, name: str, value: str) -> None:
        """Set a header of the answer or the refusal, such as "cache-control"; the last
        value counts."""
        self._headers[name] = value

    async def send_headers(self) -> None:
        """Send the headers that were set, before the answer or the refusal."""
        if self._headers:
            await self._context.send_initial_metadata(tuple(self._headers.items()))


class Endpoint:
    """One method of a contract and the servicer's method behind it."""

    def __init__(
        self,
        method: MethodDescriptor,
        handler: Callable[..., Any],
        tokens: TokenVerifier,
        intake: Intake,
        pages: PageTokens,
        confirmations: Confirmations | None = None,
    ) -> None:
        """Raises ValueError for a method that has to be confirmed, without confirmations."""
        self._intake = intake
        self._pages = pages
        self._confirmations = confirmations
        self._method = method
        self._name = f"{method.containing_service.full_name}/{method.name}"
        self._handler = handler
        self._rule = access_rule(method)
        self._is_confirmed = self._rule is not None and self._rule.confirm
        if self._is_confirmed and confirmations is None:
            raise ValueError(f"{self._name} cannot be confirmed")
        self._tokens = tokens
        self._request_class = message_factory.GetMessageClass(method.input_type)
        # A batch's servicer checks its items: a bad one is refused alone.
        self._is_batch = method.name.startswith("Batch")

    def grpc_handler(self) -> grpc.RpcMethodHandler[Any, Any]:
        """Return the handler that grpc.aio calls. Raises NotImplementedError for a method that
        streams requests only: the contracts have none."""
        if self._method.client_streaming and self._method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream)
        if self._method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._watch)
        if self._method.client_streaming:
            raise NotImplementedError(f"{self._name} streams requests only")
        if self._handler.__dict__.get("takes_wire_bytes", False):
            return grpc.stream_unary_rpc_method_handler(self._wire)
        return grpc.stream_unary_rpc_method_handler(self._unary)

    async def _wire(
        self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        async def answer(data: bytes, call: Call) -> bytes:
            result: bytes = await self._handler(data, call)
            return result

        return await self._answer(context, answer)

    async def _unary(
        self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        async def answer(data: bytes, call: Call) -> bytes:
            if len(data) <= DECODED_ON_LOOP_BYTES:
                request = self._decode(data)
            else:
                request = await DECODING.run(self._decode, data)
            if self._is_confirmed:
                await self._confirm(request, call)
            response: Message = await self._handler(request, call)
            return response.SerializeToString()

        return await self._answer(context, answer)

    async def _answer(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        answer: Callable[[bytes, Call], Awaitable[bytes]],
    ) -> bytes:
        metadata = text_metadata(context)
        call: Call | None = None
        with telemetry.server_span(self._name, metadata) as span:
            try:
                caller = await self._authorized(metadata)
                key = caller_key(caller, metadata)
                is_service = caller is not None and caller.is_service
                with self._intake.admit(key, is_service=is_service) as slot:
                    data = await self._intake.body(
                        slot, lambda: _only(context), length=announced_length(metadata)
                    )
                    check_size(data, self._method)
                    call = Call(context, self._method, caller, metadata, self._pages)
                    with self._intake.memory(key, len(data)):
                        response = await answer(data, call)
                    await call.send_headers()
                return response
            except Exception as error:
                status = status_of_failure(error, self._name)
                span.failed(status.code)
        if call is not None:
            await call.send_headers()
        await abort(context, status)
        raise AssertionError("unreachable")

    async def _stream(
        self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        metadata = text_metadata(context)
        with telemetry.server_span(self._name, metadata) as span:
            try:
                caller = await self._authorized(metadata)
                call = Call(context, self._method, caller, metadata, self._pages)
                with self._intake.admit_stream(caller_key(caller, metadata)) as slot:
                    messages = _Messages(context, slot)
                    async for response in self._handler(messages, call):
                        yield response
                return
            except Exception as error:
                status = status_of_failure(error, self._name)
                span.failed(status.code)
        await abort(context, status)

    async def _watch(
        self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        """Answer one request by a stream. It waits for what happens and costs next to nothing, so
        it has the place of a unary call, not one of the few of streams that work."""
        metadata = text_metadata(context)
        with telemetry.server_span(self._name, metadata) as span:
            try:
                caller = await self._authorized(metadata)
                key = caller_key(caller, metadata)
                is_service = caller is not None and caller.is_service
                with self._intake.admit(key, is_service=is_service) as slot:
                    data = await self._intake.body(slot, lambda: _only(context))
                    check_size(data, self._method)
                    call = Call(context, self._method, caller, metadata, self._pages)
                    async for response in self._handler(self._decode(data), call):
                        yield response.SerializeToString()
                return
            except Exception as error:
                status = status_of_failure(error, self._name)
                span.failed(status.code)
        await abort(context, status)

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

    async def _confirm(self, request: Message, call: Call) -> None:
        """Check the caller's confirmation. The act's id serves as request_id where the request has
        none: a repeat with the same confirmation gets the answer of the first."""
        assert self._confirmations is not None  # noqa: S101 - checked by __init__
        act = await self._confirmations.check(
            call.metadata, method=f"/{self._name}", caller=call.caller, request=request
        )
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            setattr(request, "request_id", getattr(request, "request_id") or act)  # noqa: B009, B010

    def _decode(self, data: bytes) -> Message:
        check_bounds(data, self._method.input_type)
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
        check_fields(request, skip=skip, update=Update.of(request))
        return request


class Server:
    """The gRPC server of a process: its servicers, health, and reflection over all contracts."""

    def __init__(
        self,
        servicers: Mapping[str, object],
        tokens: TokenVerifier,
        *,
        page_secret: bytes,
        confirmations: Confirmations | None = None,
        concurrent_calls: int = CONCURRENT_CALLS,
        bytes_in_flight: int = BYTES_IN_FLIGHT,
    ) -> None:
        """servicers: by the full name of their service, "qagazsyz.identity.v1.TokenService".

        page_secret: of the service's own, that its replicas share (PageTokens).
        confirmations: needed where one of their methods has to be confirmed; else ValueError.
        """
        pages = PageTokens(page_secret)
        intake = Intake(
            calls=concurrent_calls,
            streams=CONCURRENT_STREAMS,
            bytes_in_flight=bytes_in_flight,
            body_limit=MESSAGE_LIMIT_BYTES,
        )
        self._server = grpc.aio.server(
            options=[
                # A small message compressed may be a large one: nothing of ours compresses, and
                # gRPC answers UNIMPLEMENTED with grpc-accept-encoding: identity.
                ("grpc.compression_enabled_algorithms_bitset", IDENTITY_ENCODING_ONLY),
                ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
                ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
                ("grpc.max_metadata_size", METADATA_LIMIT_BYTES),
                ("grpc.absolute_max_metadata_size", METADATA_LIMIT_BYTES),
                ("grpc.so_reuseport", 1),
                # Envoy keeps its connections open and pings on them.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        for name, servicer in servicers.items():
            descriptor = service_descriptors()[name]
            handlers = {
                method.name: Endpoint(
                    method, getattr(servicer, method.name), tokens, intake, pages, confirmations
                ).grpc_handler()
                for method in descriptor.methods
                # A method that the servicer lacks is UNIMPLEMENTED.
                if hasattr(servicer, method.name)
            }
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, handlers),)
            )
        open_streams = OpenStreams()
        self.health = Health(open_streams)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        add_reflection(self._server, open_streams)

    def listen(self, address: str) -> int:
        """Bind "unix:/path" or "host:port" and return the port; port 0 takes any free one.

        Raises CannotStart if the address cannot be bound.
        """
        try:
            return self._server.add_insecure_port(address)
        except RuntimeError:
            raise CannotStart(f"calls cannot be taken at {address!r}") from None

    async def start(self) -> None:
        """Start taking calls; from now on health answers SERVING for the process."""
        await self._server.start()
        await self.health.set("", health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Refuse new calls, and end those still under way after DRAIN_SECONDS."""
        await self.health.enter_graceful_shutdown()
        await self._server.stop(DRAIN_SECONDS)


class _Messages:
    """The messages of a call, of which it keeps none: grpc.aio's own iterator keeps the last
    message in memory, and for ever if it is not read to its end."""

    def __init__(
        self, context: grpc.aio.ServicerContext[Any, Any], slot: Slot | None = None
    ) -> None:
        """slot: the stream's, which another caller may take while a message is waited for."""
        self._context = context
        self._slot = slot

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        message: Any
        if self._slot is None:
            message = await self._context.read()
        else:
            with self._slot.waiting():
                message = await self._context.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return bytes(message)


async def _only(context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    """Return the message of a unary call. Raises InvalidArgument if the call ended before it."""
    message: Any = await context.read()
    if message is grpc.aio.EOF:
        raise InvalidArgument("", "the call ended before its message")
    return bytes(message)


async def wait_for(stop: asyncio.Event, server: Server) -> None:
    """Serve until stop is set, then drain."""
    await server.start()
    await stop.wait()
    await server.stop()
