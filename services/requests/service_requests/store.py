"""All SQL of requests, their history, and offers."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.model.service_requests import (
    Change,
    CollectedEvidence,
    EvidenceSource,
    Ground,
    Proof,
    Refusal,
    ServiceRequest,
)
from services.requests.model.states import (
    ServiceRequestChannel,
    ServiceRequestState,
)
from services.requests.privacy.private_texts import PrivateTexts
from services.requests.tables import events, offers, service_requests
from services.runtime.sealing import Sealed

State = ServiceRequestState
_columns = service_requests.c

# Columns that hold a field of the domain's object as it is.
_PLAIN = (
    "name",
    "public_service",
    "service_version",
    "provider",
    "appeal_body",
    "time_limit_days",
    "applicant",
    "revision",
    "create_time",
    "statement_expire_time",
    "lapse_time",
    "submit_time",
    "end_time",
    "wait_since",
    "due_day",
    "waited_seconds",
    "refuser",
    "is_appeal_dismissed",
    "output",
    "output_on_paper",
)
NOT_LOGGED = -1


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of a request's history."""

    number: int
    request: str
    revision: int
    state: ServiceRequestState
    time: datetime
    text: str
    # What the log's entry commits to: canonical JSON.
    change: bytes
    log_index: int


async def find(
    connection: AsyncConnection, texts: PrivateTexts, name: str, *, lock: bool = False
) -> ServiceRequest | None:
    """Return a request, or None; locked until the transaction's end, if that is asked."""
    statement = select(service_requests).where(_columns.name == name)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).first()
    return None if row is None else _request(row, texts)


async def add(connection: AsyncConnection, texts: PrivateTexts, request: ServiceRequest) -> None:
    """Store a new request."""
    await connection.execute(insert(service_requests).values(_values(request, texts)))


async def replace(
    connection: AsyncConnection, texts: PrivateTexts, request: ServiceRequest
) -> bool:
    """Store a request's next revision; return False if another was stored meanwhile."""
    changed = await connection.execute(
        update(service_requests)
        .where(_columns.name == request.name, _columns.revision == request.revision - 1)
        .values(_values(request, texts))
    )
    return changed.rowcount > 0


async def count_in_state(
    connection: AsyncConnection, applicant: str, state: ServiceRequestState
) -> int:
    """Return how many requests of a person are in a state."""
    statement = (
        select(func.count())
        .select_from(service_requests)
        .where(_columns.applicant == applicant, _columns.state == int(state))
    )
    return (await connection.execute(statement)).scalar_one()


async def list_requests(
    connection: AsyncConnection,
    texts: PrivateTexts,
    *,
    applicant: str = "",
    organization: str = "",
    state: ServiceRequestState | None = None,
    public_service: str = "",
    before: str = "",
    limit: int,
) -> list[ServiceRequest]:
    """Return requests, newest first, those made before `before`.

    applicant: only this person's. organization: only those that are before its officers.
    """
    statement = select(service_requests).order_by(_columns.name.desc()).limit(limit)
    if applicant:
        statement = statement.where(_columns.applicant == applicant)
    if organization:
        channels = (ServiceRequestChannel.OFFICE, ServiceRequestChannel.PROACTIVE)
        statement = statement.where(
            or_(
                and_(
                    _columns.provider == organization,
                    or_(
                        _columns.submit_time.is_not(None),
                        _columns.channel.in_([int(each) for each in channels]),
                    ),
                ),
                and_(
                    _columns.appeal_body == organization, _columns.state == int(State.UNDER_APPEAL)
                ),
            )
        )
    if state is not None:
        statement = statement.where(_columns.state == int(state))
    if public_service:
        statement = statement.where(_columns.public_service == public_service)
    if before:
        statement = statement.where(_columns.name < before)
    return [_request(row, texts) for row in await connection.execute(statement)]


async def list_to_lapse(connection: AsyncConnection, now: datetime, *, limit: int) -> list[str]:
    """Return the names of requests whose person let the time pass."""
    statement = (
        select(_columns.name)
        .where(_columns.lapse_time <= now)
        .order_by(_columns.lapse_time)
        .limit(limit)
    )
    return list((await connection.execute(statement)).scalars())


async def list_to_issue(connection: AsyncConnection, *, since: datetime, limit: int) -> list[str]:
    """Return the names of requests that are issued by rule and wait for it since a time or later,
    the oldest first."""
    statement = (
        select(_columns.name)
        .where(
            _columns.state == int(State.SUBMITTED),
            _columns.time_limit_days == 0,
            _columns.submit_time > since,
        )
        .order_by(_columns.submit_time)
        .limit(limit)
    )
    return list((await connection.execute(statement)).scalars())


async def add_offer(
    connection: AsyncConnection, *, public_service: str, subject: str, year: int
) -> bool:
    """Store that a service was offered to a person; return False if it was, this year."""
    row = {"public_service": public_service, "subject": subject, "year": year}
    try:
        async with connection.begin_nested():
            await connection.execute(insert(offers).values(row))
    except IntegrityError:
        return False
    return True


# --- History --------------------------------------------------------------------------------------


async def add_event(
    connection: AsyncConnection, texts: PrivateTexts, change: Change, committed: bytes
) -> None:
    """Store an entry of a request's history; committed: what the log's entry commits to."""
    request = change.request
    record = _event_record(request.name, request.revision)
    sealed = texts.seal_json({"text": change.text, "change": committed.decode()}, record=record)
    await connection.execute(
        insert(events).values(
            request=request.name,
            revision=request.revision,
            state=int(request.state),
            time=change.time,
            key_id=sealed.key_id,
            sealed=sealed.data,
            log_index=NOT_LOGGED,
        )
    )


async def list_events(
    connection: AsyncConnection, texts: PrivateTexts, request: str
) -> list[Event]:
    """Return a request's history, oldest first."""
    statement = select(events).where(events.c.request == request).order_by(events.c.revision)
    return [_event(row, texts) for row in await connection.execute(statement)]


async def list_untold(
    connection: AsyncConnection, texts: PrivateTexts, *, besides: Collection[str], limit: int
) -> list[Event]:
    """Return entries that the log has yet to hold, in the order in which they were stored.

    besides: requests of which it shall have none now.

    Nothing of a draft from a text that nobody signed: a sender's number can be forged.
    """
    statement = (
        select(events)
        .join(service_requests, _columns.name == events.c.request)
        .where(
            events.c.log_index == NOT_LOGGED,
            events.c.request.not_in(besides),
            or_(
                _columns.submit_time.is_not(None),
                _columns.channel != int(ServiceRequestChannel.SMS),
            ),
        )
        .order_by(events.c.number)
        .limit(limit)
    )
    return [_event(row, texts) for row in await connection.execute(statement)]


async def set_log_index(connection: AsyncConnection, number: int, log_index: int) -> None:
    """Store where the log holds an entry."""
    await connection.execute(
        update(events).where(events.c.number == number).values(log_index=log_index)
    )


async def key_ids_in_use(connection: AsyncConnection) -> set[str]:
    """Return the ids of the keys that something is sealed under."""
    found: set[str] = set()
    for column in (_columns.key_id, events.c.key_id):
        found |= set((await connection.execute(select(column).distinct())).scalars())
    return found


# --- Rows -----------------------------------------------------------------------------------------


def _event_record(request: str, revision: int) -> str:
    return f"{request}/events/{revision}"


def _event(row: Row[Any], texts: PrivateTexts) -> Event:
    record = _event_record(row.request, row.revision)
    private = texts.unseal_json(Sealed(row.key_id, row.sealed), record=record)
    return Event(
        number=row.number,
        request=row.request,
        revision=row.revision,
        state=State(row.state),
        time=row.time,
        text=private["text"],
        change=private["change"].encode(),
        log_index=row.log_index,
    )


def _values(request: ServiceRequest, texts: PrivateTexts) -> dict[str, Any]:
    sealed = texts.seal_json(_private(request), record=request.name)
    before = request.state_before_appeal
    return {column: getattr(request, column) for column in _PLAIN} | {
        "channel": int(request.channel),
        "state": int(request.state),
        "state_before_appeal": None if before is None else int(before),
        "key_id": sealed.key_id,
        "sealed": sealed.data,
    }


def _private(request: ServiceRequest) -> dict[str, Any]:
    proof, refusal = request.proof, request.refusal
    return {
        "form": request.form,
        "statement": request.statement.decode(),
        "question": request.question,
        "evidence": [
            [each.document_type, int(each.source), each.access, each.document]
            for each in request.evidence
        ],
        "proof": None
        if proof is None
        else [
            proof.signer,
            base64.b64encode(proof.certificate).decode(),
            proof.algorithm,
            base64.b64encode(proof.signature).decode(),
        ],
        "refusal": None
        if refusal is None
        else [
            [[each.act, each.article] for each in refusal.grounds],
            refusal.text,
            refusal.hearing_time.isoformat(),
        ],
    }


def _request(row: Row[Any], texts: PrivateTexts) -> ServiceRequest:
    private = texts.unseal_json(Sealed(row.key_id, row.sealed), record=row.name)
    before = row.state_before_appeal
    return ServiceRequest(
        **{column: row._mapping[column] for column in _PLAIN},
        channel=ServiceRequestChannel(row.channel),
        state=State(row.state),
        state_before_appeal=None if before is None else State(before),
        form=private["form"],
        statement=private["statement"].encode(),
        question=private["question"],
        evidence=tuple(
            CollectedEvidence(document_type, EvidenceSource(source), access, document)
            for document_type, source, access, document in private["evidence"]
        ),
        proof=_proof(private["proof"]),
        refusal=_refusal(private["refusal"]),
    )


def _proof(parts: Sequence[Any] | None) -> Proof | None:
    if parts is None:
        return None
    signer, certificate, algorithm, signature = parts
    return Proof(signer, base64.b64decode(certificate), algorithm, base64.b64decode(signature))


def _refusal(parts: Sequence[Any] | None) -> Refusal | None:
    if parts is None:
        return None
    grounds, text, hearing_time = parts
    return Refusal(
        tuple(Ground(act, article) for act, article in grounds),
        text,
        datetime.fromisoformat(hearing_time),
    )
