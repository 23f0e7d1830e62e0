"""SIMs and phones in the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.events.notice import Recipient
from services.identity.phones.rules import SEEN_STEP, Phone, PhoneState, Sim
from services.identity.store import Singleton, Taken, get_singleton, insert_row
from services.identity.tables import certificates, certified_keys, phones, sims, singletons

_WAITING = (int(PhoneState.PENDING_APPROVAL), int(PhoneState.PENDING))
# With a certificate: such a phone ends with it, and when another binds its number.
_BOUND = (int(PhoneState.ACTIVE), int(PhoneState.UNSEEN))
_OPEN = _WAITING + _BOUND


async def keep_key_id(connection: AsyncConnection, key_id: str) -> str:
    """Return the id of the key that numbers are stored with: this one, the first time."""
    with suppress(Taken):
        row = {"name": Singleton.NUMBER_KEY.value, "value": key_id}
        await insert_row(connection, singletons, row)
    return await get_singleton(connection, Singleton.NUMBER_KEY) or ""


# SIMs


async def get_sim(connection: AsyncConnection, number_hash: str) -> Sim | None:
    """Return the number's card, or None."""
    query = select(sims).where(sims.c.number_hash == number_hash)
    row = (await connection.execute(query)).first()
    return None if row is None else Sim(**row._mapping)


async def find_sims(connection: AsyncConnection, card_hashes: Collection[str]) -> dict[str, str]:
    """Return the ids of cards by their hash; those that no list has are left out."""
    query = select(sims.c.card_hash, sims.c.id).where(sims.c.card_hash.in_(card_hashes))
    return {row.card_hash: row.id for row in await connection.execute(query)}


async def lock_sims(
    connection: AsyncConnection, number_hashes: Collection[str], card_hashes: Collection[str] = ()
) -> list[Sim]:
    """Return the cards behind these numbers, and these cards behind other numbers, locked."""
    is_listed = or_(sims.c.number_hash.in_(number_hashes), sims.c.card_hash.in_(card_hashes))
    # In one order everywhere, so that two lists do not wait for each other.
    query = select(sims).where(is_listed).order_by(sims.c.id).with_for_update()
    return [Sim(**row._mapping) for row in await connection.execute(query)]


async def add_sims(connection: AsyncConnection, added: Sequence[Sim]) -> None:
    """Insert cards. Raises Taken if another list has one of the numbers or cards meanwhile."""
    if not added:
        return
    try:
        async with connection.begin_nested():
            await connection.execute(insert(sims), [asdict(sim) for sim in added])
    except IntegrityError:
        raise Taken from None


async def delete_sims(connection: AsyncConnection, gone: Iterable[Sim]) -> None:
    """Delete cards."""
    await connection.execute(delete(sims).where(sims.c.id.in_([sim.id for sim in gone])))


# Phones


async def add_phone(connection: AsyncConnection, phone: Phone) -> None:
    """Insert a phone."""
    values = {column.name: getattr(phone, column.name) for column in phones.c}
    await connection.execute(insert(phones).values(values | {"state": int(phone.state)}))


async def get_phone(connection: AsyncConnection, subject: str, phone_id: str) -> Phone | None:
    """Return the person's phone of that id, or None."""
    query = _select().where(phones.c.id == phone_id, phones.c.subject == subject)
    row = (await connection.execute(query)).first()
    return None if row is None else _phone(row)


async def list_phones(connection: AsyncConnection, subject: str) -> list[Phone]:
    """Return the person's phones that were not ended, oldest first, lapsed ones too."""
    query = _select().where(phones.c.subject == subject, phones.c.state.in_(_OPEN))
    return [_phone(row) for row in await connection.execute(query.order_by(phones.c.id))]


async def list_by_numbers(
    connection: AsyncConnection, number_hashes: Collection[str], *, is_bound: bool = False
) -> list[Phone]:
    """Return the phones with these numbers that were not ended; only bound ones, active or unseen,
    if that is asked."""
    states = _BOUND if is_bound else _OPEN
    query = _select().where(phones.c.number_hash.in_(number_hashes), phones.c.state.in_(states))
    return [_phone(row) for row in await connection.execute(query.order_by(phones.c.id))]


async def count_unbound(connection: AsyncConnection, proposer: str, *, since: datetime) -> int:
    """Return how many bindings a proposer asked for since later than a time that were not
    completed: they wait, or were ended."""
    query = select(func.count()).where(
        phones.c.proposer == proposer,
        phones.c.create_time > since,
        phones.c.certificate == "",
    )
    return (await connection.execute(query)).scalar_one()


async def approve_phone(
    connection: AsyncConnection, phone: Phone, *, approver: str, certificate: str, challenge: bytes
) -> bool:
    """Set that a binding is approved; return False if it waits for that no more."""
    return await _change(
        connection,
        phone,
        PhoneState.PENDING_APPROVAL,
        state=int(PhoneState.PENDING),
        approver=approver,
        approver_certificate=certificate,
        challenge=challenge,
    )


async def activate_phone(
    connection: AsyncConnection, phone: Phone, certificate: str, now: datetime
) -> bool:
    """Set that a phone is bound, with a certificate; return False if it waits for that no more."""
    return await _change(
        connection,
        phone,
        PhoneState.PENDING,
        state=int(PhoneState.ACTIVE),
        certificate=certificate,
        seen_time=now,
    )


async def end_phone(connection: AsyncConnection, phone: Phone, now: datetime) -> bool:
    """Set that a phone has ended; return False if it had."""
    result = await connection.execute(
        update(phones)
        .where(phones.c.id == phone.id, phones.c.state.in_(_OPEN))
        .values(state=int(PhoneState.ENDED), end_time=now)
    )
    return result.rowcount > 0


async def set_seen(connection: AsyncConnection, subject: str, phone_id: str, now: datetime) -> None:
    """Set when an active phone's SIM signed, unless SEEN_STEP has not passed since the last time;
    an unseen one stays so."""
    await connection.execute(
        update(phones)
        .where(
            phones.c.id == phone_id,
            phones.c.subject == subject,
            phones.c.state == int(PhoneState.ACTIVE),
            _not_seen_since(now - SEEN_STEP),
        )
        .values(seen_time=now)
    )


async def list_unseen(connection: AsyncConnection, *, before: datetime, limit: int) -> list[Phone]:
    """Return active phones whose SIM was not seen since that time."""
    query = _select().where(phones.c.state == int(PhoneState.ACTIVE), _not_seen_since(before))
    return [_phone(row) for row in await connection.execute(query.limit(limit))]


async def set_unseen(
    connection: AsyncConnection, phone: Phone, challenge: bytes, *, before: datetime
) -> None:
    """Set that a phone is unseen until its SIM has signed the challenge, unless it was seen in this
    moment."""
    await connection.execute(
        update(phones)
        .where(
            phones.c.id == phone.id,
            phones.c.state == int(PhoneState.ACTIVE),
            _not_seen_since(before),
        )
        .values(state=int(PhoneState.UNSEEN), challenge=challenge)
    )


async def confirm_unseen(connection: AsyncConnection, phone: Phone, now: datetime) -> bool:
    """Set that an unseen phone is active, its SIM having signed the phone's challenge; return False
    if it is unseen no more."""
    return await _change(
        connection, phone, PhoneState.UNSEEN, state=int(PhoneState.ACTIVE), seen_time=now
    )


async def lapse_phones(connection: AsyncConnection, *, before: datetime) -> None:
    """Set that bindings have ended that wait since before that time."""
    await connection.execute(
        update(phones)
        .where(phones.c.state.in_(_WAITING), phones.c.create_time <= before)
        .values(state=int(PhoneState.ENDED), end_time=before)
    )


async def erase_numbers(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Erase the numbers, and their hashes, of phones that had ended by that time; return of how
    many, at most the limit."""
    ended = (
        select(phones.c.id)
        .where(
            phones.c.state == int(PhoneState.ENDED),
            phones.c.end_time <= before,
            phones.c.number_hash != "",
        )
        .limit(limit)
    )
    erased = update(phones).where(phones.c.id.in_(ended)).values(number_hash="", number=b"")
    return (await connection.execute(erased)).rowcount


async def list_lost(connection: AsyncConnection, now: datetime, *, limit: int) -> list[Phone]:
    """Return phones that are bound, and whose certificate is revoked or has expired."""
    query = _select().where(
        phones.c.state.in_(_BOUND),
        or_(certificates.c.revoke_time <= now, certificates.c.not_after < now),
    )
    rows = await connection.execute(query.order_by(phones.c.id).limit(limit))
    return [_phone(row) for row in rows]


async def list_recipients(
    connection: AsyncConnection, phone: Phone, now: datetime
) -> tuple[Recipient, ...]:
    """Return the holder's other phones that are bound at a time."""
    return tuple(
        Recipient(other.name, other.language)
        for other in await list_phones(connection, phone.subject)
        if other.id != phone.id and other.state_at(now) is PhoneState.ACTIVE
    )


# Keys of SIMs


async def may_key_move(connection: AsyncConnection, key: str, subject: str) -> bool:
    """Return whether every certificate over the key of another than the subject is a SIM's and
    revoked; key: its fingerprint."""
    query = (
        select(certificates.c.fingerprint)
        .outerjoin(phones, phones.c.certificate == certificates.c.fingerprint)
        .where(
            certificates.c.key == key,
            certificates.c.subject != subject,
            or_(phones.c.id.is_(None), certificates.c.revoke_time.is_(None)),
        )
        .limit(1)
    )
    return (await connection.execute(query)).first() is None


async def move_key(connection: AsyncConnection, key: str, subject: str) -> None:
    """Keep that the key, if it was certified, is the subject's from now on."""
    await connection.execute(
        update(certified_keys).where(certified_keys.c.fingerprint == key).values(holder=subject)
    )


async def _change(
    connection: AsyncConnection, phone: Phone, state_before: PhoneState, **values: Any
) -> bool:
    """Set columns of a phone that is in a state; return whether it was."""
    result = await connection.execute(
        update(phones)
        .where(phones.c.id == phone.id, phones.c.state == int(state_before))
        .values(**values)
    )
    return result.rowcount > 0


def _not_seen_since(before: datetime) -> ColumnElement[bool]:
    """Return the condition that a phone was not seen later than a time. Where an earlier version of
    the service bound it, beside this one, no time stands yet."""
    return or_(
        phones.c.seen_time <= before,
        and_(phones.c.seen_time.is_(None), phones.c.create_time <= before),
    )


def _select() -> Select[Any]:
    return select(phones, certificates.c.revoke_time, certificates.c.not_after).outerjoin(
        certificates, certificates.c.fingerprint == phones.c.certificate
    )


_COLUMNS = tuple(field.name for field in fields(Phone))


def _phone(row: Row[Any]) -> Phone:
    values = {name: row._mapping[name] for name in _COLUMNS}
    return Phone(**values | {"state": PhoneState(row.state)})
