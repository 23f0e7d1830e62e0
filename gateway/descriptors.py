"""Read the contracts' methods, their HTTP routes and their access options from the descriptors.

Everything comes from the descriptor set that the build of the stubs leaves in the client package,
so that a method added to a .proto is served, guarded and documented without a change here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from qagazsyz.common.v1 import access_pb2, bounds_pb2
from services.runtime.intake.message_bounds import request_limit_of

# Our services are in packages qagazsyz.{domain}.v1, each served by the process of its domain.
PACKAGE_PREFIX = "qagazsyz."
# Served to the platform's own services only, which call it past the gateway.
INTERNAL_PACKAGES = ("qagazsyz.messaging.",)
HTTP_BODY = ".google.api.HttpBody"
VERBS = ("get", "put", "post", "delete", "patch")

# Methods that are safe (RFC 9110, section 9.2.1) though their route is a POST, because their
# request is long or must not stand in an address.
SAFE_POSTS = frozenset(
    {
        "qagazsyz.identity.v1.CertificateService.BatchCheckCertificates",
        "qagazsyz.identity.v1.CertificateService.InspectCertificates",
        "qagazsyz.identity.v1.CertificateService.VerifyTimeStamps",
        "qagazsyz.identity.v1.SubjectService.BatchGetMemberships",
        "qagazsyz.identity.v1.SubjectService.BatchGetSubjects",
        "qagazsyz.identity.v1.SubjectService.ResolveSubjects",
        "qagazsyz.registry.v1.DocumentService.CheckDocument",
        "qagazsyz.signing.v1.VerificationService.BatchVerify",
        "qagazsyz.signing.v1.VerificationService.Verify",
    }
)
# Methods that are not safe though their route is a GET: each download leaves an access record.
GETS_THAT_LEAVE_A_RECORD = frozenset({"qagazsyz.registry.v1.DocumentService.DownloadDocument"})


class MissingAccessOption(ValueError):
    """A method has no access option, so that no configuration is made of the contracts."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One JSON route of a method, as google.api.http gives it."""

    verb: str  # "GET"
    template: str  # "/v1/{name=subjects/*}"
    body: str  # "", "*" or a field's name
    raw: bool = False  # the body is not JSON but the bytes of an HttpBody


@dataclass(frozen=True, slots=True)
class Method:
    """One method of one service."""

    domain: str  # "identity": the process that serves it
    service: str  # "qagazsyz.identity.v1.TokenService"
    name: str  # "CreateChallenge"
    open: bool
    roles: tuple[int, ...]
    bindings: tuple[Binding, ...]
    streams: bool
    input_type: str  # ".qagazsyz.identity.v1.CreateChallengeRequest"
    output_type: str
    max_request_bytes: int
    comment: str  # as it stands in the .proto, without the slashes

    @property
    def full_name(self) -> str:
        return f"{self.service}.{self.name}"

    @property
    def path(self) -> str:
        """The path of native calls, and of JSON calls once they are transcoded."""
        return f"/{self.service}/{self.name}"

    @property
    def is_safe(self) -> bool:
        """Whether the method is safe (RFC 9110, section 9.2.1): it reads only, so it may be
        retried."""
        reads = any(binding.verb == "GET" for binding in self.bindings)
        return self.full_name in SAFE_POSTS or (
            reads and self.full_name not in GETS_THAT_LEAVE_A_RECORD
        )

    @property
    def takes_json(self) -> bool:
        """Whether it takes a JSON body."""
        return any(binding.body and not binding.raw for binding in self.bindings)

    @property
    def is_download(self) -> bool:
        """Whether it answers with raw bytes of any number: a document's content."""
        return self.output_type == HTTP_BODY and not self.open

    @property
    def is_batch(self) -> bool:
        return self.name.startswith("Batch")


# Options that a descriptor set's parser does not know when it is parsed are lost.
OPTIONS = (annotations_pb2, field_behavior_pb2, access_pb2, bounds_pb2)


@cache
def load() -> FileDescriptorSet:
    """Load the descriptor set of all contracts, with comments and all imports."""
    return FileDescriptorSet.FromString((files("qagazsyz") / "contracts.desc").read_bytes())


def without_comments(contracts: FileDescriptorSet) -> bytes:
    """Serialize the descriptor set without comments, to a third of its size, for Envoy."""
    bare = FileDescriptorSet()
    bare.CopyFrom(contracts)
    for file in bare.file:
        file.ClearField("source_code_info")
    return bare.SerializeToString()


def methods(contracts: FileDescriptorSet) -> tuple[Method, ...]:
    """Return all methods that the gateway serves, sorted by path. Raises MissingAccessOption."""
    found = []
    fields = {
        f".{file.package}.{message.name}.{field.name}": field.type_name
        for file in contracts.file
        for message in file.message_type
        for field in message.field
    }
    for file in contracts.file:
        if not file.package.startswith(PACKAGE_PREFIX):
            continue
        if file.package.startswith(INTERNAL_PACKAGES):
            continue
        comments = {
            tuple(location.path): location.leading_comments
            for location in file.source_code_info.location
        }
        for s, service in enumerate(file.service):
            for m, method in enumerate(service.method):
                full = f"{file.package}.{service.name}"
                found.append(_method(full, method, comments.get((6, s, 2, m), ""), fields))
    return tuple(sorted(found, key=lambda method: method.path))


def domains(all_methods: Iterable[Method]) -> tuple[str, ...]:
    """Return the names of the processes behind the gateway."""
    return tuple(sorted({method.domain for method in all_methods}))


def _method(
    service: str, method: MethodDescriptorProto, comment: str, fields: Mapping[str, str]
) -> Method:
    # The type stubs of protoc do not say what type an extension has.
    access: Any = access_pb2.access
    if not method.options.HasExtension(access):
        raise MissingAccessOption(f"{service}.{method.name} does not say who may call it")
    rule: access_pb2.AccessRule = method.options.Extensions[access]
    return Method(
        domain=service.split(".")[1],
        service=service,
        name=method.name,
        open=rule.open,
        roles=tuple(rule.roles),
        bindings=_bindings(method, fields),
        streams=method.client_streaming or method.server_streaming,
        input_type=method.input_type,
        output_type=method.output_type,
        max_request_bytes=request_limit_of(method.options, is_open=rule.open),
        comment=comment,
    )


def _bindings(method: MethodDescriptorProto, fields: Mapping[str, str]) -> tuple[Binding, ...]:
    option: Any = annotations_pb2.http
    if not method.options.HasExtension(option):
        return ()
    rule: http_pb2.HttpRule = method.options.Extensions[option]
    found = []
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb not in VERBS:
            raise ValueError(f"{method.name}: a custom HTTP verb is not served")
        found.append(
            Binding(
                verb=verb.upper(),
                template=getattr(one, verb),
                body=one.body,
                raw=fields.get(f"{method.input_type}.{one.body}") == HTTP_BODY,
            )
        )
    return tuple(found)
