"""Check a request's fields against the contract's field behaviour (AIP-203)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.runtime.errors import InvalidArgument

# Timestamp's range: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)


@cache
def _required_fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    # The type stubs of protoc do not say what type an extension has.
    behavior: Any = field_behavior_pb2.field_behavior
    return tuple(
        field
        for field in descriptor.fields
        if field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[behavior]
    )


def check_fields(
    message: Message, *, prefix: str = "", skip: Collection[str] = (), mask: Message | None = None
) -> None:
    """Raise InvalidArgument, naming the field, if a REQUIRED one is missing or no method takes its
    value: a string with a NUL (PostgreSQL cannot store it), a Timestamp beyond the year 9999.

    skip: fields that the caller checks itself, item by item (a batch's items).
    mask: an update's FieldMask; of the resource to update, only the fields in it are required.
    """
    masked = set(getattr(mask, "paths", ())) if mask is not None else set()
    for field in _required_fields(message.DESCRIPTOR):
        if not _is_set(message, field):
            raise InvalidArgument(prefix + field.name, "is required")
    for field, value in message.ListFields():
        if field.name in skip:
            continue
        path = prefix + field.name
        for where, item in _items(field, value, path):
            if field.type == FieldDescriptor.TYPE_STRING:
                if "\x00" in item:
                    raise InvalidArgument(where, "contains a NUL character")
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                _check_message(item, where, masked)


def _check_message(item: Message, where: str, masked: set[str]) -> None:
    name = item.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        seconds, nanos = getattr(item, "seconds", 0), getattr(item, "nanos", 0)
        if seconds not in _TIMESTAMP_SECONDS or nanos not in _NANOS:
            raise InvalidArgument(where, "is not a time between the years 1 and 9999")
    elif masked and not name.startswith("google."):
        for field in _required_fields(item.DESCRIPTOR):
            if field.name in masked and not _is_set(item, field):
                raise InvalidArgument(f"{where}.{field.name}", "is required")
    else:
        check_fields(item, prefix=f"{where}.")


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
                if "\x00" in key or "\x00" in item:
                    raise InvalidArgument(path, "contains a NUL character")
    else:
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
