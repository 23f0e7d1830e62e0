"""The contract's messages about phones, made from the domain's objects."""

from __future__ import annotations

from datetime import datetime

from qagazsyz.identity.v1 import phones_pb2 as pb
from services.identity.phones.numbers import NumberVault
from services.identity.phones.rules import Phone, PhoneState, sees_number
from services.runtime.access import Caller
from services.runtime.clock import to_timestamp

# What others than the holder and services see of a number.
SHOWN_DIGITS = 2


def to_phone(phone: Phone, caller: Caller, numbers: NumberVault, now: datetime) -> pb.Phone:
    """Return the contract's Phone, as far as the caller may see it."""
    message = to_numberless_phone(phone, now)
    if phone.number:
        number = numbers.open(phone.number, phone.number_hash)
        message.number = shown_number(number, phone.subject, caller)
    if caller.is_service:
        message.sim = phone.sim_name
        message.public_key = phone.public_key
        if phone.state_at(now) in (PhoneState.PENDING, PhoneState.UNSEEN):
            message.challenge = phone.challenge
    if phone.seen_time is not None and sees_number(caller, phone.subject):
        message.seen_time.FromDatetime(phone.seen_time)
    return message


def to_numberless_phone(phone: Phone, now: datetime) -> pb.Phone:
    """Return the contract's Phone without its number and what services see, as it may be kept."""
    certificate = f"{phone.subject}/certificates/{phone.certificate}" if phone.certificate else ""
    return pb.Phone(
        name=phone.name,
        state=pb.PhoneState.Name(phone.state_at(now)),
        certificate=certificate,
        language=phone.language,
        create_time=to_timestamp(phone.create_time),
    )


def shown_number(number: str, subject: str, caller: Caller) -> str:
    """Return a person's number as the caller sees it: in full, or its last two digits."""
    return number if sees_number(caller, subject) else number[-SHOWN_DIGITS:]
