"""Look-ups of the evidence that a signed statement names: each once, and each with its record.

As in lookups.py the decision is made again inside the transaction that stores the record; if what
it was made from has changed, nothing is stored and it is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.delegation import store
from services.registry.delegation.verification import Delegation
from services.registry.documents.store import request_row
from services.registry.log.group_commit import Conflict
from services.registry.log.sequencer import Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.lookups.access_records import look_up_record
from services.registry.lookups.lookups import ATTEMPTS, Found, ViewChanged
from services.registry.lookups.store import LookUpView, access_rows, read_look_up_view
from services.registry.model.accesses import LookUp
from services.registry.model.documents import Document, DocumentState
from services.registry.model.log_entries import NEWEST_VERSION, accessed_entry
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import FailedPrecondition, InvalidArgument, Unavailable
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey

# The scope is the request, and the id the place of the evidence.
METHOD = "evidence of a request"


class EvidenceLookUps:
    """Looks up evidence for requests, and records it."""

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

    async def look_up(self, delegation: Delegation, index: int) -> Found:
        """Return what the evidence is, once its record is durable, or what the same look-up found
        within its 15 minutes.

        Raises InvalidArgument if the statement has no such evidence, FailedPrecondition if it was
        looked up before, and PermissionDenied if the mandate was ended meanwhile.
        """
        look_up = look_up_of(delegation, index)
        for _ in range(ATTEMPTS):
            try:
                return await self._attempt(delegation, index, look_up)
            except ViewChanged:
                continue
        raise Unavailable("the documents of this look-up keep changing; retry")

    async def find_again(self, delegation: Delegation, index: int) -> Found | None:
        """Return what this look-up found, if its record is fresh; None if there is none."""
        look_up = look_up_of(delegation, index)
        async with self._database.reading() as connection:
            view = await read_look_up_view(
                connection, look_up, _key(delegation, index), self._clock
            )
        is_same = view.kept is not None and view.kept.request_sha256 == delegation.statement_sha256
        if not is_same or view.kept_access is None or not view.kept_access.is_fresh(view.now):
            return None
        return Found(view.kept_access, _still_in_force(view))

    async def _attempt(self, delegation: Delegation, index: int, look_up: LookUp) -> Found:
        """Look it up, and store the record. Raises ViewChanged."""
        key, sha256 = _key(delegation, index), delegation.statement_sha256
        async with self._database.reading() as connection:
            view = await read_look_up_view(connection, look_up, key, self._clock)
        if view.kept is not None:
            if (
                view.kept.request_sha256 != sha256
                or view.kept_access is None
                or not view.kept_access.is_fresh(view.now)
            ):
                raise FailedPrecondition("STATEMENT_USED", "this was looked up before")
            return Found(view.kept_access, _still_in_force(view))
        documents = _documents(look_up, view)
        access = look_up_record(
            look_up,
            basis=delegation.statement.request,
            documents=documents,
            now=view.now,
            randomness=self._randomness,
            entry_version=self._entry_version,
        )

        async def confirm(connection: AsyncConnection, _indexes: Sequence[int]) -> None:
            later = await read_look_up_view(connection, look_up, key, self._clock)
            if _names(_documents(look_up, later)) != access.documents:
                raise ViewChanged
            await store.check_not_ended(connection, delegation.mandate)
            await store.accept_statement(connection, delegation.statement, sha256, later.now)

        rows = [*access_rows(access), request_row(key, sha256, access.name)]
        try:
            committed = await self._sequencer.submit(
                [encode_entry(accessed_entry(access))], confirm, rows=rows
            )
        except Conflict:
            # The same look-up was stored meanwhile.
            raise ViewChanged from None
        return Found(replace(access, log_index=committed.indexes[0]), documents)


def look_up_of(delegation: Delegation, index: int) -> LookUp:
    """Return the look-up of one piece of evidence. Raises InvalidArgument if there is none."""
    statement = delegation.statement
    if not 0 <= index < len(statement.evidence):
        raise InvalidArgument("evidence", "the statement has no such evidence")
    evidence = statement.evidence[index]
    return LookUp(
        subject=statement.applicant,
        document_type=evidence.document_type,
        organization=statement.provider,
        officer=delegation.officer,
        purpose=evidence.purpose,
        reason=statement.public_service,
        attributes=evidence.attributes,
    )


def _key(delegation: Delegation, index: int) -> RequestKey:
    return RequestKey(METHOD, delegation.statement.request, str(index))


def _documents(look_up: LookUp, view: LookUpView) -> tuple[Document, ...]:
    """Return what the look-up finds: for single attributes the newest document alone."""
    return view.documents[:1] if look_up.attributes else view.documents


def _names(documents: Sequence[Document]) -> tuple[str, ...]:
    return tuple(each.name for each in documents)


def _still_in_force(view: LookUpView) -> tuple[Document, ...]:
    active = [each for each in view.kept_documents if each.state(view.now) is DocumentState.ACTIVE]
    return tuple(sorted(active, key=lambda each: each.name, reverse=True))
