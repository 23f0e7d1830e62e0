"""SMSCs that others wrote, as processes: npm's `smpp` (node/smsc.js) and jsmpp (java/Smsc.java).

Both are driven alike. A line on standard input is a text that a phone sends, UTF-16BE in
hexadecimal; it is delivered until it is acknowledged. On standard output is a line of JSON for each
thing that happened: `listening` on a port; `submitted`, with what the program itself read in the
PDU; `acknowledged`, with the status; `unbound`. An empty line is answered by `settled`. With
`receipts` as argument, each message is answered by a delivery receipt. The end of the input ends
the program.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.runtime.concurrency.housekeeping import in_background
from tests.judges.judges import FOLDER, HERE

# A JVM starts in a second, on a busy machine in many.
START_SECONDS = 60.0


@dataclass(frozen=True)
class Kind:
    """One of the programs."""

    command: tuple[str, ...]
    environment: dict[str, str]
    # Whether it decodes GSM 7-bit, and tells text; else it tells octets.
    decodes_default_alphabet: bool


NPM = Kind(
    ("node", str(HERE / "node" / "smsc.js")),
    {"NODE_PATH": str(FOLDER / "node" / "node_modules")},
    decodes_default_alphabet=True,
)
JSMPP = Kind(
    ("java", "-Xmx128m", "-cp", f"{FOLDER / 'java'}:{FOLDER / 'java' / 'jars'}/*", "Smsc"),
    {},
    decodes_default_alphabet=False,
)


@dataclass(frozen=True)
class Taken:
    """A submit_sm, as the other program read it."""

    destination: str
    coding: int
    protocol: int
    esm: int
    # Information elements of the user data's header, which is taken off.
    headers: int
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-16-be")


@dataclass
class JudgeSmsc:
    """What happened at the other SMSC by its own record, and what a phone sends by it."""

    process: asyncio.subprocess.Process
    port: int = 0
    password: str = "any"
    taken: list[Taken] = field(default_factory=list)
    # Each text that was acknowledged, with the status.
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    unbinds: int = 0
    settlements: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send_texts(self, texts: Sequence[str]) -> None:
        """Let a phone send these, each delivered until it is acknowledged."""
        assert self.process.stdin is not None
        for text in texts:
            self.process.stdin.write(text.encode("utf-16-be").hex().encode() + b"\n")
        await self.process.stdin.drain()

    def taken_texts(self) -> list[tuple[str, Hashable]]:
        return [(each.text, each) for each in self.taken]

    def acknowledged_texts(self) -> set[str]:
        return {text for text, _ in self.acknowledged}

    async def settle(self) -> None:
        """Wait until everything that has happened there is in this record."""
        assert self.process.stdin is not None
        before = self.settlements
        self.process.stdin.write(b"\n")
        await self.until(lambda: self.settlements > before)

    async def until(self, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until the condition holds, looked at after everything that happens."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def read(self) -> None:
        """Take everything that the program says, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            match said.pop("event"):
                case "listening":
                    self.port = said["port"]
                case "submitted":
                    said["content"] = bytes.fromhex(said["content"])
                    self.taken.append(Taken(**said))
                case "acknowledged":
                    text = bytes.fromhex(said["content"]).decode("utf-16-be")
                    self.acknowledged.append((text, said["status"]))
                case "settled":
                    self.settlements += 1
                case "unbound":
                    self.unbinds += 1
            async with self._changed:
                self._changed.notify_all()


@asynccontextmanager
async def judging(kind: Kind, *, receipts: bool = False) -> AsyncIterator[JudgeSmsc]:
    """Run the program during the block."""
    process = await asyncio.create_subprocess_exec(
        *kind.command,
        *(["receipts"] if receipts else []),
        env={**os.environ, **kind.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    smsc = JudgeSmsc(process)
    try:
        async with in_background(smsc.read()):
            await smsc.until(lambda: smsc.port != 0)
            yield smsc
    finally:
        process.kill()
        await process.wait()
