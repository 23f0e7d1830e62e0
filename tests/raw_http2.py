"""An HTTP/2 client that does what no well-behaved one does: send half of a body, and wait."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events

# No test waits longer than this for what must happen.
PATIENCE_SECONDS = 20.0


def frame(message: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """Return a gRPC message with its prefix, which may lie about the length."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


class RawConnection:
    """One connection, many streams; answers are collected by stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._connection = h2.connection.H2Connection(config)
        self._connection.initiate_connection()
        self._window = asyncio.Event()
        self._ended: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.headers: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self.closed = False

    async def open(self, path: str, headers: Mapping[str, str] = {}, *, end: bool = False) -> int:
        """Open a stream with the headers of a gRPC call; return its number."""
        stream = self._connection.get_next_available_stream_id()
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "localhost",
            ":path": path,
            "content-type": "application/grpc",
            "te": "trailers",
            **headers,
        }
        self._connection.send_headers(stream, list(fields.items()), end_stream=end)
        await self._flush()
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send bytes as flow control lets them go; stop where the stream was ended meanwhile."""
        view = memoryview(data)
        while view and not self.closed and not self._ended[stream].is_set():
            room = min(
                self._connection.local_flow_control_window(stream),
                self._connection.max_outbound_frame_size,
            )
            if room <= 0:
                self._window.clear()
                ended = asyncio.create_task(self._ended[stream].wait())
                grown = asyncio.create_task(self._window.wait())
                await asyncio.wait({ended, grown}, return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                grown.cancel()
                continue
            self._connection.send_data(stream, bytes(view[:room]))
            view = view[room:]
            await self._flush()
        if end and not self._ended[stream].is_set():
            self._connection.end_stream(stream)
            await self._flush()

    async def send_trailers(self, stream: int, headers: Mapping[str, str]) -> None:
        """End the request with these trailers."""
        self._connection.send_headers(stream, list(headers.items()), end_stream=True)
        await self._flush()

    async def status(self, stream: int) -> str:
        """Return the call's grpc-status, once it has ended; "" for a stream that was reset."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._ended[stream].wait()
        return self.headers[stream].get("grpc-status", "")

    async def first_ended(self, streams: Sequence[int], count: int) -> list[int]:
        """Return the streams that have ended, once so many have."""
        waits = {asyncio.create_task(self._ended[stream].wait()) for stream in streams}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len([each for each in waits if each.done()]) < count:
                await asyncio.wait(
                    [each for each in waits if not each.done()],
                    return_when=asyncio.FIRST_COMPLETED,
                )
        for each in waits:
            each.cancel()
        return [stream for stream in streams if self._ended[stream].is_set()]

    async def read(self) -> None:
        """Take in what the server sends, until it closes the connection."""
        while data := await self._reader.read(1 << 16):
            for event in self._connection.receive_data(data):
                self._take(event)
            await self._flush()
        self.closed = True
        self._window.set()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                self.headers[event.stream_id] |= dict(event.headers)  # type: ignore[arg-type]
            case h2.events.DataReceived():
                self._connection.acknowledge_received_data(
                    event.flow_controlled_length or 0, event.stream_id
                )
            case h2.events.StreamEnded() | h2.events.StreamReset():
                self._ended[event.stream_id].set()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._window.set()

    async def _flush(self) -> None:
        self._writer.write(self._connection.data_to_send())
        await self._writer.drain()


@asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1") -> AsyncIterator[RawConnection]:
    """Connect without TLS, by prior knowledge."""
    reader, writer = await asyncio.open_connection(host, port)
    connection = RawConnection(reader, writer)
    await connection._flush()
    reading = asyncio.create_task(connection.read())
    try:
        yield connection
    finally:
        reading.cancel()
        writer.close()
