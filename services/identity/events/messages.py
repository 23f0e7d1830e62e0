"""The contract's messages about events, made from the domain's objects."""

from __future__ import annotations

from qagazsyz.common.v1 import access_pb2
from qagazsyz.identity.v1 import events_pb2 as pb
from services.identity.events.event import IdentityEvent, IdentityRecord
from services.identity.events.notice import NumberedNotice
from services.runtime.clock import to_timestamp


def to_event(event: IdentityEvent) -> pb.IdentityEvent:
    """Return the contract's IdentityEvent."""
    happening = event.happening
    return pb.IdentityEvent(
        number=event.number,
        kind=pb.IdentityEventKind.Name(happening.kind),
        time=to_timestamp(event.time),
        subject=happening.subject,
        organization=happening.organization,
        fingerprint=happening.fingerprint,
        role=access_pb2.Role.Name(happening.role),
        officers=happening.officers,
        salts=event.salts,
        basis=pb.IdentityEventBasis.Name(happening.basis),
    )


def to_record(record: IdentityRecord) -> pb.IdentityRecord:
    """Return the contract's IdentityRecord."""
    return pb.IdentityRecord(
        subject=record.subject,
        organization=record.organization,
        fingerprint=record.fingerprint,
        role=access_pb2.Role.Name(record.role),
        create_time=to_timestamp(record.create_time),
        end_time=to_timestamp(record.end_time),
    )


def to_notice(numbered: NumberedNotice) -> pb.PhoneNotice:
    """Return the contract's PhoneNotice."""
    notice = numbered.notice
    return pb.PhoneNotice(
        number=numbered.number,
        kind=pb.PhoneNoticeKind.Name(notice.kind),
        time=to_timestamp(numbered.time),
        phone=notice.phone,
        recipients=[
            pb.PhoneNoticeRecipient(phone=each.phone, language=each.language)
            for each in notice.recipients
        ],
    )
