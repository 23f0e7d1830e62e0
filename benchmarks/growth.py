"""Compare the cost of a document in a full registry with that in an empty one.

Two suites run at once, one with few entries and one with many, and are measured in turns, so that
other load on the machine meets both. They are filled by a second sequencer on the same database
(the service's own code, in this process) with all that a document leaves there but its content: a
million contents would take four gigabytes and an hour of signing, and are never searched. What is
measured are whole calls: signed documents over gRPC.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks import suite as suites
from benchmarks.load import Measured
from benchmarks.registration import (
    BATCH,
    BATCH_SIZE,
    CONTENT_BYTES,
    TYPE,
    Ministry,
    enrol,
    register,
)
from benchmarks.report import Figure, Report
from benchmarks.suite import Suite
from cli.operations.data_folder import DataFolder
from qagazsyz.common.v1 import signatures_pb2
from services.registry.contents.store import ContentReference
from services.registry.documents.registration import submission_of
from services.registry.documents.store import NewDocument
from services.registry.log.kept_checkpoint import KeptCheckpoint
from services.registry.log.sequencer import Sequencer
from services.registry.main import load_log_key
from services.registry.model.documents import Document, Signature, make_verification_code
from services.registry.model.log_entries import SALT_BYTES
from services.registry.model.resource_names import new_name
from services.registry.settings import RegistrySettings
from services.runtime.clock import system_clock, system_randomness
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey
from services.runtime.storage.object_store import open_object_store

FEW, MANY, MANY_QUICK = 10_000, 1_000_000, 100_000
# Documents of one of the sequencer's groups.
CHUNK = 1_000
# Subjects that documents are about, at random, so that their index grows in random order.
SUBJECTS = 100_000
ROUNDS, BATCHES, CALLERS = 5, 10, 4
# Goal: within 20 %.
AT_MOST = 1.2


@dataclass(slots=True)
class Filled:
    """A suite with so many entries in its log, and the measurements on it."""

    suite: Suite
    ministry: Ministry
    entries: int
    measured: list[Measured]

    def microseconds(self, *names: str) -> float:
        """Return the CPU time per document of these processes, in the median round."""
        return median(each.microseconds(*names) for each in self.measured) / BATCH_SIZE

    def row(self) -> dict[str, object]:
        rate = median(each.rate for each in self.measured) * BATCH_SIZE
        return {
            "entries": self.entries,
            "documents/s": rate,
            "registry µs": f"{self.microseconds('registry'):,.0f}",
            "all µs": f"{self.microseconds(*self.measured[0].cpu):,.0f}",
            "database bytes": f"{_database_size(self.suite) / self.entries:,.0f}",
        }


def measure(report: Report, few: Suite, *, quick: bool, progress: Callable[[str], None]) -> None:
    """Measure registration by batches in a log of few entries, that of `few`, and of many."""
    with suites.running() as many:
        filled = [asyncio.run(_fill(few, FEW, progress))]
        filled.append(asyncio.run(_fill(many, MANY_QUICK if quick else MANY, progress)))
        progress("registration in both, in turns")
        for _ in range(ROUNDS):
            for each in filled:
                batches = each.ministry.batches(BATCHES)
                each.measured.append(
                    asyncio.run(
                        register(each.suite, each.ministry, BATCH, batches, callers=CALLERS)
                    )
                )
        report.table("Registration by entries in the log, SQLite", [each.row() for each in filled])
        report.figure(
            Figure(
                f"the registry's CPU a document at {filled[1].entries:,} entries, "
                f"that at {FEW:,} being 1",
                filled[1].microseconds("registry") / filled[0].microseconds("registry"),
                at_most=AT_MOST,
            )
        )


async def _fill(suite: Suite, size: int, progress: Callable[[str], None]) -> Filled:
    ministry = await enrol(suite)
    progress(f"filling a log with {size:,} entries")
    settings = RegistrySettings(folder=DataFolder(suite.data).of("registry"))
    key = load_log_key(settings)
    database = Database(settings.database())
    kept = KeptCheckpoint(open_object_store(settings.contents_location()), key)
    sequencer = Sequencer(database, key, kept=kept)
    subjects = [new_name("subjects", system_clock(), system_randomness) for _ in range(SUBJECTS)]
    try:
        await sequencer.start()
        last = -1
        while last + 1 < size:
            count = min(CHUNK, size - last - 1)
            for outcome in await sequencer.submit_many(
                [submission_of(_document(ministry, subjects)) for _ in range(count)]
            ):
                if isinstance(outcome, Exception):
                    raise outcome
                (last,) = outcome.indexes
    finally:
        await sequencer.close()
        await database.close()
    return Filled(suite, ministry, size, [])


def _document(ministry: Ministry, subjects: list[str]) -> NewDocument:
    """Make a document as registration.py does, of random bytes."""
    now = system_clock()
    officer = ministry.officer
    issuer = officer.organization
    document = Document(
        name=new_name("documents", now, system_randomness),
        document_type=TYPE,
        issuer=issuer,
        subjects=(subjects[int.from_bytes(os.urandom(4), "big") % SUBJECTS],),
        subject_salts=(os.urandom(SALT_BYTES),),
        title="",
        media_type="application/octet-stream",
        size_bytes=CONTENT_BYTES,
        content_sha256=os.urandom(32),
        content_salt=os.urandom(SALT_BYTES),
        signatures=(
            Signature(
                officer.credential.certificate,
                signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256,
                os.urandom(71),
                officer.subject,
            ),
        ),
        verification_code=make_verification_code(system_randomness),
        log_index=-1,
        create_time=now,
        expire_time=None,
    )
    return NewDocument(
        document=document,
        statement_key=os.urandom(32),
        reference=ContentReference(f"packs/{os.urandom(32).hex()}", 0, 4_112, "-", os.urandom(60)),
        request=RequestKey("RegisterDocument", issuer, str(uuid.uuid4())),
        request_sha256=os.urandom(32),
    )


def _database_size(suite: Suite) -> int:
    """Return the size of the registry's database, without its write-ahead log."""
    return (DataFolder(suite.data).of("registry") / "registry.db").stat().st_size
