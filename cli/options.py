"""Options that several commands share: data folder, gateway, credential, organization, JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path, typer.Option("--data", envvar="QAGAZSYZ_DATA", help="The data folder that init made.")
]
Gateway = Annotated[
    str,
    typer.Option(
        "--gateway", envvar="QAGAZSYZ_GATEWAY", help="Where the gateway listens: HOST:PORT."
    ),
]
CredentialFile = Annotated[
    Path | None,
    typer.Option(
        "--credential",
        envvar="QAGAZSYZ_CREDENTIAL",
        help="PEM of a certificate and its key, to sign in with; or what `token --save` wrote.",
    ),
]
Organization = Annotated[
    str,
    typer.Option(
        "--organization",
        envvar="QAGAZSYZ_ORGANIZATION",
        help="Act as an officer of this organization: its name (subjects/…) or its BIN.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for machines.")]

DEFAULT_GATEWAY = "127.0.0.1:8080"
DEFAULT_DATA = Path("qagazsyz-data")
