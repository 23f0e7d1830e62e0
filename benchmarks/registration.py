"""Measure registration, by batches of a hundred and by single calls, on a suite's database."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import load
from benchmarks.report import Figure, Report
from benchmarks.suite import Suite
from qagazsyz.client import Client
from qagazsyz.documents import sign_document
from qagazsyz.registry.v1 import documents_pb2, documents_pb2_grpc
from testing.enrolment import Actor, Enrolment
from testing.people import MINISTRY, people

BATCH = "/qagazsyz.registry.v1.DocumentService/BatchRegisterDocuments"
SINGLE = "/qagazsyz.registry.v1.DocumentService/RegisterDocument"
CONTENT_BYTES = 4 * 1024
BATCH_SIZE = 100
CALLERS = 32
TYPE = "documentTypes/bench"

# Goals.
BATCHED_A_SECOND, SINGLE_A_SECOND, IDLE_P99_MILLISECONDS = 2_000, 300, 100


@dataclass(frozen=True, slots=True)
class Ministry:
    """An officer, who signs each document, and the citizen that the documents are about."""

    officer: Actor
    citizen: str

    def requests(self, count: int) -> list[documents_pb2.RegisterDocumentRequest]:
        """Make signed documents."""
        made = []
        for _ in range(count):
            document = documents_pb2.Document(
                document_type=TYPE,
                subjects=[self.citizen],
                issuer=self.officer.organization,
                media_type="application/octet-stream",
            )
            made.append(
                sign_document(
                    document,
                    os.urandom(CONTENT_BYTES),
                    self.officer.credential,
                    request_id=str(uuid.uuid4()),
                )
            )
        return made

    def batches(self, count: int) -> list[bytes]:
        """Make so many serialized batches."""
        return [
            documents_pb2.BatchRegisterDocumentsRequest(
                requests=self.requests(BATCH_SIZE)
            ).SerializeToString()
            for _ in range(count)
        ]

    def singles(self, count: int) -> list[bytes]:
        return [request.SerializeToString() for request in self.requests(count)]


async def enrol(suite: Suite) -> Ministry:
    """Enrol a ministry with an officer and a citizen, and create a type of documents."""
    everybody = people()
    async with Client(suite.gateway, suite.operator) as operator:
        enrolment = Enrolment(operator)
        ministry = await enrolment.organization(MINISTRY)
        officer = await enrolment.officer(next(everybody), ministry)
        citizen = await enrolment.person(next(everybody))
        await documents_pb2_grpc.DocumentServiceStub(operator.channel).CreateDocumentType(
            documents_pb2.CreateDocumentTypeRequest(
                document_type=documents_pb2.DocumentType(
                    display_names={"en": "Bench"}, issuers=[ministry]
                ),
                document_type_id=TYPE.removeprefix("documentTypes/"),
            )
        )
    return Ministry(officer, citizen)


def measure(
    report: Report,
    suite: Suite,
    *,
    quick: bool,
    progress: Callable[[str], None],
    database: str,
    server: int | None = None,
) -> None:
    """Measure batches, and single calls with and without concurrency.

    server: the process id of the database's server, if it runs on this machine.
    """
    ministry = asyncio.run(enrol(suite))
    register = partial(_warmed, suite, ministry, server)
    batches = 40 if quick else 200
    rows = []
    progress(f"registration in batches of {BATCH_SIZE}, {database}")
    batched = asyncio.run(register(BATCH, ministry.batches(batches + 1), callers=4))
    rows.append(_row("batches of 100", batched, BATCH_SIZE))
    progress(f"registration by single calls, {database}")
    singles = asyncio.run(register(SINGLE, ministry.singles(batches * 30 + 1), callers=CALLERS))
    rows.append(_row(f"single calls, {CALLERS} callers", singles, 1))
    idle = asyncio.run(register(SINGLE, ministry.singles(201), callers=1))
    rows.append(_row("single calls, one caller", idle, 1))
    report.table(f"Registration, {CONTENT_BYTES // 1024} KiB each, {database}", rows)
    report.figure(
        Figure(
            f"documents by batches of {BATCH_SIZE}, {database}",
            batched.rate * BATCH_SIZE,
            BATCHED_A_SECOND,
            unit="/s",
        )
    )
    report.figure(
        Figure(
            f"documents by single calls, {CALLERS} callers, {database}",
            singles.rate,
            SINGLE_A_SECOND,
            unit="/s",
        )
    )
    report.figure(
        Figure(
            f"p99 of a single call, idle, {database}",
            idle.percentile(0.99),
            at_most=IDLE_P99_MILLISECONDS,
            unit="ms",
        )
    )


async def _warmed(
    suite: Suite,
    ministry: Ministry,
    server: int | None,
    method: str,
    requests: Sequence[bytes],
    *,
    callers: int,
) -> load.Measured:
    """Send the first request to fill the caches; measure the others."""
    await register(suite, ministry, method, requests[:1], callers=1)
    return await register(suite, ministry, method, requests[1:], callers=callers, server=server)


async def register(
    suite: Suite,
    ministry: Ministry,
    method: str,
    requests: Sequence[bytes],
    *,
    callers: int,
    server: int | None = None,
) -> load.Measured:
    """Send every request once. Raises AssertionError if an item of a batch is refused."""
    async with Client(
        suite.gateway, ministry.officer.credential, organization=ministry.officer.organization
    ) as client:
        token = (await client.token()).access_token
    watched = {name: suite.process(name) for name in ("registry", "signing", "identity", "gateway")}
    if server is not None:
        watched["database"] = server
    channels = [suite.channel(suite.gateway) for _ in range(min(callers, 4))]

    def check(answer: bytes) -> None:
        if method == BATCH:
            results = documents_pb2.BatchRegisterDocumentsResponse.FromString(answer).results
            refused = [result.error for result in results if not result.HasField("document")]
            if refused:
                raise AssertionError(f"a good document was refused: {refused[0].message}")

    measured = await load.once(
        channels, method, requests, token=token, concurrency=callers, watched=watched, check=check
    )
    for channel in channels:
        await channel.close()
    return measured


def _row(name: str, measured: load.Measured, size: int) -> dict[str, object]:
    each = {who: f"{measured.microseconds(who) / size:,.0f}" for who in measured.cpu}
    return {
        "how": name,
        "documents/s": measured.rate * size,
        "p50 ms": measured.percentile(0.5),
        "p99 ms": measured.percentile(0.99),
        **{f"{who} µs": value for who, value in each.items()},
    }
