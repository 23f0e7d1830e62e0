"""`qagazsyz token`: sign in and print the access token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import Failure
from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Organization
from cli.terminal import say


def token(
    phone: Annotated[
        str, typer.Option(help="Sign in by the phone of this number (+7…) alone, with --iin.")
    ] = "",
    iin: Annotated[str, typer.Option(help="The person's number, twelve digits.")] = "",
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write the sign-in by phone here and print nothing: a file that other commands "
            "take as --credential for ten minutes."
        ),
    ] = None,
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Sign in and print the access token and nothing else, for curl and scripts."""
    if phone:
        _by_phone(phone, iin, save, organization, gateway)
        return
    if iin or save is not None:
        raise Failure("--iin and --save are of a sign-in by phone: --phone")
    from cli.connection import signing_in

    with signing_in(gateway, credential, organization) as sign_in:
        say(sign_in.token().access_token)


def _by_phone(number: str, iin: str, save: Path | None, organization: str, gateway: str) -> None:
    from cli.connection import anonymous, show_code
    from cli.output import write_secret
    from qagazsyz.phone import sign_in

    if save is not None and save.exists():
        # Before the phone is asked for nothing.
        raise Failure(f"{save} exists already")
    with anonymous(gateway) as channel:
        signed_in = sign_in(channel, number, iin, show_code, organization)
    if save is None:
        say(signed_in.access_token)
    else:
        write_secret(save, signed_in.to_json())
