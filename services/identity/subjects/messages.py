"""The contract's messages about subjects, made from the domain's objects."""

from __future__ import annotations

from datetime import datetime

from google.type import date_pb2

from qagazsyz.common.v1 import access_pb2
from qagazsyz.identity.v1 import subjects_pb2 as pb
from services.identity.subjects.rules import Membership, Subject
from services.runtime.clock import to_timestamp


def to_subject(subject: Subject) -> pb.Subject:
    """Return the contract's Subject."""
    message = pb.Subject(
        name=subject.name,
        create_time=to_timestamp(subject.create_time),
        update_time=to_timestamp(subject.update_time),
    )
    if subject.is_person:
        message.person.iin = subject.number
        message.person.given_name = subject.given_name
        message.person.family_name = subject.family_name
        message.person.patronymic = subject.patronymic
        if (born := subject.birth_date) is not None:
            message.person.birth_date.CopyFrom(
                date_pb2.Date(year=born.year, month=born.month, day=born.day)
            )
    else:
        message.organization.bin = subject.number
        message.organization.display_name = subject.display_name
    return message


def to_membership(membership: Membership, now: datetime) -> pb.Membership:
    """Return the contract's Membership, in its state at a time."""
    return pb.Membership(
        name=membership.name,
        person=membership.person,
        role=access_pb2.Role.Name(membership.role),
        create_time=to_timestamp(membership.create_time),
        state=pb.MembershipState.Name(membership.state_at(now)),
        begin_time=to_timestamp(membership.begin_time),
        remove_time=to_timestamp(membership.remove_time),
    )
