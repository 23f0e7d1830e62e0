"""Check JSON requests against the contracts, in Envoy: the tables that json_requests.lua goes by.

Each binding of a method is a pattern of paths; each message that JSON may hold is a table of its
fields. Both come from the descriptors. A path whose binding the check does not find is not served,
so that nothing reaches the transcoder unchecked (routes.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
)

from gateway.descriptors import Binding, Method
from services.runtime.status import ERROR_DOMAIN

# Of a call's metadata in Envoy: `checked`, `head`, and `refusal`, the JSON to answer with.
METADATA = "qagazsyz.json"
# Values and keys of one body: a batch of the largest size has a tenth.
TOKENS_LIMIT = 400_000
# As protobuf's own parsers have it.
DEPTH_LIMIT = 100
# No field of ours has a longer name.
KEY_LIMIT = 256
# Of a field's path, as much as an answer repeats.
FIELD_LIMIT = 200
# What Envoy's transcoder refuses wherever it stands in JSON.
SPOILED = "\\1"

# Messages whose JSON has a form of its own (ProtoJSON): not followed into.
FREE = frozenset(
    f".google.protobuf.{name}"
    for name in (
        *("Any", "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue"),
        *("BoolValue", "BytesValue", "StringValue", "DoubleValue", "FloatValue"),
        *("Int32Value", "Int64Value", "UInt32Value", "UInt64Value"),
    )
)
_VARIABLE = re.compile(r"\{([^=}]+)(?:=([^}]+))?\}")
_MAGIC = re.compile(r"([\^$()%.\[\]+\-?])")


def lua_source(
    contracts: FileDescriptorSet, methods: Iterable[Method], own: Iterable[str] = ()
) -> str:
    """Return the whole program of the filter.

    own: paths that the gateway answers itself, by GET.
    """
    messages = dict(_messages(contracts))
    enums = dict(_enums(contracts))
    bindings = [(method, one) for method in methods for one in method.bindings]
    reached = _reached(messages, {method.input_type for method, _ in bindings})
    tables = {
        "METADATA": METADATA,
        "TOKENS_LIMIT": TOKENS_LIMIT,
        "DEPTH_LIMIT": DEPTH_LIMIT,
        "KEY_LIMIT": KEY_LIMIT,
        "FIELD_LIMIT": FIELD_LIMIT,
        "ERROR_DOMAIN": ERROR_DOMAIN,
    }
    lines = [f"local {name} = {_lua(value)}" for name, value in tables.items()]
    lines.append(f'local SPOILED = "{SPOILED}"')
    lines.append(f"local OWN = {_lua(dict.fromkeys(own, True))}")
    lines.append("local MESSAGES, BINDINGS = {}, {}")
    lines += [f"MESSAGES[{_lua(name)}] = {{}}" for name in reached]
    for name in reached:
        for field in messages[name].field:
            names = "".join(
                f"MESSAGES[{_lua(name)}][{_lua(one)}] = field; "
                for one in sorted({field.name, field.json_name})
            )
            lines.append(f"do local field = {_lua(_field(field, messages, enums))}; {names}end")
    for method, binding in bindings:
        segments, table = _binding(method, binding, messages, enums)
        lines.append(f"BINDINGS[{segments}] = BINDINGS[{segments}] or {{}}")
        lines.append(f"table.insert(BINDINGS[{segments}], {_lua(table)})")
    program = files("gateway").joinpath("json_requests.lua").read_text()
    return "\n".join(lines) + "\n" + program


def pattern_of(template: str) -> str:
    """Return the Lua pattern of the paths that a template of google.api.http matches."""
    plain = _VARIABLE.sub(lambda found: found[2] or "*", template)
    escaped = _MAGIC.sub(r"%\1", plain)
    return "^" + escaped.replace("**", "\0").replace("*", "[^/]+").replace("\0", ".+") + "$"


def _binding(
    method: Method,
    binding: Binding,
    messages: Mapping[str, DescriptorProto],
    enums: Mapping[str, Sequence[str]],
) -> tuple[int, dict[str, Any]]:
    """Return how many segments the binding's paths have, 0 for any number, and its table."""
    plain = _VARIABLE.sub(lambda found: found[2] or "*", binding.template)
    segments = 0 if "**" in plain else plain.count("/")
    table: dict[str, Any] = {
        "verb": binding.verb,
        "pattern": pattern_of(binding.template),
        "rank": 2 if ":" in plain else 1,
        "message": method.input_type,
        "body": binding.body,
        "bound": {found[1]: True for found in _VARIABLE.finditer(binding.template)},
        "json": bool(binding.body) and not binding.raw,
        "batch": method.is_batch,
    }
    if binding.body not in ("", "*"):
        fields = {field.name: field for field in messages[method.input_type].field}
        table["field"] = _field(fields[binding.body], messages, enums)
    return segments, table


def _field(
    field: FieldDescriptorProto,
    messages: Mapping[str, DescriptorProto],
    enums: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return what the check has to know of a field."""
    table: dict[str, Any] = {"name": field.name}
    type_name = field.type_name if field.type == FieldDescriptorProto.TYPE_MESSAGE else ""
    entry = messages.get(type_name)
    if entry is not None and entry.options.map_entry:
        table["map"] = True
        value = entry.field[1]
        type_name = value.type_name if value.type == FieldDescriptorProto.TYPE_MESSAGE else ""
    elif field.label == FieldDescriptorProto.LABEL_REPEATED:
        table["repeated"] = True
    if type_name and type_name not in FREE:
        table["message"] = type_name
    elif field.type == FieldDescriptorProto.TYPE_BYTES:
        table["bytes"] = True
    elif field.type == FieldDescriptorProto.TYPE_ENUM and field.type_name in enums:
        table["enum"] = dict.fromkeys(enums[field.type_name], True)
    if field.HasField("oneof_index") and not field.proto3_optional:
        table["oneof"] = field.oneof_index
    return table


def _messages(contracts: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto]]:
    """Yield all messages by their full names, nested ones too."""

    def walk(prefix: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
        name = f"{prefix}.{message.name}"
        yield name, message
        for nested in message.nested_type:
            yield from walk(name, nested)

    for file in contracts.file:
        for message in file.message_type:
            yield from walk(f".{file.package}", message)


def _enums(contracts: FileDescriptorSet) -> Iterator[tuple[str, list[str]]]:
    """Yield the names of all enums that stand in no message, with those of their values."""
    for file in contracts.file:
        for enum in file.enum_type:
            yield f".{file.package}.{enum.name}", [value.name for value in enum.value]


def _reached(messages: Mapping[str, DescriptorProto], roots: set[str]) -> list[str]:
    """Return the names of the messages that these may hold, themselves included."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name in FREE:
            continue
        found.add(name)
        for field in messages[name].field:
            inner = _field(field, messages, {}).get("message")
            if inner is not None:
                waiting.append(inner)
    return sorted(found)


def _lua(value: object) -> str:
    """Return a value as a Lua literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{_lua(key)}] = {_lua(one)}" for key, one in value.items()) + "}"
    raise TypeError(type(value).__name__)
