"""Check a request's fields against the contract's field behaviour (AIP-203)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.runtime.errors import InvalidArgument
from services.runtime.intake.control_characters import CONTROL_CHARACTER
from services.runtime.intake.update_masks import covers

# Timestamp's range: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)


@cache
def _required_fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    return tuple(
        field for field in descriptor.fields if field_behavior_pb2.REQUIRED in _behavior(field)
    )


def _behavior(field: FieldDescriptor) -> Sequence[int]:
    # The type stubs of protoc do not say what type an extension has.
    behavior: Any = field_behavior_pb2.field_behavior
    found: Sequence[int] = field.GetOptions().Extensions[behavior]
    return found


@dataclass(frozen=True, slots=True)
class Update:
    """Which fields of a resource an update requires (AIP-134)."""

    # The resource's field in the request.
    resource: str
    # The mask's paths; without any, the fields that are set change.
    paths: frozenset[str]

    @classmethod
    def of(cls, request: Message) -> Update | None:
        """Return what an update's request requires; None for a request that is no update."""
        fields = request.DESCRIPTOR.fields_by_name
        if "update_mask" not in fields:
            return None
        resource = next(
            field.name
            for field in request.DESCRIPTOR.fields
            if field.message_type is not None and field.name != "update_mask"
        )
        return cls(resource, frozenset(getattr(getattr(request, "update_mask"), "paths")))  # noqa: B009

    def requires(self, path: str, field: FieldDescriptor) -> bool:
        """Return whether the field, at this path of the request, has to be set."""
        within, _, rest = path.partition(".")
        if within != self.resource or not rest:
            return True
        if field_behavior_pb2.IMMUTABLE in _behavior(field):
            return False
        return covers(self.paths, rest)


def check_fields(
    message: Message,
    *,
    prefix: str = "",
    skip: Collection[str] = (),
    update: Update | None = None,
) -> None:
    """Raise InvalidArgument, naming the field, if a REQUIRED one is missing or no method takes its
    value: a text that cannot be shown as it is, a Timestamp beyond the year 9999.

    skip: fields that the caller checks itself, item by item (a batch's items).
    update: which REQUIRED fields of a resource an update needs; all others are needed.
    """
    for field in _required_fields(message.DESCRIPTOR):
        path = prefix + field.name
        if not _is_set(message, field) and (update is None or update.requires(path, field)):
            raise InvalidArgument(path, "is required")
    for field, value in message.ListFields():
        if field.name in skip:
            continue
        for where, item in _items(field, value, prefix + field.name):
            if field.type == FieldDescriptor.TYPE_STRING:
                check_shown(item, where)
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                # Items of a list are whole, whatever the mask says.
                _check_message(item, where, None if field.is_repeated else update)


def check_shown(text: str, where: str) -> None:
    """Raise InvalidArgument for a text with characters that are not shown as they are."""
    if CONTROL_CHARACTER.search(text) is not None:
        raise InvalidArgument(where, "contains a control character")


def _check_message(item: Message, where: str, update: Update | None) -> None:
    if item.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        seconds, nanos = getattr(item, "seconds", 0), getattr(item, "nanos", 0)
        if seconds not in _TIMESTAMP_SECONDS or nanos not in _NANOS:
            raise InvalidArgument(where, "is not a time between the years 1 and 9999")
    else:
        check_fields(item, prefix=f"{where}.", update=update)


def _is_set(message: Message, field: FieldDescriptor) -> bool:
    if field.is_repeated or not field.has_presence:
        return bool(getattr(message, field.name))
    return message.HasField(field.name)


def _items(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not field.is_repeated:
        yield path, value
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
            for key, item in value.items():
                check_shown(key, path)
                check_shown(item, path)
    else:
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
