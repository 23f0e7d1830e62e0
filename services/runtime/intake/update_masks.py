"""Read an update's mask (AIP-134): which fields of a resource change.

Without a mask the fields that are set change; `*` replaces all that can change; a path stands for
the fields below it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from services.runtime.errors import InvalidArgument

ALL = "*"


def covers(paths: Collection[str], path: str) -> bool:
    """Return whether a mask of these paths names the path, or one above it."""
    return any(each in (ALL, path) or path.startswith(f"{each}.") for each in paths)


def changed_paths(resource: Message, mask: FieldMask, *, updatable: Sequence[str]) -> list[str]:
    """Return which of the updatable paths the update changes, in the order of `updatable`.

    updatable: paths of the resource that may change, "person.given_name".
    Raises InvalidArgument for a path that the resource does not have, or that never changes.
    """
    if not mask.paths:
        return [path for path in updatable if _is_set(resource, path)]
    for index, path in enumerate(mask.paths):
        where = f"update_mask.paths[{index}]"
        if path == ALL and len(mask.paths) > 1:
            raise InvalidArgument(where, "* stands alone")
        if path == ALL or any(covers([path], one) for one in updatable):
            continue
        if _exists(resource.DESCRIPTOR, path):
            raise InvalidArgument(where, f"{path} cannot be changed")
        raise InvalidArgument(where, f"{path!a} is no field of {resource.DESCRIPTOR.name}")
    return [path for path in updatable if covers(mask.paths, path)]


def _is_set(message: Message, path: str) -> bool:
    name, _, below = path.partition(".")
    value = next((value for field, value in message.ListFields() if field.name == name), None)
    return value is not None and (not below or _is_set(value, below))


def _exists(message: Any, path: str) -> bool:
    """message: a Descriptor, of which protobuf has two types, or None."""
    name, dot, below = path.partition(".")
    field = message.fields_by_name.get(name) if message is not None else None
    if field is None:
        return False
    return not dot or _exists(None if field.is_repeated else field.message_type, below)
