"""Registration of documents, a whole batch at once.

Work is done once for all documents of a batch wherever possible: one read of what exists, one call
that verifies all signatures, one each that asks for subjects and officers, one flush of all
contents, and the sequencer's group commit for rows and entries. Calls that arrive meanwhile share
the next such round (micro-batching, batching.py). Each document fails by itself: an error is its
own outcome and no other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.registry.contents.packs import Contents
from services.registry.contents.store import ContentReference
from services.registry.documents import store
from services.registry.documents.requests import BATCH_LIMIT, ParsedRegistration
from services.registry.documents.signature_check import SignatureCheck
from services.registry.documents.store import NewDocument, RegistrationView
from services.registry.log.group_commit import Conflict, Submission
from services.registry.log.sequencer import Committed, Sequencer
from services.registry.log.transparency_log import encode_entry
from services.registry.model.attributes import check_content
from services.registry.model.documents import Document, Signature, make_verification_code
from services.registry.model.log_entries import NEWEST_VERSION, SALT_BYTES, registered_entry
from services.registry.model.resource_names import new_name
from services.runtime.clock import Clock, Randomness
from services.runtime.concurrency.batching import RequestBatcher
from services.runtime.errors import DomainError, InvalidArgument, PermissionDenied, Unavailable
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.kept_requests import RequestKey

# A registration that lost a race reads what the winner wrote; losing so often is no race any more.
ATTEMPTS = 4
# Rounds in flight at once: while one verifies, another writes.
MAX_CONCURRENT = 3
# A round costs as much as some thirty documents in it.
MIN_BATCH = 100

Outcome = Document | DomainError


@dataclass(slots=True, eq=False)
class _Attempt:
    """A registration under way, and its outcome once it is known."""

    registration: ParsedRegistration
    outcome: Outcome | None = None
    # With their signers, once they are verified.
    signatures: tuple[Signature, ...] = ()


class Registration:
    """Registers documents for their issuers."""

    def __init__(
        self,
        *,
        database: Database,
        sequencer: Sequencer,
        contents: Contents,
        signature_check: SignatureCheck,
        clock: Clock,
        randomness: Randomness,
        entry_version: int = NEWEST_VERSION,
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._contents = contents
        self._signature_check = signature_check
        self._clock = clock
        self._randomness = randomness
        self._entry_version = entry_version
        self._batcher: RequestBatcher[ParsedRegistration, Outcome] = RequestBatcher(
            self._register_all,
            limit=BATCH_LIMIT,
            max_concurrent=MAX_CONCURRENT,
            min_batch=MIN_BATCH,
        )

    async def register(
        self, registrations: Sequence[ParsedRegistration], during: Call | None
    ) -> list[Outcome]:
        """Return the outcome of each registration, in order: the document, or an error."""
        return await self._batcher.ask(registrations, during)

    async def _register_all(
        self, registrations: Sequence[ParsedRegistration], during: Call | None
    ) -> list[Outcome]:
        attempts = [_Attempt(each) for each in registrations]
        # Of equal statements or requests one goes first, and the others find it in the next round.
        round_ = _first_of_equals(attempts)
        for _ in range(ATTEMPTS):
            if not round_:
                break
            await self._register_round(round_, during)
            round_ = [each for each in attempts if each.outcome is None]
        return [
            each.outcome or Unavailable("the document is being registered by others; retry")
            for each in attempts
        ]

    async def _register_round(self, attempts: Sequence[_Attempt], during: Call | None) -> None:
        """Set the outcome of each attempt, but of those that lost a race."""
        registrations = [each.registration for each in attempts]
        async with self._database.reading() as connection:
            view = await store.read_registration_view(
                connection,
                types={each.document_type for each in registrations},
                requests=[each.request for each in registrations if each.request is not None],
                statement_keys={each.statement_key for each in registrations},
            )
        for each in attempts:
            each.outcome = _kept_outcome(each.registration, view) or _authorization_error(
                each.registration, view
            )
        unanswered = [each for each in attempts if each.outcome is None]
        await self._verify(unanswered, during)
        verified = [each for each in unanswered if each.outcome is None]
        new = [each for each in verified if each.registration.statement_key not in view.registered]
        known = [each for each in verified if each.registration.statement_key in view.registered]
        await asyncio.gather(self._insert(new), *(self._repeat(each, view) for each in known))

    async def _verify(self, attempts: Sequence[_Attempt], during: Call | None) -> None:
        """Set the signatures of each attempt, or the error as its outcome."""
        results = await self._signature_check.check(
            [each.registration for each in attempts], during
        )
        for each, result in zip(attempts, results, strict=True):
            if isinstance(result, DomainError):
                each.outcome = result
            else:
                each.signatures = result

    async def _repeat(self, attempt: _Attempt, view: RegistrationView) -> None:
        """Set the document that the same statement made before as the attempt's outcome."""
        registration = attempt.registration
        document = view.documents.get(view.registered[registration.statement_key])
        if document is None:
            # Erased between two reads: the statement makes a new document now.
            return
        if registration.request is not None:
            row = store.request_row(
                registration.request, registration.request_sha256, document.name
            )
            try:
                await self._sequencer.submit([], rows=[row])
            except Conflict:
                return
        attempt.outcome = document

    async def _insert(self, attempts: Sequence[_Attempt]) -> None:
        """Insert the new documents; set them as outcomes once their entries are durable."""
        references = await self._contents.put_many([each.registration.content for each in attempts])
        now = self._clock()
        new = [
            self._new_document(each, reference, now)
            for each, reference in zip(attempts, references, strict=True)
        ]
        results = await self._sequencer.submit_many(
            [submission_of(each, self._entry_version) for each in new]
        )
        for each, inserted, result in zip(attempts, new, results, strict=True):
            if isinstance(result, Committed):
                each.outcome = replace(inserted.document, log_index=result.indexes[0])
            elif isinstance(result, DomainError):
                each.outcome = result
            elif not isinstance(result, Conflict):
                raise result

    def _new_document(
        self, attempt: _Attempt, reference: ContentReference, now: datetime
    ) -> NewDocument:
        registration = attempt.registration
        document = Document(
            name=new_name("documents", now, self._randomness),
            document_type=registration.document_type,
            issuer=registration.issuer,
            subjects=registration.subjects,
            subject_salts=tuple(self._randomness(SALT_BYTES) for _ in registration.subjects),
            title=registration.title,
            media_type=registration.media_type,
            size_bytes=len(registration.content),
            content_sha256=registration.content_sha256,
            content_salt=self._randomness(SALT_BYTES),
            signatures=attempt.signatures,
            verification_code=make_verification_code(self._randomness),
            log_index=-1,
            create_time=now,
            expire_time=registration.expire_time,
        )
        return NewDocument(
            document=document,
            statement_key=registration.statement_key,
            reference=reference,
            request=registration.request,
            request_sha256=registration.request_sha256,
        )


def submission_of(new: NewDocument, entry_version: int = NEWEST_VERSION) -> Submission:
    """Return the entry and the rows of a new document."""
    entry = encode_entry(registered_entry(new.document, version=entry_version))
    return Submission([entry], store.new_document_rows(new))


def _first_of_equals(attempts: Sequence[_Attempt]) -> list[_Attempt]:
    """Return the attempts without those that repeat an earlier one's statement or request."""
    first: list[_Attempt] = []
    seen: set[bytes | RequestKey] = set()
    for each in attempts:
        marks: set[bytes | RequestKey] = {each.registration.statement_key}
        if each.registration.request is not None:
            marks.add(each.registration.request)
        if not marks & seen:
            first.append(each)
        seen |= marks
    return first


def _kept_outcome(registration: ParsedRegistration, view: RegistrationView) -> Outcome | None:
    """Return the answer to the first request with this request_id, or None."""
    kept = view.kept.get(registration.request) if registration.request is not None else None
    if kept is None:
        return None
    try:
        kept.check_is(registration.request_sha256)
    except DomainError as error:
        return error
    return view.documents[kept.result]


def _authorization_error(
    registration: ParsedRegistration, view: RegistrationView
) -> DomainError | None:
    """Return why the issuer may not register such a document of the type, or None."""
    document_type = view.types.get(registration.document_type)
    if document_type is None:
        return InvalidArgument("document.document_type", "there is no such type")
    if registration.issuer not in document_type.issuers:
        return PermissionDenied()
    if document_type.attributes:
        try:
            check_content(registration.media_type, registration.content, document_type.attributes)
        except InvalidArgument as error:
            return error
    return None
