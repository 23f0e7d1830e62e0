"""The services below requests, in this process: who exists, which types there are, and a registry
that keeps what it is asked for. Signatures are real, and are verified."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from qagazsyz.credentials import Credential
from services.requests.model.public_services import PublicService
from services.requests.model.service_requests import ServiceRequest
from services.requests.public_services.interface import (
    DocumentType,
    SignatureParts,
    SubjectKind,
    VerificationStatus,
)
from services.requests.service_requests.interface import FoundEvidence
from services.requests.service_requests.store import Event
from services.runtime.clock import Clock
from services.runtime.errors import Unavailable
from services.runtime.server import Call
from signatures.x509 import is_signed_by_certificate
from tests.builders import self_signed_credential


def new_subject() -> str:
    return f"subjects/{uuid.uuid4()}"


@dataclass
class Platform:
    """Identity, signing and the registry, as the requests service sees them."""

    clock: Clock
    kinds: dict[str, SubjectKind] = field(default_factory=dict)
    credentials: dict[str, Credential] = field(default_factory=dict)
    types: dict[str, DocumentType] = field(default_factory=dict)
    # What is in force, by person and type.
    documents: dict[tuple[str, str], str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    # By request and number.
    log: dict[tuple[str, int], bytes] = field(default_factory=dict)
    looked_up: list[tuple[str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    is_away: bool = False
    cannot_seal: bool = False

    def person(self) -> str:
        """Enrol a person who can sign."""
        name = new_subject()
        self.kinds[name] = SubjectKind.PERSON
        self.credentials[name] = self_signed_credential()
        return name

    def organization(self) -> str:
        name = new_subject()
        self.kinds[name] = SubjectKind.ORGANIZATION
        return name

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        return {name: self.kinds[name] for name in names if name in self.kinds}

    async def find_type(self, name: str, during: Call | None) -> DocumentType | None:
        return self.types.get(name)

    async def verify(
        self, text: bytes, signature: SignatureParts, during: Call | None
    ) -> tuple[VerificationStatus, str]:
        self._check_is_there()
        if not is_signed_by_certificate(
            signature.certificate, signature.algorithm, text, signature.signature
        ):
            return VerificationStatus.FAILED, ""
        signers = [
            name
            for name, each in self.credentials.items()
            if each.certificate == signature.certificate
        ]
        return VerificationStatus.PASSED, signers[0] if signers else ""

    async def end_mandates(
        self, public_service: str, provider: str, during: Call | None
    ) -> datetime:
        self._check_is_there()
        self.ended.append(public_service)
        return self.clock()

    async def look_up(
        self, service: PublicService, request: ServiceRequest, index: int, during: Call | None
    ) -> FoundEvidence:
        self._check_is_there()
        document_type = service.evidence[index].document_type
        self.looked_up.append((request.name, document_type))
        found = self.documents.get((request.applicant, document_type), "")
        return FoundEvidence(f"accesses/{len(self.looked_up)}", found)

    async def register(
        self, service: PublicService, request: ServiceRequest, during: Call | None
    ) -> str:
        self._check_is_there()
        if self.cannot_seal:
            raise Unavailable("a part of the platform cannot be reached")
        return self.outputs.setdefault(request.name, f"documents/{uuid.uuid4()}")

    async def is_output(
        self, service: PublicService, request: ServiceRequest, document: str, during: Call | None
    ) -> bool:
        return self.documents.get((request.applicant, service.output)) == document

    async def append(
        self, service: PublicService | None, request: ServiceRequest, event: Event
    ) -> int:
        self._check_is_there()
        key = (request.name, event.revision)
        assert event.revision == 1 or (request.name, event.revision - 1) in self.log
        assert self.log.setdefault(key, event.change) == event.change
        return list(self.log).index(key)

    def _check_is_there(self) -> None:
        if self.is_away:
            raise Unavailable("a part of the platform cannot be reached")
