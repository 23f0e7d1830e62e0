"""Take in the calls of a process: a slot for each, its body, and memory for that, all bounded.

A body that arrives at once - and nearly all do - is read without asking for memory beforehand. One
that is still on its way after GRACE_SECONDS asks for as much as gRPC takes in for any method,
because how long it is becomes known only when it is whole: so unfinished bodies never hold more
than the budget, and others' quick calls do not wait behind them.

A JSON body is collected by the gateway before the service gets any of it. The gateway says how long
a body will be, and callers share its memory here, by those lengths, as they share slots.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc

from services.runtime.access import Caller
from services.runtime.errors import ResourceExhausted
from services.runtime.intake.admission import Pool, Slot

# What arrives within it is bounded by the network's speed alone.
GRACE_SECONDS = 0.05
# How long a whole body may take: 20 MiB at 11 Mbit/s.
BODY_SECONDS = 15.0
# The gateway sets it; what a caller sent under this name never passes the gateway.
ADDRESS_HEADER = "x-qagazsyz-client-address"
# The gateway sets it, where the caller announced it: the length of the body in HTTP.
LENGTH_HEADER = "x-qagazsyz-length"
# A longer body is a large one, of which few are on their way to one process at once; one caller has
# two at most. Of the others, so many bytes.
LARGE_BODY_BYTES = 1024 * 1024
LARGE_AT_ONCE = 3
LARGE_RESERVE = 1 / LARGE_AT_ONCE
ANNOUNCED_BYTES = 32 * 1024 * 1024
# A household or a company has a network of this length (RFC 6177).
IPV6_PREFIX = 64


class Intake:
    """The pools of a process. The platform's own services have slots of their own."""

    def __init__(
        self,
        *,
        calls: int,
        streams: int,
        bytes_in_flight: int,
        body_limit: int,
    ) -> None:
        """calls, streams: at once, of all callers; the services' own calls as many again.
        body_limit: the longest message that gRPC takes in."""
        self._body_limit = body_limit
        self._calls = Pool(calls)
        self._own_calls = Pool(calls, reserve=0)
        self._streams = Pool(streams)
        self._bytes = Pool(bytes_in_flight)
        self._announced = Pool(ANNOUNCED_BYTES)
        self._large = Pool(LARGE_AT_ONCE, reserve=LARGE_RESERVE)

    def admit(self, key: str, *, is_service: bool) -> Slot:
        """Return a slot for a unary call. Raises ResourceExhausted."""
        return (self._own_calls if is_service else self._calls).enter(key)

    def admit_stream(self, key: str) -> Slot:
        """Return a slot for a stream. Raises ResourceExhausted."""
        return self._streams.enter(key)

    def memory(self, key: str, size: int) -> Slot:
        """Return so many bytes of the budget, to hold. Raises ResourceExhausted."""
        return self._bytes.enter(key, size)

    async def body(
        self, slot: Slot, read: Callable[[], Awaitable[bytes]], *, length: int = 0
    ) -> bytes:
        """Read the call's body. length: as it was announced, 0 if it was not.

        Raises ResourceExhausted if its place is taken by another caller or there is no memory for
        it, DeadlineExceeded if it takes longer than BODY_SECONDS, and what read raises.
        """
        memory = self._room_for(slot.caller, length) if length else None

        def is_slow() -> None:
            nonlocal memory
            try:
                memory = memory or self._bytes.enter(slot.caller, self._body_limit)
            except ResourceExhausted as error:
                wait.interrupt(error)
            else:
                memory.wait = wait
                wait.limit(BODY_SECONDS - GRACE_SECONDS)

        timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, is_slow)
        try:
            with slot.waiting() as wait:
                if memory is not None:
                    # Whoever needs its memory ends its wait, as whoever needs its slot does.
                    memory.wait = wait
                return await read()
        finally:
            timer.cancel()
            if memory is not None:
                memory.wait = None
                memory.pool.leave(memory)

    def _room_for(self, caller: str, length: int) -> Slot:
        if length > LARGE_BODY_BYTES:
            return self._large.enter(caller)
        return self._announced.enter(caller, length)


def caller_key(caller: Caller | None, metadata: Mapping[str, str]) -> str:
    """Return whose call it is: the token's subject and organization, else the client's address, of
    IPv6 its /64; "" where neither is known."""
    if caller is not None:
        return f"{caller.subject} {caller.organization}"
    text = metadata.get(ADDRESS_HEADER, "")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def announced_length(metadata: Mapping[str, str]) -> int:
    """Return the length of the call's body as it was announced; 0 if it was not."""
    text = metadata.get(LENGTH_HEADER, "")
    return int(text) if text.isdecimal() else 0


def text_metadata(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    """Return the call's metadata that is text."""
    return {
        key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
    }
