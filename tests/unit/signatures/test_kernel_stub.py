"""mypy's view of the kernel, its stub, is what the built module has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

kernel = pytest.importorskip("qagazsyz_kernel", reason="the native kernel is not built")

SOURCES = Path(__file__).parents[3] / "signatures" / "kernel"
STUB = SOURCES / "qagazsyz_kernel.pyi"
# maturin's package around the library, which re-exports all of it.
LIBRARY = "qagazsyz_kernel.qagazsyz_kernel\n"


def differences(stubs: Path, allowed: Path) -> str:
    """Return what mypy's stubtest finds between the stub in a folder and the built module."""
    allowed.write_text(LIBRARY)
    command = [
        sys.executable,
        "-m",
        "mypy.stubtest",
        "qagazsyz_kernel",
        "--allowlist",
        str(allowed),
    ]
    environment = {**os.environ, "MYPYPATH": str(stubs)}
    # Its cache of modules is the working folder's.
    answer = subprocess.run(
        command, cwd=allowed.parent, env=environment, capture_output=True, text=True
    )
    return answer.stdout + answer.stderr if answer.returncode else ""


def test_the_stub_has_the_module_s_names_and_signatures(tmp_path: Path) -> None:
    assert differences(SOURCES, tmp_path / "allowed") == ""


# What a stub may say wrongly, and what stubtest says of it.
MISTAKES = [
    ("def parse_single(", "def parse_one(", "parse_one is not present at runtime"),
    ("index: int, verdict: int", "index: int", 'stub does not have parameter "verdict"'),
    ("def item_count(", "def items(", "Batch.item_count is not present in stub"),
    ("version: str", "version: int", "version variable differs from runtime"),
]


def test_a_stub_that_says_otherwise_is_found_out(tmp_path: Path) -> None:
    """All mistakes in one stub: each run of stubtest takes seconds."""
    text = STUB.read_text()
    for right, wrong, _ in MISTAKES:
        assert right in text
        text = text.replace(right, wrong)
    (tmp_path / STUB.name).write_text(text)
    found = differences(tmp_path, tmp_path / "allowed")
    assert [said for _, _, said in MISTAKES if said not in found] == []


def test_the_wheel_has_the_stub_and_says_that_it_is_typed() -> None:
    installed = Path(kernel.__file__).parent
    assert (installed / "__init__.pyi").read_text() == STUB.read_text()
    assert (installed / "py.typed").is_file()
