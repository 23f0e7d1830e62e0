"""Registration: from drafts to documents, a whole batch at once.

Nothing here is done document by document that can be done for all: one read of
what is there already, one call that verifies all signatures, one that asks who
exists and one that asks who is an officer, one flush of all contents, and the
sequencer's group commit for rows and entries. Calls that come while others are
under way share such a round (gathering.py). Each document fails by itself: what
is wrong with one is its own outcome and no other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.registry.clients import (
    Directory,
    Judgement,
    Officer,
    SignedStatement,
    SubjectKind,
    Verdict,
    Verifier,
)
from services.registry.contents.packs import Contents
from services.registry.documents.requests import BATCH_LIMIT, Draft
from services.registry.documents.store import (
    KeptRequest,
    NewDocument,
    RegistrationView,
    RequestKey,
    Store,
    Taken,
)
from services.registry.model import log_entries
from services.registry.model.attributes import check_content
from services.registry.model.documents import Document, Signature, make_verification_code
from services.registry.model.log_entries import SALT_BYTES
from services.registry.model.resource_names import new_name
from services.runtime.access import Caller
from services.runtime.clock import Clock, Randomness
from services.runtime.concurrency.batching import RequestBatcher
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
# Rounds under way at once: while one verifies another one writes.
FLIGHTS = 3
# A round costs as much as some thirty documents in it.
WORTH = 100

Outcome = Document | DomainError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A draft, whose document it is to be, and whose its request_id is."""

    draft: Draft
    issuer: str
    scope: str

    @property
    def key(self) -> RequestKey | None:
        """What a repeat is known by, None without a request_id."""
        if not self.draft.request_id:
            return None
        return RequestKey(METHOD, self.scope, self.draft.request_id)


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
        self._gathering: RequestBatcher[Wanted, Outcome] = RequestBatcher(
            self._register_all, limit=BATCH_LIMIT, max_concurrent=FLIGHTS, min_batch=WORTH
        )

    async def register(
        self, drafts: Sequence[Draft], caller: Caller, during: Call | None
    ) -> list[Outcome]:
        """What became of each draft, in order: the document, or why there is none."""
        wanted = [Wanted(draft, caller.organization, caller.scope) for draft in drafts]
        return await self._gathering.ask(wanted, during)

    async def _register_all(self, wanted: Sequence[Wanted], during: Call | None) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        # Of those that are the same document or the same request one goes first, and the others
        # find it there.
        round_, later = _first_of_each(wanted)
        for _ in range(ATTEMPTS):
            if not round_:
                break
            results = await self._register_round([wanted[index] for index in round_], during)
            for index, result in zip(round_, results, strict=True):
                if result is None:
                    later.append(index)
                else:
                    outcomes[index] = result
            round_, later = later, []
        for index in round_:
            outcomes[index] = Unavailable("others registered the same at the same time")
        return [outcomes[index] for index in range(len(wanted))]

    async def _register_round(
        self, wanted: Sequence[Wanted], during: Call | None
    ) -> list[Outcome | None]:
        """An outcome for each; None for one that lost a race and is to be tried again."""
        view = await self._store.view_registration(
            types={each.draft.document_type for each in wanted},
            request_keys=[each.key for each in wanted if each.key is not None],
            statement_keys={each.draft.statement_key for each in wanted},
        )
        outcomes: list[Outcome | None] = [
            _answered_before(each, view) or _refused(each, view) for each in wanted
        ]
        open_ = [index for index, outcome in enumerate(outcomes) if outcome is None]
        judged = await self._judge([wanted[index] for index in open_], during)
        new: list[int] = []
        repeated: list[int] = []
        signatures: list[tuple[Signature, ...]] = []
        for index, result in zip(open_, judged, strict=True):
            if isinstance(result, DomainError):
                outcomes[index] = result
            elif wanted[index].draft.statement_key in view.registered:
                repeated.append(index)
            else:
                new.append(index)
                signatures.append(result)
        inserted, found = await asyncio.gather(
            self._insert([wanted[index] for index in new], signatures),
            asyncio.gather(*(self._repeat(wanted[index], view) for index in repeated)),
        )
        for index, outcome in zip([*new, *repeated], [*inserted, *found], strict=True):
            outcomes[index] = outcome
        return outcomes

    async def _judge(
        self, wanted: Sequence[Wanted], during: Call | None
    ) -> list[tuple[Signature, ...] | DomainError]:
        """For each its draft's signatures with their signers, or what is wrong with it."""
        if not wanted:
            return []
        judgements, subjects = await asyncio.gather(
            self._verifier.verify(
                [
                    SignedStatement(
                        signature.certificate,
                        signature.algorithm,
                        signature.signature,
                        each.draft.statement,
                    )
                    for each in wanted
                    for signature in each.draft.signatures
                ],
                during,
            ),
            self._directory.find_subjects(
                {name for each in wanted for name in each.draft.subjects}, during
            ),
        )
        own: list[Sequence[Judgement]] = []
        start = 0
        for each in wanted:
            stop = start + len(each.draft.signatures)
            own.append(judgements[start:stop])
            start = stop
        claimed = {
            Officer(each.issuer, judgement.signer)
            for each, judged in zip(wanted, own, strict=True)
            for judgement in judged
            if judgement.signer not in ("", each.issuer)
        }
        officers = await self._directory.find_officers(claimed, during)
        return [
            _fault(each, judged, subjects, officers) or _with_signers(each.draft, judged)
            for each, judged in zip(wanted, own, strict=True)
        ]

    async def _repeat(self, wanted: Wanted, view: RegistrationView) -> Outcome | None:
        """The document that the same statement made before."""
        draft = wanted.draft
        document = view.documents.get(view.registered[draft.statement_key])
        if document is None:
            # It was erased between two reads: the statement is a new one now.
            return None
        if wanted.key is not None:
            try:
                await self._store.keep_request(wanted.key, draft.fingerprint, document.name)
            except Taken:
                return None
        return document

    async def _insert(
        self, wanted: Sequence[Wanted], signatures: Sequence[tuple[Signature, ...]]
    ) -> list[Outcome | None]:
        """The new documents, once they and their entries are durable; None where somebody else
        was first."""
        references = await self._contents.put_many([each.draft.content for each in wanted])
        now = self._clock()
        news = [
            self._new(each.draft, signed, each.issuer, now)
            for each, signed in zip(wanted, signatures, strict=True)
        ]
        results = await self._store.insert_documents(
            [
                NewDocument(
                    document=document,
                    statement_key=each.draft.statement_key,
                    reference=reference,
                    entry=log_entries.registered_entry(document),
                    request=each.key,
                    request_sha256=each.draft.fingerprint,
                )
                for each, document, reference in zip(wanted, news, references, strict=True)
            ]
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
            subject_salts=tuple(self._randomness(SALT_BYTES) for _ in draft.subjects),
            title=draft.title,
            media_type=draft.media_type,
            size_bytes=len(draft.content),
            content_sha256=draft.content_sha256,
            content_salt=self._randomness(SALT_BYTES),
            signatures=signatures,
            verification_code=make_verification_code(self._randomness),
            log_index=-1,
            create_time=now,
            expire_time=draft.expire_time,
        )


def _first_of_each(wanted: Sequence[Wanted]) -> tuple[list[int], list[int]]:
    """The places of those to register first, and of those that repeat one of them."""
    first: list[int] = []
    repeats: list[int] = []
    seen: set[bytes | RequestKey] = set()
    for index, each in enumerate(wanted):
        marks: set[bytes | RequestKey] = {each.draft.statement_key}
        if each.key is not None:
            marks.add(each.key)
        (repeats if marks & seen else first).append(index)
        seen |= marks
    return first, repeats


def _answered_before(wanted: Wanted, view: RegistrationView) -> Outcome | None:
    """The answer to the first request of that id, if there was one."""
    kept: KeptRequest | None = view.kept.get(wanted.key) if wanted.key is not None else None
    if kept is None:
        return None
    # Of an erased document not even a hash is left to compare.
    if kept.request_sha256 is not None and kept.request_sha256 != wanted.draft.fingerprint:
        return AlreadyExists("this request_id was used for another request", "request_id")
    return view.documents[kept.resource]


def _refused(wanted: Wanted, view: RegistrationView) -> DomainError | None:
    """Why the issuer may not register such a document of the type, if so."""
    draft = wanted.draft
    document_type = view.types.get(draft.document_type)
    if document_type is None:
        return InvalidArgument("document.document_type", "there is no such type")
    if wanted.issuer not in document_type.issuers:
        return PermissionDenied()
    if document_type.attributes:
        try:
            check_content(draft.media_type, draft.content, document_type.attributes)
        except InvalidArgument as error:
            return error
    return None


def _fault(
    wanted: Wanted,
    judgements: Sequence[Judgement],
    subjects: Mapping[str, SubjectKind],
    officers: frozenset[Officer],
) -> DomainError | None:
    """What is wrong with the draft's signatures or subjects, if anything.

    officers: all of all issuers who signed something.
    """
    for index, judgement in enumerate(judgements):
        if judgement.verdict is Verdict.REFUSED:
            return InvalidArgument(f"signatures[{index}]", judgement.reason)
    for index, subject in enumerate(wanted.draft.subjects):
        if subject not in subjects:
            return InvalidArgument(f"document.subjects[{index}]", "there is no such subject")
    if any(judgement.verdict is Verdict.UNKNOWN for judgement in judgements):
        return Unavailable("whether the signer may be trusted cannot be found out now")
    if not any(
        judgement.signer == wanted.issuer or Officer(wanted.issuer, judgement.signer) in officers
        for judgement in judgements
    ):
        return InvalidArgument("signatures", "none by the issuer's seal or one of its officers")
    return None


def _with_signers(draft: Draft, judgements: Sequence[Judgement]) -> tuple[Signature, ...]:
    return tuple(
        Signature(each.certificate, each.algorithm, each.signature, judgement.signer)
        for each, judgement in zip(draft.signatures, judgements, strict=True)
    )


def _outcome(document: Document, result: int | Exception) -> Outcome | None:
    if isinstance(result, int):
        return replace(document, log_index=result)
    if isinstance(result, Taken):
        return None
    if isinstance(result, DomainError):
        return result
    raise result
