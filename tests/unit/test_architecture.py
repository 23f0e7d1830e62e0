"""The house rules that a machine can hold: imports run downwards only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A package may import those named behind it, and itself.
MAY_IMPORT = {
    "client/qagazsyz": {"qagazsyz"},
    "signatures": {"signatures", "qagazsyz"},
    "services/runtime": {"services.runtime", "qagazsyz"},
    "services/identity": {"services.identity", "services.runtime", "signatures", "qagazsyz"},
    "services/signing": {"services.signing", "services.runtime", "signatures", "qagazsyz"},
    "services/registry": {"services.registry", "services.runtime", "signatures", "qagazsyz"},
    "gateway": {"gateway", "services", "signatures", "qagazsyz"},
    "cli": {"cli", "gateway", "services", "signatures", "qagazsyz"},
}
OURS = ("services", "signatures", "gateway", "cli", "qagazsyz", "tests")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            # "from services import identity" names services.identity.
            base = node.module or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_downwards_only(package: str) -> None:
    allowed = MAY_IMPORT[package]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if "/v1/" not in path.as_posix() and "target" not in path.parts
        for name in imports(path)
        if name.split(".")[0] in OURS
        and not any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("signatures", ("grpc", "sqlalchemy")),
        ("client/qagazsyz", ("sqlalchemy",)),
    ],
)
def test_libraries_know_nothing_of_what_uses_them(package: str, forbidden: tuple[str, ...]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if "/v1/" not in path.as_posix() and "target" not in path.parts
        for name in imports(path)
        if name.split(".")[0] in forbidden
    ]
    assert wrong == []
