"""`qagazsyz serve`: run one process of the suite, for containers and for the supervisor."""

from __future__ import annotations

import enum
import os
import signal
from typing import Annotated

import typer


class Part(enum.StrEnum):
    """The parts of the suite, each a process."""

    IDENTITY = "identity"
    SIGNING = "signing"
    REGISTRY = "registry"
    REQUESTS = "requests"
    MESSAGING = "messaging"
    GATEWAY = "gateway"


def serve(part: Annotated[Part, typer.Argument(help="Which process to run.")]) -> None:
    """Run one process of the suite; its settings are environment variables QAGAZSYZ_…"""
    from cli.operations.data_folder import private_files
    from cli.operations.supervisor import watch_parent

    private_files()
    watch_parent(_stop_this_process)
    _run(part)


def _stop_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _run(part: Part) -> None:
    # Import only what this process needs.
    if part is Part.IDENTITY:
        from services.identity import main as identity

        identity.main()
    elif part is Part.SIGNING:
        from services.signing import main as signing

        signing.main()
    elif part is Part.REGISTRY:
        from services.registry import main as registry

        registry.main()
    elif part is Part.REQUESTS:
        from services.requests import main as requests

        requests.main()
    elif part is Part.MESSAGING:
        from services.messaging import main as messaging

        messaging.main()
    else:
        from gateway import main as gateway
        from gateway.settings import GatewaySettings

        raise typer.Exit(gateway.run(GatewaySettings()))  # type: ignore[call-arg]
