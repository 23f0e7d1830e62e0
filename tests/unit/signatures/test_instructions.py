"""Whatever instructions the kernel uses, the verdicts are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

kernel = pytest.importorskip("qagazsyz_kernel")

SETTING = "QAGAZSYZ_KERNEL_INSTRUCTIONS"
# Each with all before it.
SETS = ("scalar", "avx2", "ifma")
HERE = Path(__file__).parent


def run(setting: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {SETTING: setting},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("setting", SETS[: SETS.index(kernel.instructions())])
def test_published_vectors_hold_for_fewer_instructions(setting: str) -> None:
    vectors = [str(HERE / name) for name in ("test_native_vectors.py", "test_hashing.py")]
    done = run(setting, "-m", "pytest", "-q", "-p", "no:cacheprovider", *vectors)
    assert done.returncode == 0, done.stdout[-2_000:]


@pytest.mark.parametrize("setting", SETS)
def test_a_setting_never_asks_for_more_than_the_machine_has(setting: str) -> None:
    asked = ("-c", "import qagazsyz_kernel as k; print(k.instructions())")
    used, best = (SETS.index(run(each, *asked).stdout.strip()) for each in (setting, ""))
    assert used == min(SETS.index(setting), best)


def test_a_setting_that_names_nothing_is_refused() -> None:
    done = run("sse9", "-c", "import qagazsyz_kernel as k; k.instructions()")
    assert done.returncode != 0
    assert "RuntimeError" in done.stderr
