"""The contracts as the gateway sees them: methods, their routes, and who may call them.

Everything here is read from the descriptor set that the stubs' build leaves in the client
package, so that a method added to a .proto is served, guarded and documented with no change here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from qagazsyz.common.v1 import access_pb2
from services.runtime.message_bounds import request_limit_of

# Every service of ours is in the package qagazsyz.{domain}.v1, and the domain's process serves it.
PACKAGE_PREFIX = "qagazsyz."
HTTP_BODY = ".google.api.HttpBody"
VERBS = ("get", "put", "post", "delete", "patch")

# Questions that a POST asks because they are long or must not stand in an address: asked again,
# they change nothing.
QUESTIONS_BY_POST = frozenset(
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
# Each download leaves an access record, GET though it is.
GETS_THAT_LEAVE_A_RECORD = frozenset({"qagazsyz.registry.v1.DocumentService.DownloadDocument"})


class MissingAccessOption(ValueError):
    """A method that does not say who may call it; no configuration is made with it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One JSON route of a method, as google.api.http gives it."""

    verb: str  # "GET"
    template: str  # "/v1/{name=subjects/*}"
    body: str  # "", "*" or a field's name
    raw: bool = False  # the body is no JSON but the bytes of an HttpBody


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
        """The path of its native calls, and of JSON calls once they are transcoded."""
        return f"/{self.service}/{self.name}"

    @property
    def is_question(self) -> bool:
        """Whether calling it twice is as good as once and leaves nothing behind."""
        reads = any(binding.verb == "GET" for binding in self.bindings)
        return self.full_name in QUESTIONS_BY_POST or (
            reads and self.full_name not in GETS_THAT_LEAVE_A_RECORD
        )

    @property
    def takes_json(self) -> bool:
        """Whether a JSON body can come with it."""
        return any(binding.body and not binding.raw for binding in self.bindings)

    @property
    def is_download(self) -> bool:
        """Whether it answers raw bytes of which nobody knows how many: a document's."""
        return self.output_type == HTTP_BODY and not self.open

    @property
    def is_batch(self) -> bool:
        return self.name.startswith("Batch")


@cache
def load() -> FileDescriptorSet:
    """The descriptor set of all contracts, with comments and everything they import."""
    return FileDescriptorSet.FromString((files("qagazsyz") / "contracts.desc").read_bytes())


def without_comments(contracts: FileDescriptorSet) -> bytes:
    """The descriptor set as Envoy needs it, serialized: comments make it three times as long."""
    bare = FileDescriptorSet()
    bare.CopyFrom(contracts)
    for file in bare.file:
        file.ClearField("source_code_info")
    return bare.SerializeToString()


def methods(contracts: FileDescriptorSet) -> tuple[Method, ...]:
    """Every method of ours, by path. Raises MissingAccessOption for one without the option."""
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
    """The processes behind the gateway, by name."""
    return tuple(sorted({method.domain for method in all_methods}))


def _method(
    service: str, method: MethodDescriptorProto, comment: str, fields: Mapping[str, str]
) -> Method:
    # protoc's own type stubs say less of extensions than they are.
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
