"""docs/settings.md says what the code takes; run this file as a module to write it anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings
from typer.core import TyperCommand

from cli.main import tool
from gateway.settings import GatewaySettings
from services.identity.settings import IdentitySettings
from services.messaging.settings import MessagingSettings
from services.registry.settings import RegistrySettings
from services.requests.settings import RequestsSettings
from services.runtime.settings import ServiceSettings
from services.signing.settings import SigningSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
HEAD = """# Settings

Every setting is an environment variable. Made from the code; write it anew by
`python -m tests.unit.test_settings_table`.

`qagazsyz up` sets folders, addresses, databases and the collector of each process itself, keeps
what is the tool's own, and passes everything else on. `QAGAZSYZ_FOLDER` and the like are for
processes that run alone (`qagazsyz serve`), as in `compose.yaml`. A wrong value ends the process
with one line that names the variable.

Beside these, OpenTelemetry's own variables count: with `OTEL_EXPORTER_OTLP_ENDPOINT` set, every
process sends its spans there and `up` collects none.

| process | variable | default | what it is |
|---|---|---|---|
"""
PROCESSES: tuple[tuple[str, type[BaseSettings]], ...] = (
    ("each service", ServiceSettings),
    ("identity", IdentitySettings),
    ("signing", SigningSettings),
    ("registry", RegistrySettings),
    ("requests", RequestsSettings),
    ("messaging", MessagingSettings),
    ("gateway", GatewaySettings),
)
# The name of a service is no setting: its class fixes it.
FIXED = {"service"}
COMPOSE_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def page() -> str:
    rows = [*of_processes(), *of_the_tool(), *of_compose()]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def of_processes() -> Iterator[tuple[str, str, str, str]]:
    common = ServiceSettings.model_fields
    for process, settings in PROCESSES:
        prefix = settings.model_config["env_prefix"]
        for name, field in settings.model_fields.items():
            if name in FIXED or (name in common and issubclass(settings, ServiceSettings)
                                 and settings is not ServiceSettings):  # fmt: skip
                continue
            if field.default_factory is not None:
                default = "one a core"
            elif field.default is PydanticUndefined:
                default = "needed"
            else:
                default = shown(field.default)
            assert field.description, f"{settings.__name__}.{name} says what it is"
            yield process, f"`{prefix}{name.upper()}`", default, field.description


def of_the_tool() -> Iterator[tuple[str, str, str, str]]:
    """Options of the tool that a variable can set, each once.

    Where a command does a service's work it takes that service's variables: they stand above.
    """
    taken = {row[1] for row in of_processes()} - {"`QAGAZSYZ_CREDENTIAL`"}
    for option in options(typer.main.get_command(tool)):
        variable = f"`{option.envvar}`"
        if option.envvar and variable not in taken:
            taken.add(variable)
            yield "the tool", variable, shown(option.default), str(option.help)


def options(command: object) -> Iterator[typer.core.TyperOption]:
    for below in getattr(command, "commands", {}).values():
        yield from options(below)
    if isinstance(command, TyperCommand):
        yield from (p for p in command.params if isinstance(p, typer.core.TyperOption))


def of_compose() -> Iterator[tuple[str, str, str, str]]:
    """Variables of compose.yaml that no process knows by the same name."""
    seen: dict[str, str] = {}
    for name, default in COMPOSE_VARIABLE.findall((ROOT / "compose.yaml").read_text()):
        seen.setdefault(name, default)
    for name, default in seen.items():
        if name.startswith("QAGAZSYZ_SMPP_"):
            continue
        if name not in KNOWN_BY_A_PROCESS:
            yield "compose.yaml", f"`{name}`", shown(default), IN_COMPOSE[name]


KNOWN_BY_A_PROCESS = {
    "QAGAZSYZ_TRACE_SAMPLE_RATIO",
    "QAGAZSYZ_MESSAGING_ADDRESS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
}
IN_COMPOSE = {
    "QAGAZSYZ_VERSION": "The tag of the image that is built and run.",
    "QAGAZSYZ_BASE": "The base image, for Python: any with Python 3.11 or newer and glibc 2.31.",
    "POSTGRES_IMAGE": "PostgreSQL's image.",
    "COLLECTOR_IMAGE": "The OpenTelemetry collector's image.",
    "JAEGER_IMAGE": "Jaeger's image.",
    "POSTGRES_PASSWORD": "The password of PostgreSQL's own administrator.",
    "IDENTITY_PASSWORD": "Of identity's role in PostgreSQL; letters and digits.",
    "SIGNING_PASSWORD": "Of signing's.",
    "REGISTRY_PASSWORD": "Of registry's.",
    "REQUESTS_PASSWORD": "Of requests'.",
    "MESSAGING_PASSWORD": "Of messaging's.",
    "QAGAZSYZ_HOST": "The address that the gateway's port is published on.",
    "QAGAZSYZ_PORT": "The port that the gateway is published on.",
}


def shown(value: object) -> str:
    return "" if value in (None, "", ()) else f"`{value}`"


def test_the_table_in_the_docs_is_what_the_code_takes() -> None:
    assert PAGE.read_text() == page()


def test_every_settings_class_is_in_the_table() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("services", "gateway", "cli")
        for path in (ROOT / package).rglob("*.py")
        if "(BaseSettings)" in path.read_text() or "(ServiceSettings)" in path.read_text()
    }
    assert found == {
        f"{settings.__module__.replace('.', '/')}.py" for _, settings in PROCESSES
    }  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page())
