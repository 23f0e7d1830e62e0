"""The wheel that servers install, built with the project's own tools: what is in it, and what not.

What makes test data and measures stays in the source checkout, with its dependencies.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cli.main import CHECKOUT, CHECKOUT_COMMANDS

# Top-level packages of the wheel.
SHIPPED = {"cli", "gateway", "phones", "services", "signatures", "sms"}
# Distributions that only the demo and the benchmarks need.
NOT_FOR_SERVERS = ("fpdf2", "pillow", "fonttools", "defusedxml", "fontpkg", "font")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the wheel, as an installation has it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, CHECKOUT),
        ],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def help_of_the_tool(folder: Path) -> str:
    """What `qagazsyz --help` prints if the tool is the one in the folder."""
    code = "import cli.main; print(cli.main.__file__); cli.main.app()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    file, _, text = done.stdout.partition("\n")
    assert Path(file).is_relative_to(folder)
    return text


def commands(text: str) -> set[str]:
    return {line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.strip()}


def test_the_wheel_has_the_services_the_gateway_and_the_tool_alone(installed: Path) -> None:
    packages = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert packages == SHIPPED


def test_the_wheel_has_what_no_import_names(installed: Path) -> None:
    for service in ("identity", "registry", "signing"):
        assert list((installed / "services" / service / "migrations" / "versions").glob("*.py"))


def test_the_wheel_has_no_font_and_no_document(installed: Path) -> None:
    assert not [
        path for path in installed.rglob("*") if path.suffix in (".ttf", ".otf", ".woff2", ".pdf")
    ]


def test_demo_and_bench_are_commands_of_a_checkout_only(installed: Path) -> None:
    here, there = commands(help_of_the_tool(CHECKOUT)), commands(help_of_the_tool(installed))
    assert here - there == CHECKOUT_COMMANDS.keys() == {"demo", "bench"}
    assert {"init", "up", "serve", "verify"} <= there


def test_no_server_installs_what_only_the_demo_needs() -> None:
    pinned = [
        line.split("==")[0].strip().lower()
        for line in (CHECKOUT / "requirements" / "run.txt").read_text().splitlines()
        if "==" in line
    ]
    assert pinned
    assert [name for name in pinned if name.startswith(NOT_FOR_SERVERS)] == []
