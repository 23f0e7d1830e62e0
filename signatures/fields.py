"""Walk a protobuf message's own fields, without decoding their content.

A decoded message can take forty times its bytes on the wire: two bytes are an empty item. So
count the entries first, and decode only a message that has few enough. The walk also finds one
field of a 20 MiB message without a second copy of the others.
"""

from __future__ import annotations

from collections.abc import Iterator

# Seven bits a byte: 64 bits take ten bytes, and a longer varint is malformed.
_VARINT_BYTES = 10
_GROUP_START, _GROUP_END = 3, 4
# The depth at which upb gives up.
_GROUP_DEPTH = 100


class MalformedFields(ValueError):
    """The bytes are not a protobuf message."""


def length_delimited(
    data: bytes, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and stop of each length-delimited field of data[start:stop], in order.

    Fields of nested messages and of groups are skipped. Raises MalformedFields on reaching bytes
    that cannot be parsed.
    """
    at, end = start, len(data) if stop is None else stop
    groups: list[int] = []
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise MalformedFields("a field number out of range")
        if kind == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise MalformedFields("truncated")
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
            raise MalformedFields("an unknown wire type")
    if at != end or groups:
        raise MalformedFields("truncated")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise MalformedFields("a varint of more than ten bytes, or truncated")
