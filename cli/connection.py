"""A signed-in channel for one command, and how its answers are printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import REFUSED, Failure

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.console import Console

    from qagazsyz.credentials import Credential

# IIN and BIN alike.
NUMBER = re.compile(r"\d{12}")
# One call of a command: generous, and never for ever.
TIMEOUT_SECONDS = 30.0
# The widest table, whole: a file and a pipe have no width of their own.
WIDTH = 200


@contextmanager
def signed_in(
    gateway: str, credential: Path | None, organization: str = ""
) -> Iterator[grpc.Channel]:
    """A channel signed in with the credential's file, as an officer if an organization is named.

    Raises Failure where no credential is given, or where nobody has the BIN.
    """
    from qagazsyz.client import connect
    from qagazsyz.credentials import Credential

    if credential is None:
        raise Failure("a credential is needed: --credential FILE, or QAGAZSYZ_CREDENTIAL")
    loaded = Credential.load(credential)
    organization = officer_organization(gateway, loaded, organization)
    with connect(gateway, loaded, organization=organization) as channel:
        yield channel


@contextmanager
def anonymous(gateway: str) -> Iterator[grpc.Channel]:
    """A channel for methods that are open to all."""
    from qagazsyz.client import connect

    with connect(gateway) as channel:
        yield channel


def officer_organization(gateway: str, credential: Credential, name_or_number: str) -> str:
    """The organization's name; a BIN is resolved. Raises Failure where nobody has it."""
    if not NUMBER.fullmatch(name_or_number):
        return name_or_number
    from qagazsyz.client import connect
    from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc

    with connect(gateway, credential) as channel:
        stub = subjects_pb2_grpc.SubjectServiceStub(channel)
        request = subjects_pb2.ResolveSubjectsRequest(numbers=[name_or_number])
        (name,) = stub.ResolveSubjects(request, timeout=TIMEOUT_SECONDS).subjects
    if not name:
        raise Failure("no organization has this BIN", REFUSED)
    return name


def as_json(message: Message) -> str:
    """The message as JSON, as the gateway would give it, on several lines."""
    from google.protobuf import json_format

    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, ensure_ascii=False
    )


def print_message(message: Message, *, as_machine_json: bool) -> None:
    """Prints one answer: JSON, or its set fields line by line."""
    if as_machine_json:
        print(as_json(message))
        return
    from google.protobuf import json_format

    for key, value in json_format.MessageToDict(message).items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        print(f"{key}: {shown}")


def print_rows(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, as_machine_json: bool
) -> None:
    """Prints a list: a table, or JSON objects one a line with the columns as keys."""
    if as_machine_json:
        for row in rows:
            line: Mapping[str, str] = dict(zip(columns, row, strict=True))
            print(json.dumps(line, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for whole names where it is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def moment(stamp: Timestamp) -> str:
    """A Timestamp as RFC 3339, or "" where it is unset."""
    return stamp.ToJsonString() if stamp.seconds or stamp.nanos else ""
