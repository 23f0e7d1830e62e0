"""A protobuf message's own fields, found without decoding what is in them.

What a decoder makes of a message can take forty times the message's bytes: two
bytes are an empty item. Whoever must refuse too many items counts them first.
"""

from __future__ import annotations

from collections.abc import Iterator

# Fields 64 bits wide are the widest varints.
_VARINT_BYTES = 10
_GROUP_START, _GROUP_END = 3, 4
# As deep as upb follows them.
_GROUP_DEPTH = 100


class MalformedFields(ValueError):
    """The bytes are no message."""


def length_delimited(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, start and stop of each length-delimited field of the message itself, in order.

    Raises MalformedFields once it comes to what cannot be read; what is inside a field is not
    looked at.
    """
    at, end = 0, len(data)
    groups: list[int] = []
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise MalformedFields("a field of no number")
        if kind == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise MalformedFields("cut off")
            if not groups:
                yield number, at, at + length
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        elif kind == _GROUP_START and len(groups) < _GROUP_DEPTH:
            groups.append(number)
        elif kind == _GROUP_END and groups and groups[-1] == number:
            groups.pop()
        else:
            raise MalformedFields("a field of no kind")
    if at != end or groups:
        raise MalformedFields("cut off")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise MalformedFields("a number that does not end")
