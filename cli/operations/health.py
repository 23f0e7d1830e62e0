"""`qagazsyz health`: ask one process whether it serves, for containers and scripts."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.errors import UNREACHABLE, Failure
from cli.terminal import say

# Shorter than an orchestrator's timeout, so that this command gets to say what is wrong.
TIMEOUT_SECONDS = 3.0


def health(
    address: Annotated[str, typer.Argument(help='"host:port" or "unix:/path".')],
    service: Annotated[
        str, typer.Option(help="A service's full name; everything behind the address if not given.")
    ] = "",
) -> None:
    """Ask a process, or all behind a gateway, whether they serve; exit code 0 only if they do."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    request = health_pb2.HealthCheckRequest(service=service)
    try:
        with grpc.insecure_channel(address) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        raise Failure(f"{address}: {error.code().name}", UNREACHABLE) from None
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Failure(f"{address}: {status}", UNREACHABLE)
    say(status)
