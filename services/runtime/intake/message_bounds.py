"""Measure a request's bytes against the bounds that stand in its contract, before decoding it.

Decoding costs memory and time by the number of elements, not of bytes: a message of 20 MiB can hold
ten million empty ones. So the wire format is walked first, tags and lengths only, and the walk ends
at the first bound that is exceeded (bounds.proto). What passes has at most as many elements as the
contract allows, and is then worth decoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from qagazsyz.common.v1 import bounds_pb2
from services.runtime.access import access_rule
from services.runtime.errors import InvalidArgument

# The longest message of any method. gRPC holds one several times over before Python sees it.
MESSAGE_LIMIT_BYTES = 20 * 1024 * 1024
# bounds.proto: what holds where a method has no option of its own.
OPEN_REQUEST_BYTES = 64 * 1024
REQUEST_BYTES = 1024 * 1024
# bounds.proto: strings without an option.
STRING_BYTES = 4_096
# bounds.proto: fields that the contract does not know, in a whole request. A client of a later
# version may send some; decoders skip each at a price.
UNKNOWN_FIELDS = 64
# An encoder writes a field that is not repeated once; merged messages (protobuf's encoding guide,
# "Last One Wins") hold it a few times.
SINGULAR_OCCURRENCES = 8
# Deeper than any message of the contracts; protobuf itself refuses more than a hundred.
DEPTH = 32

# Messages of others that requests hold, by full name and field: nothing of ours uses extensions.
_FOREIGN = {
    "google.api.HttpBody.data": (1, REQUEST_BYTES),
    "google.api.HttpBody.extensions": (0, 0),
    "google.protobuf.FieldMask.paths": (100, 256),
}

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_PACKABLE = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_BOOL,
        FieldDescriptor.CPPTYPE_ENUM,
        FieldDescriptor.CPPTYPE_FLOAT,
        FieldDescriptor.CPPTYPE_DOUBLE,
    }
)
# Bytes that a packed value does not end with: those of a varint but its last.
_CONTINUED = bytes(range(0x80, 0x100))


@dataclass(frozen=True, slots=True)
class FieldBound:
    """What one field of a message may hold."""

    name: str
    # Occurrences on the wire: items of a repeated field.
    max_items: int
    # Bytes of a string, of bytes, or of one item; 0 for other types.
    max_bytes: int
    # A long item is answered by itself, so its length is none of the call's business.
    is_item: bool
    is_packable: bool
    message: Descriptor | None


@cache
def request_limit(method: MethodDescriptor) -> int:
    """Return the most bytes that the method's request may have."""
    rule = access_rule(method)
    return request_limit_of(method.GetOptions(), is_open=rule is not None and rule.open)


def request_limit_of(options: MethodOptions, *, is_open: bool) -> int:
    """Return the most bytes of a request of a method with these options."""
    # protoc's own type stubs say less of extensions than they are.
    extension: Any = bounds_pb2.max_request_bytes
    if options.HasExtension(extension):
        return int(options.Extensions[extension])
    return OPEN_REQUEST_BYTES if is_open else REQUEST_BYTES


def check_size(data: bytes, method: MethodDescriptor) -> None:
    """Raise InvalidArgument if the request is longer than its method takes."""
    limit = request_limit(method)
    if len(data) > limit:
        raise InvalidArgument("", f"the request is longer than {limit} bytes")


def check_bounds(data: bytes, message: Descriptor) -> None:
    """Walk the bytes of a message. Raise InvalidArgument, naming the field, at the first bound that
    is exceeded or where the bytes are no message."""
    _Walk(data).message(message, 0, len(data), "", 0)


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._unknown = 0

    def message(self, message: Descriptor, start: int, stop: int, path: str, depth: int) -> None:
        if depth > DEPTH:
            raise InvalidArgument(path, "nested too deeply")
        bounds = field_bounds(message)
        counts: dict[int, int] = {}
        position = start
        while position < stop:
            tag, position = self._varint(position, stop)
            number, wire_type = tag >> 3, tag & 7
            begin = position
            if wire_type == _LENGTH:
                length, begin = self._varint(position, stop)
                position = begin + length
            elif wire_type == _VARINT:
                _, position = self._varint(position, stop)
            elif wire_type == _FIXED64:
                position += 8
            elif wire_type == _FIXED32:
                position += 4
            else:  # groups, which proto3 does not have
                raise _malformed()
            if position > stop or number == 0:
                raise _malformed()
            bound = bounds.get(number)
            if bound is None:
                self._unknown += 1
                if self._unknown > UNKNOWN_FIELDS:
                    raise InvalidArgument(path, "holds too many fields that are not known")
                continue
            if bound.is_packable and wire_type == _LENGTH:
                added = _packed_count(self._data[begin:position])
            else:
                added = 1
            count = counts[number] = counts.get(number, 0) + added
            if count > bound.max_items:
                where = f"{path}{bound.name}"
                raise InvalidArgument(where, f"holds more than {bound.max_items} items")
            if wire_type != _LENGTH:
                continue
            if bound.message is not None:
                index = f"[{count - 1}]" if bound.is_item else ""
                self.message(
                    bound.message, begin, position, f"{path}{bound.name}{index}.", depth + 1
                )
            elif 0 < bound.max_bytes < position - begin and not bound.is_item:
                where = f"{path}{bound.name}"
                raise InvalidArgument(where, f"is longer than {bound.max_bytes} bytes")

    def _varint(self, position: int, stop: int) -> tuple[int, int]:
        """Return the varint at the position, and the position behind it."""
        value = shift = 0
        data = self._data
        while position < stop:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
            if shift > 63:
                break
        raise _malformed()


@cache
def field_bounds(message: Descriptor) -> Mapping[int, FieldBound]:
    """Return the bounds of a message's fields by number."""
    return {field.number: _field_bound(field) for field in message.fields}


def _field_bound(field: FieldDescriptor) -> FieldBound:
    items, size = _FOREIGN.get(field.full_name, (0, 0))
    if field.full_name not in _FOREIGN:
        extension: Any = bounds_pb2.bounds
        bounds = field.GetOptions().Extensions[extension]
        items, size = bounds.max_items, bounds.max_bytes
    if not field.is_repeated:
        items = SINGULAR_OCCURRENCES
    if size == 0 and field.type == FieldDescriptor.TYPE_STRING:
        size = STRING_BYTES
    return FieldBound(
        name=field.name,
        max_items=items,
        max_bytes=size,
        is_item=bool(field.is_repeated),
        is_packable=bool(field.is_repeated) and field.cpp_type in _PACKABLE,
        message=field.message_type,
    )


def _packed_count(data: bytes) -> int:
    """Return how many values a packed field holds at most: varints end with a byte below 0x80, and
    values of fixed size are counted by their bytes, which is never too few."""
    return len(data.translate(None, _CONTINUED))


def _malformed() -> InvalidArgument:
    return InvalidArgument("", "the bytes are no message of this method")
