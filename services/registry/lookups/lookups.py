"""Look-ups and downloads: each leaves a durable record before anything is given away.

A look-up is decided twice: once to write its record, and again inside the transaction that stores
the record. If the two decisions differ - a consent was withdrawn or a document revoked in between -
nothing is stored, and it is decided anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.documents import store as document_store
from services.registry.documents.lifecycle import NothingChanged
from services.registry.documents.store import kept_requests
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.lookups import store
from services.registry.lookups.access_records import download_record, look_up_record
from services.registry.lookups.store import LookUpView
from services.registry.model.accesses import Access, LookUp, basis_of
from services.registry.model.documents import Document, DocumentState, erased_error
from services.registry.model.log_entries import NEWEST_VERSION, accessed_entry
from services.runtime.access import Caller
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import PermissionDenied, Unavailable
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import fingerprint_of_json
from services.runtime.storage.kept_requests import RequestKey

# Each failed attempt means that something changed while its transaction waited.
ATTEMPTS = 8


class ViewChanged(Exception):
    """The rows that a look-up was decided from have changed: decide anew."""


@dataclass(frozen=True, slots=True)
class Found:
    """A look-up's result: its record, and those documents of the record that are in force."""

    access: Access
    documents: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a look-up is granted, and what it finds."""

    # "" where neither consent nor law allows it.
    basis: str
    # The names of the documents that it finds.
    documents: tuple[str, ...]
    # The record that the same request left, while it is fresh: then no new one is made.
    repeated: Access | None


class LookUps:
    """Answers look-ups, and records them and the downloads that follow."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        clock: Clock,
        randomness: Randomness,
        entry_version: int = NEWEST_VERSION,
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._clock = clock
        self._randomness = randomness
        self._entry_version = entry_version

    async def look_up(self, look_up: LookUp, request: RequestKey | None) -> Found:
        """Return what the look-up finds, once its record is durable.

        Raises PermissionDenied, once its record is durable, if neither consent nor law allows it;
        AlreadyExists if the request_id was used for another look-up.
        """
        for _ in range(ATTEMPTS):
            try:
                return await self._attempt(look_up, request)
            except ViewChanged:
                continue
        raise Unavailable("the consents and documents of this look-up keep changing; retry")

    async def _attempt(self, look_up: LookUp, request: RequestKey | None) -> Found:
        """Decide the look-up, and store its record. Raises ViewChanged."""
        async with self._database.reading() as connection:
            view = await store.read_look_up_view(connection, look_up, request, self._clock)
        asked = fingerprint(look_up)
        decision = _decide(look_up, view, asked)
        if not decision.basis:
            await self._refuse(look_up, view.now)
        if decision.repeated is not None:
            return _repeated(decision.repeated, view)
        documents = _documents(look_up, view)
        access = look_up_record(
            look_up,
            basis=decision.basis,
            documents=documents,
            now=view.now,
            randomness=self._randomness,
            entry_version=self._entry_version,
        )

        async def confirm(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            later = await store.read_look_up_view(connection, look_up, request, self._clock)
            if _decide(look_up, later, asked) != decision:
                raise ViewChanged
            if request is not None:
                # An older request of this id has a record that is no longer fresh.
                await kept_requests.replace(connection, request, asked, access.name)

        committed = await self._sequencer.submit(
            [encode_entry(accessed_entry(access))], confirm, rows=store.access_rows(access)
        )
        return Found(replace(access, log_index=committed.indexes[0]), documents)

    async def _refuse(self, look_up: LookUp, now: datetime) -> None:
        refusal = look_up_record(
            look_up,
            basis="",
            documents=(),
            now=now,
            randomness=self._randomness,
            entry_version=self._entry_version,
        )
        entry = encode_entry(accessed_entry(refusal))
        await self._sequencer.submit([entry], rows=store.access_rows(refusal))
        raise PermissionDenied

    async def record_download(
        self, document: Document, caller: Caller, look_up: Access | None
    ) -> None:
        """Record a download by the caller's organization; return once the record is durable.

        look_up: the record that allows it, None for the issuer. Raises FailedPrecondition if the
        document was erased meanwhile.
        """
        access = download_record(
            document,
            caller,
            look_up,
            now=self._clock(),
            randomness=self._randomness,
            entry_version=self._entry_version,
        )

        async def confirm(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            if await document_store.find_erased(connection, [document.name]):
                raise NothingChanged

        entry = encode_entry(accessed_entry(access))
        try:
            await self._sequencer.submit([entry], confirm, rows=store.access_rows(access))
        except NothingChanged:
            raise erased_error() from None


def fingerprint(look_up: LookUp) -> bytes:
    """Return the SHA-256 of a look-up; another officer's is another look-up."""
    return fingerprint_of_json(
        [
            look_up.subject,
            look_up.document_type,
            look_up.officer,
            look_up.purpose,
            look_up.reason,
            list(look_up.attributes),
        ]
    )


def _decide(look_up: LookUp, view: LookUpView, asked: bytes) -> Decision:
    """Decide a look-up from what a transaction sees. Raises AlreadyExists.

    asked: the look-up's fingerprint.
    """
    basis = basis_of(
        look_up, consents=view.consents, document_type=view.document_type, now=view.now
    )
    return Decision(
        basis=basis,
        documents=tuple(each.name for each in _documents(look_up, view)),
        repeated=_repeated_record(view, asked) if basis else None,
    )


def _documents(look_up: LookUp, view: LookUpView) -> tuple[Document, ...]:
    """Return what the look-up finds: for single attributes the newest document alone."""
    return view.documents[:1] if look_up.attributes else view.documents


def _repeated_record(view: LookUpView, asked: bytes) -> Access | None:
    """Return the record that the same request left, while it is fresh. Raises AlreadyExists."""
    if view.kept is None or view.kept_access is None or not view.kept_access.is_fresh(view.now):
        return None
    view.kept.check_is(asked)
    return view.kept_access


def _repeated(access: Access, view: LookUpView) -> Found:
    """Return the answer to a repeated request: those of the record's documents still in force."""
    in_force = [
        each for each in view.kept_documents if each.state(view.now) is DocumentState.ACTIVE
    ]
    return Found(access, tuple(sorted(in_force, key=lambda each: each.name, reverse=True)))
