"""`qagazsyz phone`: import SIMs and their keys, bind phones to people, approve, confirm, list and
unbind them, report swaps."""

from __future__ import annotations

import enum
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli.errors import CHECK_FAILED, Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Json, Organization

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from qagazsyz.identity.v1 import phones_pb2

M = TypeVar("M", bound="Message")
phone = typer.Typer(help="Phones whose SIM signs for their holder.", no_args_is_help=True)

# What one call takes.
BATCH = 1_000
# The columns of a list of SIMs.
COLUMNS = ("number", "iccid", "public_key")


class Language(enum.StrEnum):
    """Languages of messages."""

    KAZAKH = "kk"
    RUSSIAN = "ru"
    ENGLISH = "en"


@phone.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV: number (+7…), iccid, public_key (base64 of the DER). Or .json: an "
            "ImportSimsRequest, as qagazsyz phones new writes it."
        ),
    ],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Import the mobile network's list of SIMs; a number with another card is a SIM swap."""
    from cli.connection import call
    from cli.terminal import say
    from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc

    if file.suffix == ".json":
        listed = list(_read_request(file, phones_pb2.ImportSimsRequest()).sims)
    else:
        listed = list(read_sims(file))
    imported = 0
    for start in range(0, len(listed), BATCH):
        answer = call(
            lambda channel: phones_pb2_grpc.PhoneServiceStub(channel).ImportSims,
            phones_pb2.ImportSimsRequest(sims=listed[start : start + BATCH]),
            gateway,
            credential,
        )
        imported += answer.imported_count
    say(f"imported: {imported}")


@phone.command("import-keys")
def import_keys(
    file: Annotated[
        Path,
        typer.Argument(
            help="An ImportSimKeysRequest in JSON, as qagazsyz phones new writes it: keys wrapped "
            "under the transport key that the signing service has."
        ),
    ],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Import the keys that SIMs' packets are authenticated with; the SIMs' own list goes before."""
    from cli.connection import call
    from cli.terminal import say
    from qagazsyz.signing.v1 import mobile_signatures_pb2, mobile_signatures_pb2_grpc

    keys = list(_read_request(file, mobile_signatures_pb2.ImportSimKeysRequest()).keys)
    imported = 0
    for start in range(0, len(keys), BATCH):
        answer = call(
            lambda channel: (
                mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel).ImportSimKeys
            ),
            mobile_signatures_pb2.ImportSimKeysRequest(keys=keys[start : start + BATCH]),
            gateway,
            credential,
        )
        imported += answer.imported_count
    say(f"imported: {imported}")


def _read_request(file: Path, request: M) -> M:
    """Return a request in protobuf's JSON. Raises Failure, which names nothing of its content."""
    from google.protobuf import json_format

    try:
        return json_format.Parse(file.read_bytes(), request)
    except (json_format.ParseError, ValueError):
        raise Failure(f"{file}: not a {request.DESCRIPTOR.name} in JSON") from None


def read_sims(file: Path) -> Iterator[phones_pb2.Sim]:
    """Yield the SIMs of a list. Raises Failure, which names the line and nothing of its content."""
    import base64
    import binascii
    import csv

    from qagazsyz.identity.v1 import phones_pb2

    with file.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise Failure(f"{file}: the first line is not {','.join(COLUMNS)}")
        for row in rows:
            try:
                number, iccid, public_key = (row[column] for column in COLUMNS)
                yield phones_pb2.Sim(
                    number=number,
                    iccid=iccid,
                    public_key=base64.b64decode(public_key, validate=True),
                )
            except (binascii.Error, TypeError, ValueError):
                raise Failure(f"{file}, line {rows.line_num}: not a SIM") from None


@phone.command()
def bind(
    subject: Annotated[str, typer.Argument(help="subjects/… of the holder.")],
    number: Annotated[str, typer.Option(help="+7…", prompt=True)],
    language: Annotated[Language, typer.Option(help="Of its messages.")] = Language.KAZAKH,
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Bind a number's SIM to a person; its own signature completes it within a day."""
    from cli.connection import call
    from cli.output import print_message
    from cli.terminal import say
    from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc

    bound = call(
        lambda channel: phones_pb2_grpc.PhoneServiceStub(channel).BindPhone,
        phones_pb2.BindPhoneRequest(
            subject=subject, number=number, language=language.value, request_id=str(uuid.uuid4())
        ),
        gateway,
        credential,
    )
    print_message(bound, as_machine_json=json)
    if bound.state == phones_pb2.PHONE_STATE_PENDING_APPROVAL:
        say(f"It waits for: qagazsyz phone approve {bound.name}", to=sys.stderr)


@phone.command()
def approve(
    name: Annotated[str, typer.Argument(help="subjects/…/phones/…")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Approve a phone that another person asked for."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc

    approved = call(
        lambda channel: phones_pb2_grpc.PhoneServiceStub(channel).ApprovePhone,
        phones_pb2.ApprovePhoneRequest(name=name),
        gateway,
        credential,
    )
    print_message(approved, as_machine_json=json)


@phone.command()
def confirm(
    name: Annotated[str, typer.Argument(help="subjects/…/phones/…")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """Have the SIM of a pending phone, or of one unseen for long, sign; 1 if it is not bound in the
    end."""
    from cli.commands.mobile import wait_for_end
    from cli.connection import TIMEOUT_SECONDS, signed_in
    from cli.output import print_message
    from qagazsyz.signing.v1 import mobile_signatures_pb2, mobile_signatures_pb2_grpc

    request = mobile_signatures_pb2.ConfirmPhoneRequest(phone=name)
    with signed_in(gateway, credential) as channel:
        stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
        session = stub.ConfirmPhone(request, timeout=TIMEOUT_SECONDS)
        session = wait_for_end(channel, session)
    print_message(session, as_machine_json=json)
    if session.state != mobile_signatures_pb2.MOBILE_SIGNATURE_STATE_SIGNED:
        raise typer.Exit(CHECK_FAILED)


@phone.command("list")
def list_(
    subject: Annotated[str, typer.Argument(help="subjects/…")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """List a person's phones that have not ended."""
    from cli.connection import call
    from cli.output import print_rows, word_of
    from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc

    found = call(
        lambda channel: phones_pb2_grpc.PhoneServiceStub(channel).ListPhones,
        phones_pb2.ListPhonesRequest(subject=subject),
        gateway,
        credential,
    )
    rows = [(one.name, one.number, word_of(one, "state"), one.language) for one in found.phones]
    columns = ("name", "number", "state", "language")
    print_rows("Phones", columns, rows, as_machine_json=json)


@phone.command()
def unbind(
    name: Annotated[str, typer.Argument(help="subjects/…/phones/…")],
    credential: CredentialFile = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    json: Json = False,
) -> None:
    """End a phone, or one that is asked for, and revoke its SIM's certificate."""
    from cli.connection import call
    from cli.output import print_message
    from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc

    ended = call(
        lambda channel: phones_pb2_grpc.PhoneServiceStub(channel).UnbindPhone,
        phones_pb2.UnbindPhoneRequest(name=name),
        gateway,
        credential,
    )
    print_message(ended, as_machine_json=json)


@phone.command()
def swap(
    file: Annotated[Path, typer.Argument(help="Numbers (+7…), one a line.")],
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Report numbers that have another SIM or another holder: their phones end at once."""
    from cli.connection import call
    from cli.terminal import say
    from qagazsyz.identity.v1 import phones_pb2, phones_pb2_grpc

    numbers = file.read_text(encoding="utf-8").split()
    for start in range(0, len(numbers), BATCH):
        call(
            lambda channel: phones_pb2_grpc.PhoneServiceStub(channel).ReportSimSwap,
            phones_pb2.ReportSimSwapRequest(numbers=numbers[start : start + BATCH]),
            gateway,
            credential,
            organization,
        )
    say(f"reported: {len(numbers)}")
