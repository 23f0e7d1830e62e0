"""Read the CPU time and memory of a process and its descendants, on Linux."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds, user and system; resident and peak memory in bytes."""

    cpu: float = 0.0
    resident: int = 0
    peak: int = 0


def usage(pid: int) -> Usage:
    """Sum up a process and its running descendants; zeros if the system has no /proc."""
    cpu, resident, peak = 0.0, 0, 0
    for member in tree(pid):
        try:
            # The id of the process' CPU clock, as clock_getcpuclockid(3) computes it; times in
            # /proc are in hundredths of a second only.
            cpu += time.clock_gettime(~member << 3 | 2)
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        resident += _kilobytes(status, "VmRSS:") * 1024
        peak += _kilobytes(status, "VmHWM:") * 1024
    return Usage(cpu, resident, peak)


def tree(pid: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def named(root: int, *words: str) -> int | None:
    """Return the id of the descendant whose command line has these words, or None."""
    for member in tree(root)[1:]:
        try:
            command = Path(f"/proc/{member}/cmdline").read_bytes().split(b"\x00")
        except OSError:
            continue
        if all(word.encode() in command for word in words):
            return member
    return None


def _kilobytes(status: str, name: str) -> int:
    for line in status.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
