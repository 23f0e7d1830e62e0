"""CPU time and memory of a process and of those that it started."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks import processes


def test_the_cpu_of_a_process_and_of_those_it_started_is_counted() -> None:
    code = "import sys; sum(range(3_000_000)); print('done', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        theirs, ours = processes.usage(child.pid), processes.usage(os.getpid())
        assert 0 < theirs.cpu < ours.cpu
        assert 0 < theirs.resident <= theirs.peak
        child.communicate()
