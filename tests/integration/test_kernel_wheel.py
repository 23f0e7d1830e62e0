"""The kernel's wheels that `make wheel` put into dist/, as a machine without cargo has them."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

import pytest

from cli.main import CHECKOUT
from signatures.portable import PortableBackend
from tests.properties.lanes import LaneForge

WHEELS = sorted((CHECKOUT / "dist").glob("qagazsyz_kernel-*.whl"))
HERE = [wheel for wheel in WHEELS if wheel.stem.endswith(f"_{platform.machine()}")]

# For every CPython from 3.11 on, for this glibc or a newer one, on this machine.
NAME = re.compile(r"qagazsyz_kernel-[\d.]+-cp311-abi3-manylinux_2_(\d+)_(x86_64|aarch64)\.whl")
GLIBC = re.compile(rb"GLIBC_2\.(\d+)")
# EM_X86_64 and EM_AARCH64, two bytes at offset 18 of an ELF file (System V ABI).
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}

# Prints the verdicts of the batch in its input, as digits of hexadecimal.
VERIFY = """
import sys, qagazsyz_kernel
batch = qagazsyz_kernel.parse_batch(sys.stdin.buffer.read())
print(qagazsyz_kernel.verify([(batch, 0, batch.item_count)], 1).hex())
"""

pytestmark = pytest.mark.skipif(not WHEELS, reason="make wheel builds them")


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.name)
def test_a_wheel_needs_no_newer_glibc_than_its_tag_says(wheel: Path) -> None:
    found = NAME.fullmatch(wheel.name)
    assert found is not None
    with zipfile.ZipFile(wheel) as archive:
        (library,) = (name for name in archive.namelist() if name.endswith(".so"))
        content = archive.read(library)
    assert int.from_bytes(content[18:20], "little") == ELF_MACHINES[found[2]]
    versions = {int(minor) for minor in GLIBC.findall(content)}
    assert versions, "it is linked against glibc"
    assert max(versions) <= int(found[1])


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.name)
def test_a_wheel_has_the_kernel_alone_and_no_path_of_its_builder(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    tops = {name.split("/")[0].split("-")[0] for name in contents}
    assert tops == {"qagazsyz_kernel"}
    for path in (Path.home(), CHECKOUT):
        assert [name for name, content in contents.items() if f"{path}/".encode() in content] == []


@pytest.mark.skipif(not HERE, reason="there is no wheel for this machine")
def test_a_machine_without_cargo_installs_the_wheel_and_verifies_a_batch(tmp_path: Path) -> None:
    venv, bare = tmp_path / "venv", {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert shutil.which("cargo", path=bare["PATH"]) is None
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python, uv = venv / "bin" / "python", CHECKOUT / ".venv" / "bin" / "uv"
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-index",
        "--python",
        python,
    ]
    subprocess.run([*install, HERE[0]], env=bare, check=True)

    forge, portable = LaneForge(Random(0)), PortableBackend()
    # One batch of each kind of key.
    for _ in range(8):
        _, _, request = forge.batch()
        wire, count = request.SerializeToString(), len(request.items)
        done = subprocess.run(
            [python, "-I", "-c", VERIFY], env=bare, input=wire, capture_output=True, check=True
        )
        expected = portable.parse_batch(wire).verify(0, count)
        assert bytes.fromhex(done.stdout.decode()) == expected
