"""`qagazsyz service`: create, change, approve, suspend and list public services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization

if TYPE_CHECKING:
    from qagazsyz.credentials import Credential
    from qagazsyz.requests.v1 import public_services_pb2

service = typer.Typer(help="Public services.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="publicServices/…")]
Definition = Annotated[
    Path, typer.Argument(help="The service in JSON, with the members of the contract.")
]


@service.command()
def create(
    service_id: Annotated[str, typer.Argument(help="The last part of its name.")],
    file: Definition,
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Create a service, which its provider has yet to approve."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.requests.v1 import public_services_pb2, public_services_pb2_grpc

    created = call(
        lambda channel: (
            public_services_pb2_grpc.PublicServiceServiceStub(channel).CreatePublicService
        ),
        public_services_pb2.CreatePublicServiceRequest(
            public_service=read_service(file), public_service_id=service_id
        ),
        gateway,
        credential,
    )
    print_message(created, as_machine_json=json)


@service.command()
def update(
    name: Name,
    file: Definition,
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Replace a service's definition by the file's: a version that its provider has yet to
    approve."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.requests.v1 import public_services_pb2, public_services_pb2_grpc

    wanted = read_service(file)
    wanted.name = name
    request = public_services_pb2.UpdatePublicServiceRequest(public_service=wanted)
    request.update_mask.paths.append("*")
    changed = call(
        lambda channel: (
            public_services_pb2_grpc.PublicServiceServiceStub(channel).UpdatePublicService
        ),
        request,
        gateway,
        credential,
    )
    print_message(changed, as_machine_json=json)


@service.command()
def approve(
    name: Name,
    version: Annotated[int, typer.Option(help="The version that you have read.")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Sign the mandate for exactly this version, as an officer of the provider."""
    from cli.connection import call, load_credential
    from cli.output import print_message
    from qagazsyz.requests.v1 import public_services_pb2, public_services_pb2_grpc

    found = get_service(name, gateway)
    if found.version != version:
        raise Failure(f"{name} is at version {found.version} now")
    approved = call(
        lambda channel: (
            public_services_pb2_grpc.PublicServiceServiceStub(channel).ApprovePublicService
        ),
        public_services_pb2.ApprovePublicServiceRequest(
            name=name,
            version=version,
            signature=sign_text(load_credential(credential), found.mandate),
        ),
        gateway,
        credential,
        organization,
    )
    print_message(approved, as_machine_json=json)


@service.command()
def suspend(
    name: Name,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """End a service's mandate at once, as an officer of the provider or as an operator."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.requests.v1 import public_services_pb2, public_services_pb2_grpc

    suspended = call(
        lambda channel: (
            public_services_pb2_grpc.PublicServiceServiceStub(channel).SuspendPublicService
        ),
        public_services_pb2.SuspendPublicServiceRequest(name=name),
        gateway,
        credential,
        organization,
    )
    print_message(suspended, as_machine_json=json)


@service.command()
def get(name: Name, gateway: Gateway = DEFAULT_GATEWAY, json: Json = False) -> None:
    """Print one service, and what an officer signs to approve it."""
    from cli.output import print_message

    print_message(get_service(name, gateway), as_machine_json=json)


@service.command("list")
def list_(gateway: Gateway = DEFAULT_GATEWAY, json: Json = False) -> None:
    """List all services."""
    from cli.connection import anonymous, pages_of
    from cli.output import print_rows
    from qagazsyz.requests.v1 import public_services_pb2, public_services_pb2_grpc

    request = public_services_pb2.ListPublicServicesRequest()
    with anonymous(gateway) as channel:
        stub = public_services_pb2_grpc.PublicServiceServiceStub(channel)
        rows = [
            (each.name, str(each.version), state_of(each), str(each.time_limit_days))
            for page in pages_of(stub.ListPublicServices, request)
            for each in page.public_services
        ]
    columns = ("name", "version", "state", "working days")
    print_rows("Public services", columns, rows, as_machine_json=json)


def state_of(service: public_services_pb2.PublicService) -> str:
    """Return whether people can ask for a service, in a word."""
    if service.retired:
        return "retired"
    return "approved" if service.HasField("approval") else "not approved"


def get_service(name: str, gateway: str) -> public_services_pb2.PublicService:
    """Return a service in its present version. Raises grpc.RpcError."""
    from cli.connection import TIMEOUT_SECONDS, anonymous
    from qagazsyz.requests.v1 import public_services_pb2, public_services_pb2_grpc

    with anonymous(gateway) as channel:
        return public_services_pb2_grpc.PublicServiceServiceStub(channel).GetPublicService(
            public_services_pb2.GetPublicServiceRequest(name=name), timeout=TIMEOUT_SECONDS
        )


def read_service(file: Path) -> public_services_pb2.PublicService:
    """Return the service that a file defines. Raises Failure."""
    from google.protobuf import json_format

    from qagazsyz.requests.v1 import public_services_pb2

    try:
        return json_format.Parse(
            file.read_text(encoding="utf-8"), public_services_pb2.PublicService()
        )
    except json_format.ParseError as error:
        raise Failure(f"{file}: {error}") from None


def sign_text(credential: Credential, text: str) -> public_services_pb2.StatementSignature:
    """Sign what the platform asks to be signed."""
    from qagazsyz.requests.v1 import public_services_pb2

    algorithm, signature = credential.sign(text.encode())
    return public_services_pb2.StatementSignature(
        certificate=credential.certificate, algorithm=algorithm, signature=signature
    )
