"""Registration: from drafts to documents, a whole batch at once.

Nothing here is done document by document that can be done for all: one read of
what is there already, one call that verifies all signatures, one that asks who
exists and one that asks who is an officer, one flush of all contents, and the
sequencer's group commit for rows and entries. Each document fails by itself:
what is wrong with one is its own outcome and no other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.registry import entries
from services.registry.attributes import check_content
from services.registry.contents import Contents
from services.registry.documents import Document, Signature, make_verification_code
from services.registry.drafts import Draft
from services.registry.entries import SALT_SIZE
from services.registry.names import new_name
from services.registry.neighbours import (
    Directory,
    Judgement,
    SignedStatement,
    SubjectKind,
    Verdict,
    Verifier,
)
from services.registry.store import (
    KeptRequest,
    NewDocument,
    RegistrationView,
    RequestKey,
    Store,
    Taken,
)
from services.runtime.access import Caller
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import (
    AlreadyExists,
    DomainError,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
)
from services.runtime.server import Call

METHOD = "RegisterDocument"
# Who lost a race reads what the winner left; losing again and again is no race any more.
ATTEMPTS = 4

Outcome = Document | DomainError


class Registration:
    """Registers documents for their issuer."""

    def __init__(
        self,
        *,
        store: Store,
        contents: Contents,
        verifier: Verifier,
        directory: Directory,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._store = store
        self._contents = contents
        self._verifier = verifier
        self._directory = directory
        self._clock = clock
        self._randomness = randomness

    async def register(
        self, drafts: Sequence[Draft], caller: Caller, during: Call | None
    ) -> list[Outcome]:
        """What became of each draft, in order: the document, or why there is none."""
        outcomes: dict[int, Outcome] = {}
        # Of those that are the same document or the same request one goes first, and the others
        # find it there.
        round_, later = _first_of_each(drafts)
        for _ in range(ATTEMPTS):
            if not round_:
                break
            results = await self._register_round(
                [drafts[index] for index in round_], caller, during
            )
            for index, result in zip(round_, results, strict=True):
                if result is None:
                    later.append(index)
                else:
                    outcomes[index] = result
            round_, later = later, []
        for index in round_:
            outcomes[index] = Unavailable("others registered the same at the same time")
        return [outcomes[index] for index in range(len(drafts))]

    async def _register_round(
        self, drafts: Sequence[Draft], caller: Caller, during: Call | None
    ) -> list[Outcome | None]:
        """An outcome for each draft; None for one that lost a race and is to be tried again."""
        keys = [_request_key(draft, caller) for draft in drafts]
        view = await self._store.view_registration(
            types={draft.document_type for draft in drafts},
            request_keys=[key for key in keys if key is not None],
            statement_keys={draft.statement_key for draft in drafts},
        )
        outcomes: list[Outcome | None] = [
            _answered_before(draft, view) or _refused(draft, caller.organization, view)
            for draft in drafts
        ]
        open_ = [index for index, outcome in enumerate(outcomes) if outcome is None]
        judged = await self._judge([drafts[i] for i in open_], caller.organization, during)
        new: list[int] = []
        repeated: list[int] = []
        signatures: list[tuple[Signature, ...]] = []
        for index, result in zip(open_, judged, strict=True):
            if isinstance(result, DomainError):
                outcomes[index] = result
            elif drafts[index].statement_key in view.registered:
                repeated.append(index)
            else:
                new.append(index)
                signatures.append(result)
        inserted, found = await asyncio.gather(
            self._insert(
                [drafts[i] for i in new], signatures, [keys[i] for i in new], caller.organization
            ),
            asyncio.gather(*(self._repeat(drafts[i], keys[i], view) for i in repeated)),
        )
        for index, outcome in zip([*new, *repeated], [*inserted, *found], strict=True):
            outcomes[index] = outcome
        return outcomes

    async def _judge(
        self, drafts: Sequence[Draft], issuer: str, during: Call | None
    ) -> list[tuple[Signature, ...] | DomainError]:
        """For each draft its signatures with their signers, or what is wrong with it."""
        if not drafts:
            return []
        judgements, subjects = await asyncio.gather(
            self._verifier.verify(
                [
                    SignedStatement(
                        each.certificate, each.algorithm, each.signature, draft.statement
                    )
                    for draft in drafts
                    for each in draft.signatures
                ],
                during,
            ),
            self._directory.find_subjects(
                {name for draft in drafts for name in draft.subjects}, during
            ),
        )
        signers = {each.signer for each in judgements if each.signer}
        officers = await self._directory.find_officers(issuer, signers - {issuer}, during)
        results: list[tuple[Signature, ...] | DomainError] = []
        start = 0
        for draft in drafts:
            stop = start + len(draft.signatures)
            own = judgements[start:stop]
            start = stop
            fault = _fault(draft, own, subjects, officers | {issuer})
            results.append(fault or _with_signers(draft, own))
        return results

    async def _repeat(
        self, draft: Draft, key: RequestKey | None, view: RegistrationView
    ) -> Outcome | None:
        """The document that the same statement made before."""
        document = view.documents.get(view.registered[draft.statement_key])
        if document is None:
            # It was erased between two reads: the statement is a new one now.
            return None
        if key is not None:
            try:
                await self._store.keep_request(key, draft.fingerprint, document.name)
            except Taken:
                return None
        return document

    async def _insert(
        self,
        drafts: Sequence[Draft],
        signatures: Sequence[tuple[Signature, ...]],
        keys: Sequence[RequestKey | None],
        issuer: str,
    ) -> list[Outcome | None]:
        """The new documents, once they and their entries are durable; None where somebody else
        was first."""
        references = await self._contents.put_many([draft.content for draft in drafts])
        now = self._clock()
        news = [
            self._new(draft, signed, issuer, now)
            for draft, signed in zip(drafts, signatures, strict=True)
        ]
        results = await asyncio.gather(
            *(
                self._store.insert_document(
                    NewDocument(
                        document=document,
                        statement_key=draft.statement_key,
                        reference=reference,
                        entry=entries.registered(document),
                        request=key,
                        request_sha256=draft.fingerprint,
                    )
                )
                for draft, document, reference, key in zip(
                    drafts, news, references, keys, strict=True
                )
            ),
            return_exceptions=True,
        )
        return [_outcome(document, result) for document, result in zip(news, results, strict=True)]

    def _new(
        self, draft: Draft, signatures: tuple[Signature, ...], issuer: str, now: datetime
    ) -> Document:
        return Document(
            name=new_name("documents", now, self._randomness),
            document_type=draft.document_type,
            issuer=issuer,
            subjects=draft.subjects,
            subject_salts=tuple(self._randomness(SALT_SIZE) for _ in draft.subjects),
            title=draft.title,
            media_type=draft.media_type,
            size_bytes=len(draft.content),
            content_sha256=draft.content_sha256,
            content_salt=self._randomness(SALT_SIZE),
            signatures=signatures,
            verification_code=make_verification_code(self._randomness),
            log_index=-1,
            create_time=now,
            expire_time=draft.expire_time,
        )


def _first_of_each(drafts: Sequence[Draft]) -> tuple[list[int], list[int]]:
    """The places of those to register first, and of those that repeat one of them."""
    first: list[int] = []
    repeats: list[int] = []
    seen: set[bytes | str] = set()
    for index, draft in enumerate(drafts):
        marks: set[bytes | str] = {draft.statement_key}
        if draft.request_id:
            marks.add(draft.request_id)
        (repeats if marks & seen else first).append(index)
        seen |= marks
    return first, repeats


def _request_key(draft: Draft, caller: Caller) -> RequestKey | None:
    return RequestKey(METHOD, caller.scope, draft.request_id) if draft.request_id else None


def _answered_before(draft: Draft, view: RegistrationView) -> Outcome | None:
    """The answer to the first request of that id, if there was one."""
    kept: KeptRequest | None = view.kept.get(draft.request_id)
    if kept is None:
        return None
    # Of an erased document not even a hash is left to compare.
    if kept.request_sha256 is not None and kept.request_sha256 != draft.fingerprint:
        return AlreadyExists("this request_id was used for another request", "request_id")
    return view.documents[kept.resource]


def _refused(draft: Draft, issuer: str, view: RegistrationView) -> DomainError | None:
    """Why the issuer may not register such a document of the type, if so."""
    document_type = view.types.get(draft.document_type)
    if document_type is None:
        return InvalidArgument("document.document_type", "there is no such type")
    if issuer not in document_type.issuers:
        return PermissionDenied()
    if document_type.attributes:
        try:
            check_content(draft.media_type, draft.content, document_type.attributes)
        except InvalidArgument as error:
            return error
    return None


def _fault(
    draft: Draft,
    judgements: Sequence[Judgement],
    subjects: Mapping[str, SubjectKind],
    issuers: frozenset[str],
) -> DomainError | None:
    """What is wrong with the draft's signatures or subjects, if anything.

    issuers: the issuer itself and those of its officers who signed something.
    """
    for index, judgement in enumerate(judgements):
        if judgement.verdict is Verdict.REFUSED:
            return InvalidArgument(f"signatures[{index}]", judgement.reason)
    for index, subject in enumerate(draft.subjects):
        if subject not in subjects:
            return InvalidArgument(f"document.subjects[{index}]", "there is no such subject")
    if any(judgement.verdict is Verdict.UNKNOWN for judgement in judgements):
        return Unavailable("whether the signer may be trusted cannot be found out now")
    if not any(judgement.signer in issuers for judgement in judgements):
        return InvalidArgument("signatures", "none by the issuer's seal or one of its officers")
    return None


def _with_signers(draft: Draft, judgements: Sequence[Judgement]) -> tuple[Signature, ...]:
    return tuple(
        Signature(each.certificate, each.algorithm, each.signature, judgement.signer)
        for each, judgement in zip(draft.signatures, judgements, strict=True)
    )


def _outcome(document: Document, result: int | BaseException) -> Outcome | None:
    if isinstance(result, int):
        return replace(document, log_index=result)
    if isinstance(result, Taken):
        return None
    if isinstance(result, DomainError):
        return result
    raise result
