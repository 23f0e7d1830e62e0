"""Make what the load generators send: valid signatures, and a token.

    python -m tests.load.payloads FOLDER --gateway 127.0.0.1:8080 --credential operator.pem

Each request is written as the bytes of its message (verify/*.bin, for locust) and in JSON
(verify.json, all together, for k6 and ghz); batch-verify likewise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.message import Message

from benchmarks.inputs import Keyring, by_name
from qagazsyz.client import Client
from qagazsyz.credentials import Credential
from qagazsyz.signing.v1 import verification_pb2

# P-256 is the authority's default for people's keys.
ALGORITHM = "ECDSA_P256_SHA256"
SIGNERS = 16
SINGLES = 200
BATCHES = 8
BATCH_ITEMS = 256


def write(folder: Path, *, singles: int = SINGLES, batches: int = BATCHES) -> None:
    """Write so many VerifyRequests and BatchVerifyRequests with valid signatures."""
    signed = Keyring().sign(by_name(ALGORITHM), items=batches * BATCH_ITEMS, signers=SIGNERS)
    _write(
        folder / "verify",
        verification_pb2.VerifyRequest(),
        [signed.single(index) for index in range(singles)],
    )
    _write(
        folder / "batch-verify",
        verification_pb2.BatchVerifyRequest(),
        [signed.request(BATCH_ITEMS, index * BATCH_ITEMS) for index in range(batches)],
    )


def _write(folder: Path, kind: Message, requests: list[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, request in enumerate(requests):
        (folder / f"{number:03}.bin").write_bytes(request)
    messages = [json_format.MessageToDict(type(kind).FromString(request)) for request in requests]
    folder.with_suffix(".json").write_text(json.dumps(messages))


def write_token(folder: Path, token: str) -> None:
    """Write the metadata with the token that k6, locust and ghz send, readable by this user
    alone."""
    path = folder / "metadata.json"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps({"authorization": f"Bearer {token}"}))


async def _token(gateway: str, credential: Path) -> str:
    async with Client(gateway, Credential.load(credential)) as client:
        return (await client.token()).access_token


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gateway", default="127.0.0.1:8080")
    parser.add_argument("--credential", type=Path, required=True)
    given = parser.parse_args()
    write(given.folder)
    write_token(given.folder, asyncio.run(_token(given.gateway, given.credential)))


if __name__ == "__main__":
    main()
