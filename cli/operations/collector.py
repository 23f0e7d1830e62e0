"""Collect traces inside `qagazsyz up`: an OTLP/gRPC receiver that writes to a bounded file.

Every process of the suite, Envoy too, exports its spans to a unix socket here. An export request is
written undecoded behind its length: that costs the hot path next to nothing, and `qagazsyz traces`
decodes what it shows. A file that reaches its limit replaces the older of two files and a new one
begins, so that both together never exceed twice the limit.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

# About a million spans in both files.
FILE_LIMIT_BYTES = 64 * 1024 * 1024
CURRENT = "spans"
OLDER = "spans.older"
# The length before each record: four bytes, big-endian.
LENGTH = struct.Struct(">I")
# An export of one process has some hundred kilobytes.
EXPORT_LIMIT_BYTES = 16 * 1024 * 1024

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
ACCEPTED = trace_service_pb2.ExportTraceServiceResponse().SerializeToString()


class SpanFile:
    """Appends export requests to a file of bounded size."""

    def __init__(self, folder: Path, limit_bytes: int = FILE_LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit = limit_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(self._folder / CURRENT, flags, 0o600)
        self._size = os.fstat(self._file).st_size

    def append(self, request: bytes) -> None:
        """Append one export request in a single write, so that readers see all of it or nothing."""
        if self._size and self._size + LENGTH.size + len(request) > self._limit:
            os.close(self._file)
            (self._folder / CURRENT).replace(self._folder / OLDER)
            self._open()
        os.write(self._file, LENGTH.pack(len(request)) + request)
        self._size += LENGTH.size + len(request)

    def close(self) -> None:
        os.close(self._file)


def read_requests(folder: Path) -> Iterator[trace_service_pb2.ExportTraceServiceRequest]:
    """Yield the export requests of a SpanFile's folder, oldest first, without a torn last one."""
    for name in (OLDER, CURRENT):
        path = folder / name
        data = memoryview(path.read_bytes()) if path.exists() else memoryview(b"")
        start = 0
        while start + LENGTH.size <= len(data):
            (size,) = LENGTH.unpack_from(data, start)
            start += LENGTH.size
            if start + size > len(data):
                break
            yield trace_service_pb2.ExportTraceServiceRequest.FromString(
                bytes(data[start : start + size])
            )
            start += size


class Collector:
    """The OTLP/gRPC server around a SpanFile."""

    def __init__(self, folder: Path) -> None:
        self._spans = SpanFile(folder)
        self._server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", EXPORT_LIMIT_BYTES)]
        )
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            self._export
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),)
        )

    async def _export(
        self,
        request: bytes,
        _context: grpc.aio.ServicerContext[bytes, bytes],
    ) -> bytes:
        self._spans.append(request)
        return ACCEPTED

    async def start(self, address: str) -> None:
        """Start to receive spans at "unix:/path" or "host:port"."""
        self._server.add_insecure_port(address)
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(grace=1)
        self._spans.close()
