"""Call methods with bytes as they are on the wire, by path or by descriptor.

The functions exist for their types: grpc's stubs infer none for a method without serializers.
"""

from __future__ import annotations

import grpc
from google.protobuf.descriptor import MethodDescriptor

# Bytes that no message begins with: field 1 claims a length beyond the end.
NO_MESSAGE = b"\x0a\x7f\x01"


def name_of(method: MethodDescriptor) -> str:
    """Return "package.Service/Method"."""
    return f"{method.containing_service.full_name}/{method.name}"


def unary(channel: grpc.aio.Channel, path: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """Return a unary method of an asyncio channel."""
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return method


def stream(
    channel: grpc.aio.Channel, path: str
) -> grpc.aio.StreamStreamMultiCallable[bytes, bytes]:
    """Return a method of an asyncio channel that streams both ways."""
    method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(path)
    return method


def blocking_unary(channel: grpc.Channel, path: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    """Return a unary method of a channel without asyncio."""
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return method


def blocking_stream(
    channel: grpc.Channel, path: str
) -> grpc.StreamStreamMultiCallable[bytes, bytes]:
    """Return a method of a channel without asyncio that streams both ways."""
    method: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(path)
    return method


def refusal_of_bytes(method: MethodDescriptor) -> grpc.StatusCode:
    """Return the code of a call with NO_MESSAGE, by a caller who may call the method.

    A stream answers each message by itself, with an error for a malformed one, and then ends OK.
    """
    return grpc.StatusCode.OK if method.client_streaming else grpc.StatusCode.INVALID_ARGUMENT


async def send(
    channel: grpc.aio.Channel, method: MethodDescriptor, data: bytes, timeout_seconds: float
) -> grpc.StatusCode:
    """Call any method with these bytes; return the status code."""
    path = f"/{name_of(method)}"
    try:
        if method.client_streaming:
            async for _ in stream(channel, path)(iter([data]), timeout=timeout_seconds):
                pass
        else:
            await unary(channel, path)(data, timeout=timeout_seconds)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def send_blocking(
    channel: grpc.Channel, method: MethodDescriptor, data: bytes, timeout_seconds: float
) -> grpc.StatusCode:
    """Call any method with these bytes; return the status code.

    grpc.aio will not do for a stream that is refused while its first request is still being
    written: its client makes INTERNAL of that, whatever the server said (grpc/grpc#36066).
    """
    path = f"/{name_of(method)}"
    try:
        if method.client_streaming:
            for _ in blocking_stream(channel, path)(iter([data]), timeout=timeout_seconds):
                pass
        else:
            blocking_unary(channel, path)(data, timeout=timeout_seconds)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK
