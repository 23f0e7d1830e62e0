"""A witness by the letter of C2SP tlog-witness, over real HTTP: it keeps one log's last tree."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qagazsyz import merkle, notes
from tests.unit.registry.ledger import WITNESS, WITNESS_PRIVATE, log_key

NOW = 1_795_000_000


@dataclass
class FakeWitness:
    """Cosigns what extends the tree that it saw last."""

    key: notes.VerifierKey = WITNESS
    private: Ed25519PrivateKey = WITNESS_PRIVATE
    size: int = 0
    root: bytes = merkle.EMPTY_ROOT
    now: int = NOW
    # The old sizes that it was sent.
    asked: list[int] = field(default_factory=list)
    # Answered in place of anything else.
    answer: web.Response | None = None

    async def add_checkpoint(self, request: web.Request) -> web.Response:
        body = await request.read()
        head, _, data = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        old = int(first.removeprefix("old "))
        self.asked.append(old)
        if self.answer is not None:
            return self.answer
        tree = notes.open_checkpoint(data, log_key().verifier)
        if old != self.size:
            return web.Response(
                status=409, text=f"{self.size}\n", headers={"content-type": "text/x.tlog.size"}
            )
        proof = [base64.b64decode(line) for line in lines]
        try:
            merkle.verify_consistency(old, tree.tree_size, proof, self.root, tree.root_hash)
        except merkle.ProofError:
            return web.Response(status=422)
        self.size, self.root = tree.tree_size, tree.root_hash
        text = notes.Note.parse(data).text
        return web.Response(text=notes.cosign(text, self.key, self.private, self.now).line)


@asynccontextmanager
async def serving(witness: FakeWitness) -> AsyncIterator[str]:
    """Serve the witness; yield the prefix of its URLs."""
    app = web.Application()
    app.router.add_post("/prefix/add-checkpoint", witness.add_checkpoint)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/prefix"
    finally:
        await runner.cleanup()
