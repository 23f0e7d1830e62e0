"""`qagazsyz confirm`: sign one call and print the header that confirms it, for curl and scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Organization
from cli.terminal import say

if TYPE_CHECKING:
    from google.protobuf.message import Message


def confirm(
    method: Annotated[
        str,
        typer.Argument(
            help="The method: qagazsyz.identity.v1.CertificateService/IssueCertificate, or the "
            "part behind the last dot of the package."
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="The whole request in JSON, with the fields that the URL carries; - reads it from "
            "standard input.",
        ),
    ],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Sign one act with lasting effect and print its header, for two minutes and one act:

    curl -H "$(qagazsyz confirm METHOD --data request.json)" …
    """
    name, request = _read(method, sys.stdin.read() if str(data) == "-" else data.read_text())
    say(f"qagazsyz-confirmation: {_header(name, request, gateway, credential, organization)}")


def _read(method: str, text: str) -> tuple[str, Message]:
    """Return the method's name, "/package.Service/Method", and its request. Raises Failure."""
    from google.protobuf import json_format, message_factory

    from qagazsyz.confirmations import needs_confirmation
    from services.runtime.descriptors import service_descriptors

    service, _, name = method.strip("/").partition("/")
    found = [
        descriptor.methods_by_name[name]
        for full_name, descriptor in service_descriptors().items()
        if service in (full_name, descriptor.name) and name in descriptor.methods_by_name
    ]
    if len(found) != 1:
        raise Failure(f"there is no method {method}")
    path = f"/{found[0].containing_service.full_name}/{name}"
    request = message_factory.GetMessageClass(found[0].input_type)()
    try:
        json_format.Parse(text, request)
    except json_format.ParseError as error:
        raise Failure(f"the data is no request of {method}: {error}") from None
    if not needs_confirmation(path, request):
        raise Failure(f"{method} needs no confirmation")
    return path, request


def _header(
    method: str, request: Message, gateway: str, credential: Path | None, organization: str
) -> str:
    from cli.connection import signing_in

    with signing_in(gateway, credential, organization) as sign_in:
        return sign_in.confirm(method, request)
