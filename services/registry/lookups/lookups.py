"""Looking up and downloading: what leaves a record, and leaves it before anything is given away.

A look-up is decided twice: first to know what to write, then again inside the
transaction that writes it. Where the two differ - a consent was withdrawn, a
document revoked in between - nothing is written and it is decided anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.registry.documents.store import RequestKey
from services.registry.lookups.store import LookUpView, RecordStore, ViewChanged
from services.registry.model import log_entries
from services.registry.model.accesses import (
    BASIS_ISSUER,
    Access,
    AccessEvent,
    LookUp,
    basis_of,
)
from services.registry.model.documents import Document, DocumentState, is_issuer
from services.registry.model.log_entries import SALT_BYTES
from services.registry.model.resource_names import new_name
from services.runtime.access import Caller
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import AlreadyExists, PermissionDenied, Unavailable

METHOD = "LookUpDocuments"
ATTRIBUTE_METHOD = "LookUpAttribute"
# Each time something has to have changed within a transaction's wait.
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up gives: its record, and the documents in force that the record names."""

    access: Access
    documents: tuple[Document, ...]


class LookUps:
    """Answers look-ups and leaves their records."""

    def __init__(self, *, records: RecordStore, clock: Clock, randomness: Randomness) -> None:
        self._records = records
        self._clock = clock
        self._randomness = randomness

    async def look_up(self, look_up: LookUp, request_id: str) -> Found:
        """What the caller may see of the subject's documents, once the record is durable.

        Raises PermissionDenied, once its record is durable, where neither consent nor law
        allows it; AlreadyExists where the request_id was used for another look-up.
        """
        request = None
        if request_id:
            method = ATTRIBUTE_METHOD if look_up.attributes else METHOD
            request = RequestKey(method, look_up.organization, request_id)
        asked = fingerprint(look_up)
        for _ in range(ATTEMPTS):
            view = await self._records.view_look_up(look_up, request)
            basis = _basis(look_up, view)
            if not basis:
                await self._refuse(look_up, view.now)
            kept = _kept_record(view, asked)
            if kept is not None:
                return _repeated(kept, view)
            access = self._record(look_up, basis, view)

            def still(later: LookUpView, access: Access = access, basis: str = basis) -> bool:
                return (
                    _basis(look_up, later) == basis
                    and _names(_given(look_up, later)) == access.documents
                    and _kept_record(later, asked) is None
                )

            try:
                index = await self._records.insert_look_up(
                    access,
                    log_entries.accessed_entry(access),
                    look_up=look_up,
                    still=still,
                    request=request,
                    request_sha256=asked,
                )
            except ViewChanged:
                continue
            return Found(replace(access, log_index=index), _given(look_up, view))
        raise Unavailable("what was looked up keeps changing")

    async def _refuse(self, look_up: LookUp, now: datetime) -> None:
        refusal = self._new_access(
            now,
            event=AccessEvent.REFUSED,
            subjects=(look_up.subject,),
            organization=look_up.organization,
            officer=look_up.officer,
            document_type=look_up.document_type,
            purpose=look_up.purpose,
            reason=look_up.reason,
            basis="",
            documents=(),
            attributes=look_up.attributes,
        )
        await self._records.insert_access(refusal, log_entries.accessed_entry(refusal))
        raise PermissionDenied

    def _record(self, look_up: LookUp, basis: str, view: LookUpView) -> Access:
        given = _given(look_up, view)
        access = self._new_access(
            view.now,
            event=AccessEvent.LOOKED_UP,
            subjects=(look_up.subject,),
            organization=look_up.organization,
            officer=look_up.officer,
            document_type=look_up.document_type,
            purpose=look_up.purpose,
            reason=look_up.reason,
            basis=basis,
            documents=_names(given),
            attributes=look_up.attributes,
        )
        shared = {name for document in given for name in document.subjects}
        return replace(access, sharers=tuple(sorted(shared - {look_up.subject})))

    async def record_download(
        self, document: Document, caller: Caller, look_up: Access | None
    ) -> None:
        """Returns once the record of a download by the caller's organization is durable.

        look_up: what the download rests on, where the organization is not the issuer.
        Raises NothingChanged where the document was erased meanwhile.
        """
        if is_issuer(caller, document) or look_up is None:
            purpose, reason, basis = "", "", BASIS_ISSUER
        else:
            purpose, reason, basis = look_up.purpose, look_up.reason, look_up.basis
        access = self._new_access(
            self._clock(),
            event=AccessEvent.DOWNLOADED,
            subjects=document.subjects,
            organization=caller.organization,
            officer=caller.subject,
            document_type=document.document_type,
            purpose=purpose,
            reason=reason,
            basis=basis,
            documents=(document.name,),
            attributes=(),
        )
        await self._records.insert_download(access, log_entries.accessed_entry(access))

    def _new_access(
        self,
        now: datetime,
        *,
        event: AccessEvent,
        subjects: tuple[str, ...],
        organization: str,
        officer: str,
        document_type: str,
        purpose: str,
        reason: str,
        basis: str,
        documents: tuple[str, ...],
        attributes: tuple[str, ...],
    ) -> Access:
        return Access(
            name=new_name("accesses", now, self._randomness),
            event=event,
            subjects=subjects,
            subject_salts=tuple(self._randomness(SALT_BYTES) for _ in subjects),
            organization=organization,
            officer=officer,
            officer_salt=self._randomness(SALT_BYTES),
            document_type=document_type,
            purpose=purpose,
            reason=reason,
            basis=basis,
            documents=documents,
            create_time=now,
            attributes=attributes,
        )


def fingerprint(look_up: LookUp) -> bytes:
    """SHA-256 of what was asked for, and by whom: another officer's look-up is another one."""
    parts = [
        look_up.subject,
        look_up.document_type,
        look_up.officer,
        look_up.purpose,
        look_up.reason,
        list(look_up.attributes),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _basis(look_up: LookUp, view: LookUpView) -> str:
    return basis_of(look_up, consents=view.consents, document_type=view.document_type, now=view.now)


def _given(look_up: LookUp, view: LookUpView) -> tuple[Document, ...]:
    """What the look-up finds: for single attributes the newest document alone."""
    return view.documents[:1] if look_up.attributes else view.documents


def _kept_record(view: LookUpView, asked: bytes) -> Access | None:
    """The record that the same request left within its 15 minutes. Raises AlreadyExists."""
    if view.kept is None or view.kept_access is None or not view.kept_access.is_fresh(view.now):
        return None
    if view.kept.request_sha256 != asked:
        raise AlreadyExists("this request_id was used for another request", "request_id")
    return view.kept_access


def _repeated(access: Access, view: LookUpView) -> Found:
    """The same answer again: of what the record names, what is in force still."""
    in_force = [
        each for each in view.kept_documents if each.state(view.now) is DocumentState.ACTIVE
    ]
    return Found(access, tuple(sorted(in_force, key=lambda each: each.name, reverse=True)))


def _names(documents: Sequence[Document]) -> tuple[str, ...]:
    return tuple(each.name for each in documents)
