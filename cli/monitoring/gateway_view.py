"""A vantage point: a log behind a gateway, asked by LogService."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import grpc

from cli.connection import TIMEOUT_SECONDS
from cli.monitoring.followed import NotReached, Refused
from qagazsyz.registry.v1 import log_pb2, log_pb2_grpc

T = TypeVar("T")

# What a network, a gateway or a rate limit says in place of the log. All else is the log's answer.
_NO_ANSWER = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class GatewayView:
    """One address of a log."""

    def __init__(self, address: str, channel: grpc.Channel) -> None:
        self.address = address
        self._stub = log_pb2_grpc.LogServiceStub(channel)

    def key(self) -> str:
        """Return the verifier key that the log publishes. Raises NotReached and Refused."""
        request = log_pb2.GetLogKeyRequest()
        answer = _ask(lambda: self._stub.GetLogKey(request, timeout=TIMEOUT_SECONDS))
        return bytes(answer.data).decode(errors="replace")

    def newest(self) -> bytes:
        """Return the latest checkpoint. Raises NotReached and Refused."""
        request = log_pb2.GetCheckpointRequest()
        answer = _ask(lambda: self._stub.GetCheckpoint(request, timeout=TIMEOUT_SECONDS))
        return bytes(answer.data)

    def cosigned(self) -> bytes | None:
        """Return the newest cosigned checkpoint, None before the first. Raises NotReached and
        Refused."""
        request = log_pb2.GetCosignedCheckpointRequest()
        try:
            found = self._stub.GetCosignedCheckpoint(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise _told(error) from None
        return bytes(found.data)

    def prove(self, first: int, second: int) -> Sequence[bytes]:
        """Return the consistency proof between two sizes. Raises NotReached and Refused."""
        request = log_pb2.GetConsistencyProofRequest(first_size=first, second_size=second)
        answer = _ask(lambda: self._stub.GetConsistencyProof(request, timeout=TIMEOUT_SECONDS))
        return list(answer.path)


def _ask(call: Callable[[], T]) -> T:
    try:
        return call()
    except grpc.RpcError as error:
        raise _told(error) from None


def _told(error: grpc.RpcError) -> NotReached | Refused:
    code = error.code()
    if code in _NO_ANSWER:
        return NotReached(code.name)
    return Refused(f"{code.name}: {error.details() or ''}")
