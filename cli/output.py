"""Print what a command returns, as text for people or JSON for machines, and write its files."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import Failure
from cli.terminal import plain, say, say_json

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.console import Console

# Characters of the widest table: a file and a pipe have no width of their own.
WIDTH = 200


def as_json(message: Message) -> str:
    """Return the message as JSON over several lines, with the members that the gateway gives."""
    from google.protobuf import json_format

    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, ensure_ascii=False
    )


def print_message(message: Message, *, as_machine_json: bool) -> None:
    """Print a message: as JSON, or its set fields line by line."""
    if as_machine_json:
        say_json(as_json(message))
        return
    from google.protobuf import json_format

    for key, value in json_format.MessageToDict(message).items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        say(f"{key}: {shown}")


def print_rows(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, as_machine_json: bool
) -> None:
    """Print a list: as a table, or as JSON objects, one a line, with the columns as keys."""
    if as_machine_json:
        for row in rows:
            line: Mapping[str, str] = dict(zip(columns, row, strict=True))
            say(json.dumps(line, ensure_ascii=False))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, because a cell's brackets are no markup.
        table.add_row(*(Text(plain(cell)) for cell in row))
    console().print(table)


def console() -> Console:
    """Return standard output: as wide as the terminal, or wide enough for whole names in a pipe."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def moment(stamp: Timestamp) -> str:
    """Return a Timestamp as RFC 3339, "" if it is unset."""
    return stamp.ToJsonString() if stamp.seconds or stamp.nanos else ""


def word_of(message: Message, field: str) -> str:
    """Return an enum field's value in lower case, without the name of its enum."""
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    assert enum is not None, field  # noqa: S101 - callers name fields of enums
    name = enum.values_by_number[getattr(message, field)].name
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper()
    return name.removeprefix(f"{prefix}_").lower()


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600. Raises Failure if it exists."""
    from services.runtime import secret_files

    try:
        secret_files.write_secret(path, content)
    except FileExistsError:
        raise Failure(f"{path} exists already") from None


def write_certificate(path: Path, der: bytes) -> None:
    """Write a certificate to a file, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(pem)
