"""Install the judges and run their tests, one kind after the other: `make judges`.

A judge that cannot be had is left out in one line that says why; one that is installed and whose
tests fail, or do not end in time, makes this fail. Marks as arguments run those only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from tests.judges.judges import JUDGES, REPOSITORY, AlteredError, Judge, LeftOutError, run

# How much longer a long run may take.
LONG_RUN_TIMES = 5


def judge(judge: Judge) -> bool | None:
    """Return whether it is satisfied, or None where it is left out."""
    began = time.monotonic()
    minutes = judge.minutes * (LONG_RUN_TIMES if "LONG_RUN" in os.environ else 1)
    deadline = began + 60 * minutes
    try:
        judge.ensure(deadline)
    except LeftOutError as reason:
        print(f"judges: left out: {judge.mark}: {reason}")
        return None
    except (AlteredError, subprocess.CalledProcessError, TimeoutError) as reason:
        print(f"judges: {judge.mark} is not installed: {reason}")
        return False
    print(f"judges: {judge.mark}, there after {time.monotonic() - began:.0f} s", flush=True)
    code, _ = run(
        (sys.executable, "-m", "pytest", "-q", "-m", judge.mark, "tests/judges"),
        REPOSITORY,
        deadline,
        judge.environment,
        is_shown=True,
    )
    if code is None:
        print(f"judges: {judge.mark} took more than {minutes} minutes")
    return code == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.judges", description=__doc__)
    marks = [each.mark for each in JUDGES]
    parser.add_argument("marks", nargs="*", choices=[*marks, []], help="all of them by default")
    wanted = parser.parse_args().marks or marks
    verdicts = [judge(each) for each in JUDGES if each.mark in wanted]
    sys.exit(1 if False in verdicts else 0)


if __name__ == "__main__":
    main()
