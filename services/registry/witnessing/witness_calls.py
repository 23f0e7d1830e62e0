"""Calls to witnesses by HTTP (C2SP tlog-witness), bounded in time and size."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from qagazsyz import notes
from services.runtime.settings import CannotStart

# A witness verifies a proof and writes a row; more than this is an outage.
TIMEOUT_SECONDS = 10.0
# Cosignatures of some keys, or a size.
ANSWER_LIMIT_BYTES = notes.NOTE_LIMIT_BYTES
# 409's media type: the answer is the size of the tree that the witness saw last.
SIZE_TYPE = "text/x.tlog.size"


class WitnessFailed(Exception):
    """The witness did not cosign; the text says why."""


class StaleProof(Exception):
    """The witness saw another tree last than the proof begins with."""

    def __init__(self, tree_size: int) -> None:
        super().__init__(f"the witness saw {tree_size} entries last")
        self.tree_size = tree_size


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its verifier key, and the prefix of its URLs."""

    key: notes.VerifierKey
    url: str


def parse_keys(text: str) -> list[notes.VerifierKey]:
    """Parse witnesses' verifier keys, by space. Raises CannotStart."""
    try:
        return [notes.VerifierKey.parse(each) for each in text.split()]
    except notes.NoteError as error:
        raise CannotStart(f"QAGAZSYZ_LOG_WITNESSES: {error}") from None


def parse_witnesses(keys: Sequence[notes.VerifierKey], text: str) -> list[Witness]:
    """Parse "name=url" pairs by space; the names are of the keys. Raises CannotStart."""
    by_name = {key.name: key for key in keys}
    found: dict[str, Witness] = {}
    for pair in text.split():
        name, _, url = pair.partition("=")
        if name not in by_name:
            raise CannotStart(f"QAGAZSYZ_LOG_WITNESSES has no key of the witness {name!r}")
        if not url.startswith(("https://", "http://")) or name in found:
            raise CannotStart(f"the witness {name!r} has not one URL of http or https")
        found[name] = Witness(by_name[name], url.rstrip("/"))
    return list(found.values())


class WitnessCalls:
    """Calls witnesses; close() ends its connections."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def add_checkpoint(
        self, witness: Witness, old_size: int, proof: Sequence[bytes], checkpoint: bytes
    ) -> str:
        """Send a checkpoint; return the signature lines over it.

        proof: that it extends the tree of old_size. Raises StaleProof and WitnessFailed.
        """
        hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in proof)
        body = f"old {old_size}\n{hashes}\n".encode() + checkpoint
        try:
            async with self._open().post(
                f"{witness.url}/add-checkpoint",
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            ) as answer:
                text = (await _read(answer)).decode()
                if answer.status == 409 and answer.content_type == SIZE_TYPE:
                    raise StaleProof(_size(text))
                if answer.status != 200:
                    raise WitnessFailed(f"HTTP status {answer.status}")
                return text
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise WitnessFailed(type(error).__name__) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # Take no proxy and no password from the environment.
                trust_env=False,
                headers={"User-Agent": "qagazsyz"},
            )
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for part in answer.content.iter_chunked(16 * 1024):
        content += part
        if len(content) > ANSWER_LIMIT_BYTES:
            raise WitnessFailed("too large an answer")
    return bytes(content)


def _size(text: str) -> int:
    digits = text.removesuffix("\n")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(notes.SIZE_LIMIT)):
        raise WitnessFailed("no size")
    return int(digits)
