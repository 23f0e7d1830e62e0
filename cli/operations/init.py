"""`qagazsyz init`: makes a data folder, offline."""

from __future__ import annotations

import contextlib
import secrets
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import Failure
from cli.made_up_numbers import made_up_bin, made_up_iin
from cli.operations.data_folder import DataFolder
from cli.options import DEFAULT_DATA, Data
from cli.terminal import say

# The services that have a credential.
CALLING_SERVICES = ("signing", "registry", "messaging", "requests")
# Those that data folders of earlier versions lack.
ADDABLE = ("messaging", "requests")
# Of an operator whose IIN is made up.
BIRTH_DATE = date(1990, 1, 1)


def init(
    data: Data = DEFAULT_DATA,
    operator_iin: Annotated[
        str, typer.Option(help="The first operator's IIN; a made-up one if not given.")
    ] = "",
    operator_name: Annotated[
        str, typer.Option(help='The first operator: "FAMILY GIVEN [PATRONYMIC]".')
    ] = "Оператор Бірінші",
    platform_name: Annotated[
        str, typer.Option(help="The platform's own organization.")
    ] = "Qagazsyz",
    add: Annotated[
        str,
        typer.Option(
            help="Give an existing data folder the keys and the credential of a service that it "
            f"lacks: {', '.join(ADDABLE)}. Nothing else is changed."
        ),
    ] = "",
) -> None:
    """Make keys, certificates and the first operator's credential in a new data folder."""
    if add:
        _add_service(DataFolder(data), add)
        return
    from services.identity.subjects.iin_bin import InvalidNumber, check_iin

    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Empty folders are a container's mounts; files belong to an installation.
    if any(path.is_file() for path in data.rglob("*")):
        raise Failure(f"{data} is in use")
    # A container's folder is right already, and cannot be changed where its root is read-only.
    if data.stat().st_mode & 0o077:
        data.chmod(0o700)
    iin = operator_iin or made_up_iin(BIRTH_DATE, secrets.randbelow(10_000))
    try:
        check_iin(iin)
    except InvalidNumber as error:
        raise Failure(f"--operator-iin: {error}") from None
    folder = DataFolder(data)
    _create_secrets(folder, platform_name, iin, operator_name)
    _ignore(data)
    say(f"made {data}; the first operator's credential is {folder.operator}")


def _add_service(folder: DataFolder, name: str) -> None:
    """Make the secrets of a service, and have identity issue its credential, which is written last:
    what was interrupted is done again."""
    from services.identity.new_secrets import add_service
    from services.messaging import new_secrets as messaging
    from services.requests import new_secrets as requests
    from services.runtime.clock import system_clock, system_randomness
    from services.runtime.secret_files import write_secret

    secrets_of = dict(zip(ADDABLE, (messaging, requests), strict=True))
    if name not in secrets_of:
        raise Failure(f"--add: not one of {', '.join(ADDABLE)}")
    if not folder.is_initialized():
        raise Failure(f"{folder.path} is not a data folder: qagazsyz init makes one")
    credential = folder.of(name) / "credential.pem"
    with folder.lock():
        if credential.exists():
            raise Failure(f"{folder.path} has {name} already")
        now, randomness = system_clock(), system_randomness
        secrets_of[name].create_secrets(folder.of(name), now=now, randomness=randomness)
        issued = add_service(folder.of("identity"), name, now=now, randomness=randomness)
        write_secret(credential, issued)
    say(f"added {name} to {folder.path}; identity takes its certificate when it starts next")


def _ignore(data: Path) -> None:
    """Have git ignore the folder, which holds the root key, wherever it lies."""
    from services.runtime.secret_files import write_secret

    # A container's root may be read-only; nobody commits one.
    with contextlib.suppress(OSError):
        write_secret(data / ".gitignore", b"*\n")


def _create_secrets(
    folder: DataFolder, platform_name: str, operator_iin: str, operator_name: str
) -> None:
    """Have each service make its own secrets, and hand out the credentials that identity issues.

    Each service's folder is its own, so that a container mounts only its own secrets.
    """
    from services.identity import new_secrets as identity
    from services.messaging import new_secrets as messaging
    from services.registry import new_secrets as registry
    from services.requests import new_secrets as requests
    from services.runtime.clock import system_clock, system_randomness
    from services.runtime.intake.control_characters import CONTROL_CHARACTER
    from services.runtime.secret_files import make_private_folder, write_secret
    from services.signing import new_secrets as signing

    # These names go into certificates and lists, past the checks of requests.
    if CONTROL_CHARACTER.search(platform_name + operator_name) is not None:
        raise Failure("a name contains a control character")
    now, randomness = system_clock(), system_randomness
    signing.create_secrets(folder.of("signing"), now=now, randomness=randomness)
    registry.create_secrets(folder.of("registry"), now=now, randomness=randomness)
    messaging.create_secrets(folder.of("messaging"), now=now, randomness=randomness)
    requests.create_secrets(folder.of("requests"), now=now, randomness=randomness)
    family, given, patronymic = ([*operator_name.split(maxsplit=2), "", "", ""])[:3]
    credentials = identity.create_secrets(
        folder.of("identity"),
        identity.Platform(platform_name, made_up_bin(now, secrets.randbelow(100_000))),
        identity.Operator(operator_iin, family, given, patronymic),
        services=CALLING_SERVICES,
        now=now,
        randomness=randomness,
    )
    for name, credential in credentials.services.items():
        write_secret(folder.of(name) / "credential.pem", credential)
    make_private_folder(folder.credentials)
    write_secret(folder.operator, credentials.operator)
