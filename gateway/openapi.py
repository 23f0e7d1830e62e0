"""The JSON interface as an OpenAPI 3.1 document, made from the contracts.

Schemas follow the JSON mapping of proto3 (64-bit numbers as strings, bytes in base64, enums by
name), and a method's security is its access option. Summaries and descriptions are the contracts'
comments, which the descriptor set carries as source info; descriptions are Markdown (CommonMark).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from gateway.descriptors import HTTP_BODY, Binding, Method, methods
from qagazsyz.common.v1 import access_pb2, bounds_pb2

Json = dict[str, Any]

STATUS = ".google.rpc.Status"
TITLE = "Qagazsyz"
VERSION = "v1"
# Its first comment lists the statuses that any method may return.
STATUSES_FILE = "qagazsyz/common/v1/access.proto"
INTRODUCTION = (
    "Documents that organizations issue about people, signed, kept and looked up so that nobody "
    "carries paper. Every method is also served as gRPC and gRPC-Web on the same port. "
    "Errors are google.rpc.Status; numbers of 64 bits are strings, bytes are base64."
)

# Paths of comments (SourceCodeInfo.Location) are made of the numbers of descriptor.proto's fields.
_MESSAGE, _ENUM, _SERVICE, _SYNTAX = 4, 5, 6, 12
_FIELD, _NESTED_MESSAGE, _NESTED_ENUM, _ONEOF = 2, 3, 4, 8
_VALUE = 2

# A variable of google.api.http: {name}, {name=subjects/*} or {path=**}.
_VARIABLE = re.compile(r"\{([a-z_.]+)(?:=([^}]+))?\}")
# A parameter in a path of OpenAPI: {subject}.
_PARAMETER = re.compile(r"\{([^}]+)\}")

_SCALARS: dict[int, Json] = {
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptorProto.TYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptorProto.TYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "format": "uint32", "minimum": 0},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
# Messages that JSON writes in a way of their own.
_WELL_KNOWN: dict[str, Json] = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    ".google.protobuf.FieldMask": {
        "type": "string",
        "description": "Names of fields, with commas.",
    },
    ".google.protobuf.Any": {
        "type": "object",
        "properties": {
            "@type": {
                "type": "string",
                "description": "Type of the message: `type.googleapis.com/{full name}`.",
            }
        },
        "additionalProperties": True,
    },
    # Whatever bytes: no type of JSON's describes them.
    HTTP_BODY: {"contentMediaType": "application/octet-stream"},
}


T = TypeVar("T", DescriptorProto, EnumDescriptorProto)


@dataclass(frozen=True, slots=True)
class _Type(Generic[T]):
    """A message or an enum, and where its comments are."""

    descriptor: T
    path: tuple[int, ...]
    comments: dict[tuple[int, ...], str]

    def comment(self, *below: int) -> str:
        return self.comments.get(self.path + below, "")


def dumps(contracts: FileDescriptorSet) -> bytes:
    """The document as it is served."""
    return json.dumps(document(contracts), ensure_ascii=False, separators=(",", ":")).encode()


def document(contracts: FileDescriptorSet) -> Json:
    """The document as Python objects."""
    return _Writer(contracts).document()


class _Writer:
    """Writes paths, and the schemas that they turn out to need."""

    def __init__(self, contracts: FileDescriptorSet) -> None:
        self._methods = methods(contracts)
        self._messages: dict[str, _Type[DescriptorProto]] = {}
        self._enums: dict[str, _Type[EnumDescriptorProto]] = {}
        for file in contracts.file:
            self._read(file)
        self._services = {
            f"{file.package}.{service.name}": markdown(_comments(file).get((_SERVICE, index), ""))
            for file in contracts.file
            for index, service in enumerate(file.service)
        }
        self._statuses = next(
            markdown(_comments(file).get((_SYNTAX,), ""))
            for file in contracts.file
            if file.name == STATUSES_FILE
        )
        self._schemas: dict[str, Json] = {}

    def _read(self, file: FileDescriptorProto) -> None:
        comments = _comments(file)
        prefix = f".{file.package}"
        for index, enum in enumerate(file.enum_type):
            self._enums[f"{prefix}.{enum.name}"] = _Type(enum, (_ENUM, index), comments)
        for index, message in enumerate(file.message_type):
            self._read_message(prefix, _Type(message, (_MESSAGE, index), comments))

    def _read_message(self, prefix: str, found: _Type[DescriptorProto]) -> None:
        name = f"{prefix}.{found.descriptor.name}"
        self._messages[name] = found
        for index, enum in enumerate(found.descriptor.enum_type):
            path = (*found.path, _NESTED_ENUM, index)
            self._enums[f"{name}.{enum.name}"] = _Type(enum, path, found.comments)
        for index, nested in enumerate(found.descriptor.nested_type):
            path = (*found.path, _NESTED_MESSAGE, index)
            self._read_message(name, _Type(nested, path, found.comments))

    def document(self) -> Json:
        paths: Json = {}
        for method in self._methods:
            for index, binding in enumerate(method.bindings):
                path = path_of(binding.template)
                paths.setdefault(path, {})[binding.verb.lower()] = self._operation(
                    method, binding, index
                )
        self._reference(STATUS)
        served = sorted({method.service for method in self._methods if method.bindings})
        return {
            "openapi": "3.1.0",
            "info": {
                "title": TITLE,
                "version": VERSION,
                "description": _paragraphs(INTRODUCTION, self._statuses),
            },
            "servers": [{"url": "/"}],
            "tags": [
                {"name": service.split(".")[-1], "description": self._services[service]}
                for service in served
            ],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "An access token of TokenService.ExchangeToken.",
                    }
                },
            },
        }

    def _operation(self, method: Method, binding: Binding, index: int) -> Json:
        service = method.service.split(".")[-1]
        summary, rest = _first_sentence(markdown(method.comment))
        operation: Json = {
            "operationId": f"{service}.{method.name}" + (f".{index + 1}" if index else ""),
            "tags": [service],
            "summary": summary,
            "description": _paragraphs(
                rest,
                f"A request has at most {_size(method.max_request_bytes)}.",
                _access(method),
            ),
            # The empty requirement says that a token may be left out.
            "security": [{}, {"token": []}] if method.open else [{"token": []}],
            "parameters": [
                *self._path_parameters(method, binding),
                *self._query_parameters(method, binding),
            ],
            "responses": {
                "200": {"description": "Done.", "content": self._content(method.output_type)},
                "default": {
                    "description": "Refused or failed.",
                    "content": {"application/json": {"schema": self._reference(STATUS)}},
                },
            },
        }
        if binding.body == "*":
            schema = self._without_path(method, binding)
            named = self._schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
            content = {"application/json": {"schema": schema}}
            operation["requestBody"] = {
                "required": bool(named.get("required")),
                "content": content,
            }
        elif binding.body:
            request = self._messages[method.input_type].descriptor
            body = next(field for field in request.field if field.name == binding.body)
            operation["requestBody"] = {
                "required": _demands(body, field_behavior_pb2.REQUIRED),
                "content": self._content(body.type_name),
            }
            if text := self._comment_at(method.input_type, binding.body):
                operation["requestBody"]["description"] = text
        return operation

    def _content(self, type_name: str) -> Json:
        if type_name == HTTP_BODY:
            return {"*/*": {"schema": _WELL_KNOWN[HTTP_BODY]}}
        return {"application/json": {"schema": self._reference(type_name)}}

    def _path_parameters(self, method: Method, binding: Binding) -> Iterator[Json]:
        for field, pattern in _VARIABLE.findall(binding.template):
            expanded = _expanded(field, pattern or None)
            for name in _PARAMETER.findall(expanded):
                parameter: Json = {
                    "name": name,
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string"},
                }
                # Of a field that is more than the parameter, say which part it is.
                part = "" if pattern in ("", "**") else f"`{{{name}}}` in `{expanded}`."
                if text := _paragraphs(part, self._comment_at(method.input_type, field)):
                    parameter["description"] = text
                yield parameter

    def _comment_at(self, type_name: str, path: str) -> str:
        """Return the comment of a field of the message, by a path such as "subject.name"."""
        name, _, rest = path.partition(".")
        message = self._messages[type_name]
        fields = message.descriptor.field
        index = next(index for index, field in enumerate(fields) if field.name == name)
        if rest:
            return self._comment_at(fields[index].type_name, rest)
        return markdown(message.comment(_FIELD, index))

    def _query_parameters(self, method: Method, binding: Binding) -> Iterator[Json]:
        if binding.body == "*":
            return
        request = self._messages[method.input_type]
        in_path = _variables(binding)
        for index, field in enumerate(request.descriptor.field):
            if field.name == binding.body or field.name in in_path:
                continue
            parameter = {
                "name": field.json_name,
                "in": "query",
                "required": _demands(field, field_behavior_pb2.REQUIRED),
                "schema": self._schema(field),
            }
            if text := markdown(request.comment(_FIELD, index)):
                parameter["description"] = text
            yield parameter

    def _without_path(self, method: Method, binding: Binding) -> Json:
        """The request's schema but for what the path says already."""
        in_path = _variables(binding)
        if not in_path:
            return self._reference(method.input_type)
        found = self._messages[method.input_type]
        schema = self._message(found)
        left = {field.json_name for field in found.descriptor.field if field.name not in in_path}
        schema["properties"] = {
            name: one for name, one in schema["properties"].items() if name in left
        }
        schema["required"] = [name for name in schema.get("required", []) if name in left]
        return schema

    def _reference(self, type_name: str) -> Json:
        """A reference to the type's schema, which is written if it is not yet."""
        if type_name in _WELL_KNOWN:
            return _WELL_KNOWN[type_name]
        name = type_name.lstrip(".")
        if name not in self._schemas:
            self._schemas[name] = {}  # a message may contain itself
            if enum := self._enums.get(type_name):
                self._schemas[name] = _enum(enum)
            else:
                self._schemas[name] = self._message(self._messages[type_name])
        return {"$ref": f"#/components/schemas/{name}"}

    def _message(self, found: _Type[DescriptorProto]) -> Json:
        message = found.descriptor
        properties: Json = {}
        required = []
        for index, field in enumerate(message.field):
            notes: Json = {}
            text = markdown(found.comment(_FIELD, index))
            if field.HasField("oneof_index") and not field.proto3_optional:
                one_of = message.oneof_decl[field.oneof_index].name
                of_all = markdown(found.comment(_ONEOF, field.oneof_index))
                text = _paragraphs(text, f"At most one of `{one_of}` is set. {of_all}".strip())
            if text:
                notes["description"] = text
            if _demands(field, field_behavior_pb2.OUTPUT_ONLY):
                notes["readOnly"] = True
            if _demands(field, field_behavior_pb2.REQUIRED):
                required.append(field.json_name)
            properties[field.json_name] = self._schema(field) | notes
        schema: Json = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        if text := markdown(found.comment()):
            schema["description"] = text
        return schema

    def _schema(self, field: FieldDescriptorProto) -> Json:
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            most = bounds_of(field).max_items
            entry = self._messages.get(field.type_name)
            if entry and entry.descriptor.options.map_entry:
                value = self._schema(entry.descriptor.field[1])
                schema: Json = {"type": "object", "additionalProperties": value}
                return schema | ({"maxProperties": most} if most else {})
            schema = {"type": "array", "items": self._single(field)}
            return schema | ({"maxItems": most} if most else {})
        return self._single(field)

    def _single(self, field: FieldDescriptorProto) -> Json:
        if field.type_name:
            return self._reference(field.type_name)
        schema: Json = dict(_SCALARS[field.type])
        if most := bounds_of(field).max_bytes:
            # Four characters of base64 for three bytes; no character is less than a byte.
            is_bytes = field.type == FieldDescriptorProto.TYPE_BYTES
            schema["maxLength"] = (most + 2) // 3 * 4 if is_bytes else most
        return schema


def path_of(template: str) -> str:
    """A google.api.http template as an OpenAPI path: "/v1/{name=keys/*}:sign" as
    "/v1/keys/{key}:sign", because no parameter of OpenAPI holds a slash."""
    return _VARIABLE.sub(lambda match: _expanded(match[1], match[2]), template)


def _expanded(name: str, pattern: str | None) -> str:
    if pattern is None or pattern == "**":
        return f"{{{name}}}"
    segments = pattern.split("/")
    return "/".join(
        f"{{{_singular(segments[index - 1])}}}" if segment == "*" else segment
        for index, segment in enumerate(segments)
    )


def _singular(collection: str) -> str:
    return collection[:-2] if collection.endswith("sses") else collection.removesuffix("s")


def _variables(binding: Binding) -> set[str]:
    """The request's fields that the path says."""
    return {name.split(".")[0] for name, _ in _VARIABLE.findall(binding.template)}


def _enum(found: _Type[EnumDescriptorProto]) -> Json:
    meanings = [
        f"- `{value.name}`: {text}"
        for index, value in enumerate(found.descriptor.value)
        if (text := markdown(found.comment(_VALUE, index)))
    ]
    schema: Json = {"type": "string", "enum": [value.name for value in found.descriptor.value]}
    if text := _paragraphs(markdown(found.comment()), "\n".join(meanings)):
        schema["description"] = text
    return schema


def _access(method: Method) -> str:
    if method.open:
        return "Open to everyone."
    roles = [access_pb2.Role.Name(role).removeprefix("ROLE_") for role in method.roles]
    return "Any signed-in caller." if roles == ["ANY"] else f"For: {', '.join(roles)}."


def bounds_of(field: FieldDescriptorProto) -> bounds_pb2.FieldBounds:
    """Return the field's bounds, 0 for those that the contract does not state."""
    # protoc's own type stubs say less of extensions than they are.
    extension: Any = bounds_pb2.bounds
    bounds: bounds_pb2.FieldBounds = field.options.Extensions[extension]
    return bounds


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size % (1 << 20) == 0 else f"{size >> 10} KiB"


def _demands(field: FieldDescriptorProto, behavior: int) -> bool:
    # protoc's own type stubs say less of extensions than they are.
    extension: Any = field_behavior_pb2.field_behavior
    return behavior in field.options.Extensions[extension]


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {
        tuple(location.path): location.leading_comments
        for location in file.source_code_info.location
        if location.leading_comments
    }


def markdown(comment: str) -> str:
    """Return the comment as Markdown: its lines joined to paragraphs and list items."""
    paragraphs: list[list[str]] = [[]]
    for line in map(str.strip, comment.split("\n")):
        if not line:
            paragraphs.append([])
        elif line.startswith(("- ", "* ")) or not paragraphs[-1]:
            paragraphs[-1].append(line)
        else:
            paragraphs[-1][-1] += f" {line}"
    return _paragraphs(*("\n".join(lines) for lines in paragraphs))


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _first_sentence(text: str) -> tuple[str, str]:
    """Return the text's first sentence, and what follows it."""
    first, _, others = text.partition("\n\n")
    sentence, stop, rest = first.partition(". ")
    return sentence + stop.rstrip(), _paragraphs(rest, others)
