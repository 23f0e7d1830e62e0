"""`qagazsyz mobile`: have people sign on the SIM of their phone, by short message."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization
from cli.terminal import say

if TYPE_CHECKING:
    import grpc

    from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb

mobile = typer.Typer(help="Signatures on the SIM of a phone.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="mobileSignatures/…")]


@mobile.command()
def sign(
    file: Annotated[Path, typer.Argument(help="What is to be signed, at most 64 KiB.")],
    subject: Annotated[str, typer.Option(help="subjects/… of who is to sign.")],
    text: Annotated[str, typer.Option(help="What the phone shows: one short line.")],
    phone: Annotated[str, typer.Option(help="subjects/…/phones/…; the newest if not given.")] = "",
    out: Annotated[Path | None, typer.Option(help="File for the signature, r and s.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the person has decided.")] = True,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Have a file signed on a phone; 1 if there is no signature in the end.

    People ask their own phone, officers for an organization that may.
    """
    from cli.connection import TIMEOUT_SECONDS, signed_in
    from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
    from qagazsyz.signing.v1 import mobile_signatures_pb2_grpc

    if out is not None and not wait:
        raise Failure("--out needs --wait")
    request = pb.CreateMobileSignatureRequest(
        subject=subject,
        message=file.read_bytes(),
        display_text=text,
        phone=phone,
        request_id=str(uuid.uuid4()),
    )
    with signed_in(gateway, credential, organization) as channel:
        stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
        session = stub.CreateMobileSignature(request, timeout=TIMEOUT_SECONDS)
        if wait:
            session = wait_for_end(channel, session)
    _print(session, json=json)
    if session.state == pb.MOBILE_SIGNATURE_STATE_SIGNED:
        if out is not None:
            out.write_bytes(session.signature)
    elif wait:
        raise typer.Exit(CHECK_FAILED)


def wait_for_end(channel: grpc.Channel, session: pb.MobileSignature) -> pb.MobileSignature:
    """Tell the verification code, and return the session once it has ended."""
    from qagazsyz import phone

    say(f"The phone shows the code {session.verification_code}", to=sys.stderr)
    return phone.wait_for_end(channel, session)


@mobile.command()
def get(
    name: Name,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Show a session."""
    from cli.connection import call
    from qagazsyz.signing.v1 import mobile_signatures_pb2, mobile_signatures_pb2_grpc

    session = call(
        lambda channel: (
            mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel).GetMobileSignature
        ),
        mobile_signatures_pb2.GetMobileSignatureRequest(name=name),
        gateway,
        credential,
        organization,
    )
    _print(session, json=json)


@mobile.command()
def cancel(
    name: Name,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """End a session; an answer that comes later changes nothing."""
    from cli.connection import call
    from qagazsyz.signing.v1 import mobile_signatures_pb2, mobile_signatures_pb2_grpc

    session = call(
        lambda channel: (
            mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel).CancelMobileSignature
        ),
        mobile_signatures_pb2.CancelMobileSignatureRequest(name=name),
        gateway,
        credential,
        organization,
    )
    _print(session, json=json)


@mobile.command("list")
def list_(
    subject: Annotated[str, typer.Argument(help="subjects/…, your own.")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List who asked your phone, and what came of it, newest first."""
    from cli.connection import call_pages
    from cli.output import moment, print_rows, word_of
    from qagazsyz.signing.v1 import mobile_signatures_pb2, mobile_signatures_pb2_grpc

    pages = call_pages(
        lambda channel: (
            mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel).ListMobileSignatures
        ),
        mobile_signatures_pb2.ListMobileSignaturesRequest(subject=subject),
        gateway,
        credential,
    )
    rows = [
        (
            one.name,
            moment(one.create_time),
            one.requester,
            word_of(one, "purpose"),
            word_of(one, "state"),
            word_of(one, "outcome"),
        )
        for page in pages
        for one in page.mobile_signatures
    ]
    columns = ("name", "time", "requester", "purpose", "state", "outcome")
    print_rows("Signatures on phones", columns, rows, as_machine_json=json)


def _print(session: pb.MobileSignature, *, json: bool) -> None:
    from cli.output import print_message

    print_message(session, as_machine_json=json)
