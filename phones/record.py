"""The network's own record of every message, to compare with what the platform says.

One JSON object a line: "time", "event" and what belongs to it. Events are

    refused      the platform's message was not taken: number, status, user_data
    submitted    it was taken: id, number, status 0, user_data, esm_class, data_coding
    delivered, expired, undeliverable
                 what became of it: id, number
    sent         a phone's message waits for the platform: serial, number, destination, user_data
    acknowledged the platform took it: serial, number
    rejected     the platform refused it for good: serial, number, status
    answered     a SIM's applet ended a request: number, status

serial counts a phone's messages from 1; one that goes twice has one serial.
"""

from __future__ import annotations

import json
from collections import deque
from typing import IO, Any

from phones.clock import NetworkClock

# Entries kept in memory; the file has all of them.
KEPT = 100_000


class Record:
    """Takes entries in their order; writes each to a file at once, if there is one."""

    def __init__(self, clock: NetworkClock, file: IO[str] | None = None) -> None:
        self._clock = clock
        self._file = file
        self.entries: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, event: str, **members: Any) -> None:
        """Add an entry with the network's time; bytes are written in hexadecimal."""
        entry = {"time": self._clock.now().isoformat(timespec="milliseconds"), "event": event}
        for name, value in members.items():
            entry[name] = value.hex() if isinstance(value, bytes) else value
        self.entries.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the entries of one event, in their order."""
        return [entry for entry in self.entries if entry["event"] == event]
