"""Identity, signing and the registry as the requests service calls them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import cast

import grpc
from cachetools import TTLCache
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import certificates_pb2 as identity_certificates
from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.registry.v1 import delegated_pb2, documents_pb2
from qagazsyz.signing.v1 import keys_pb2, verification_pb2
from services.requests.model.public_services import PublicService
from services.requests.model.service_requests import Proof, ServiceRequest
from services.requests.model.statements import mandate
from services.requests.model.templates import AttributeKind, OutputAttribute
from services.requests.public_services.interface import (
    DocumentType,
    SignatureParts,
    SubjectKind,
    VerificationStatus,
)
from services.requests.service_requests.interface import FoundEvidence
from services.requests.service_requests.store import Event
from services.runtime.clients import ServiceClient
from services.runtime.clock import Clock, from_timestamp
from services.runtime.errors import FailedPrecondition
from services.runtime.server import Call

DELEGATED = "qagazsyz.registry.v1.DelegatedService"
# What the registry or signing refuses for a reason that the caller is told; anything else is a
# defect of ours.
_REFUSALS = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.NOT_FOUND,
    }
)
_VERDICT_VALID = signatures_pb2.VERDICT_VALID
_VERDICT_INDETERMINATE = signatures_pb2.VERDICT_INDETERMINATE
# The language that a document made by rule has its type's name in.
LANGUAGE = "kk"
# Providers' keys are a few hundred; a certificate that was revoked is used so long at most, and the
# registry refuses it.
CACHED_CERTIFICATES = 1_000
CERTIFICATE_SECONDS = 30.0
PAGE_SIZE = 1_000


@contextmanager
def refusals(reason: str, message: str) -> Iterator[None]:
    """Raise FailedPrecondition where the other service refuses on purpose."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() not in _REFUSALS:
            raise
        raise FailedPrecondition(reason, message) from None


class IdentityClient:
    """Finds subjects by identity's batch method."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    async def find_subjects(
        self, names: Collection[str], during: Call | None
    ) -> Mapping[str, SubjectKind]:
        """Return those of the names that exist. Raises Unavailable or DeadlineExceeded."""
        response = await self._identity.call(
            "qagazsyz.identity.v1.SubjectService/BatchGetSubjects",
            subjects_pb2.BatchGetSubjectsRequest(names=sorted(names)),
            subjects_pb2.BatchGetSubjectsResponse,
            during,
        )
        return {
            each.name: SubjectKind.PERSON if each.HasField("person") else SubjectKind.ORGANIZATION
            for each in response.subjects
            if each.name
        }


class SigningClient:
    """Verifies by signing."""

    def __init__(self, signing: ServiceClient) -> None:
        self._signing = signing

    async def verify(
        self, text: bytes, signature: SignatureParts, during: Call | None
    ) -> tuple[VerificationStatus, str]:
        """Return the outcome, and whose certificate signed. Raises Unavailable or
        DeadlineExceeded."""
        response = await self._signing.call(
            "qagazsyz.signing.v1.VerificationService/Verify",
            verification_pb2.VerifyRequest(
                signer=verification_pb2.Signer(certificate=signature.certificate),
                item=verification_pb2.SignedItem(
                    algorithm=cast("signatures_pb2.SignatureAlgorithm", signature.algorithm),
                    message=text,
                    signature=signature.signature,
                ),
                trust_policy=verification_pb2.TRUST_POLICY_CERTIFICATE,
            ),
            verification_pb2.VerifyResponse,
            during,
        )
        if response.verdict == _VERDICT_INDETERMINATE:
            return VerificationStatus.INDETERMINATE, ""
        if response.verdict != _VERDICT_VALID:
            return VerificationStatus.FAILED, ""
        return VerificationStatus.PASSED, response.signer.subject


class SealCertificates:
    """Finds the certificates of providers' managed keys; remembered for a moment, because a service
    decided by rule needs its own with every request."""

    def __init__(self, signing: ServiceClient, identity: ServiceClient, clock: Clock) -> None:
        self._signing = signing
        self._identity = identity
        self._clock = clock
        self._found: TTLCache[str, bytes] = TTLCache(CACHED_CERTIFICATES, CERTIFICATE_SECONDS)

    async def find(self, service: PublicService, during: Call | None) -> bytes:
        """Return the newest valid certificate of the primary version of the service's key. Raises
        FailedPrecondition without one."""
        found: bytes | None = self._found.get(service.key)
        if found is None:
            found = await self._search(service, during)
            self._found[service.key] = found
        return found

    def forget(self, service: PublicService) -> None:
        """Look for the service's certificate again: its key may have another version."""
        self._found.pop(service.key, None)

    async def _search(self, service: PublicService, during: Call | None) -> bytes:
        key = await self._signing.call(
            "qagazsyz.signing.v1.KeyService/GetKey",
            keys_pb2.GetKeyRequest(name=service.key),
            keys_pb2.Key,
            during,
        )
        public_keys = [each.public_key for each in key.versions if each.name == key.primary_version]
        valid: list[tuple[datetime, bytes]] = []
        request = identity_certificates.ListCertificatesRequest(
            subject=service.provider, page_size=PAGE_SIZE
        )
        while True:
            page = await self._identity.call(
                "qagazsyz.identity.v1.CertificateService/ListCertificates",
                request,
                identity_certificates.ListCertificatesResponse,
                during,
            )
            valid += [
                (from_timestamp(each.not_before), each.der)
                for each in page.certificates
                if _public_key_of(each.der) in public_keys
                and not each.HasField("revoke_time")
                and self._clock() <= from_timestamp(each.not_after)
            ]
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        if not valid:
            raise FailedPrecondition("NO_CERTIFICATE", "the provider's key has no certificate")
        return max(valid)[1]


class RegistryClient:
    """Document types, and what the registry does on behalf of applicants and providers."""

    def __init__(
        self, registry: ServiceClient, certificates: SealCertificates, platform: str
    ) -> None:
        """platform: the platform's name in mandates."""
        self._registry = registry
        self._certificates = certificates
        self._platform = platform

    async def find_type(self, name: str, during: Call | None) -> DocumentType | None:
        """Return the type of that name, or None. Raises Unavailable or DeadlineExceeded."""
        try:
            found = await self._registry.call(
                "qagazsyz.registry.v1.DocumentService/GetDocumentType",
                documents_pb2.GetDocumentTypeRequest(name=name),
                documents_pb2.DocumentType,
                during,
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None
        return DocumentType(
            frozenset(found.issuers),
            {
                each.pointer: OutputAttribute(each.pointer, AttributeKind(each.kind), each.required)
                for each in found.attributes
            },
        )

    async def end_mandates(
        self, public_service: str, provider: str, during: Call | None
    ) -> datetime:
        """End all mandates of a service that were written up to now, and return until when."""
        ended = await self._registry.call(
            "qagazsyz.registry.v1.MandateService/EndMandates",
            delegated_pb2.EndMandatesRequest(public_service=public_service, provider=provider),
            delegated_pb2.EndMandatesResponse,
            during,
        )
        return from_timestamp(ended.end_time)

    async def look_up(
        self, service: PublicService, request: ServiceRequest, index: int, during: Call | None
    ) -> FoundEvidence:
        """Look up one piece of the service's evidence."""
        with refusals("EVIDENCE_REFUSED", "the evidence may not be looked up any more"):
            found = await self._registry.call(
                f"{DELEGATED}/LookUpForRequest",
                delegated_pb2.LookUpForRequestRequest(
                    delegation=self._delegation(service, request), evidence=index
                ),
                delegated_pb2.LookUpForRequestResponse,
                during,
            )
        document = found.documents[0].name if found.documents else found.document
        return FoundEvidence(found.access, document)

    async def register(
        self, service: PublicService, request: ServiceRequest, during: Call | None
    ) -> str:
        """Have the output sealed and registered; return the document's name."""
        with refusals("NOT_SEALED", "the output could not be sealed"):
            certificate = await self._certificates.find(service, during)
            asked = delegated_pb2.RegisterForRequestRequest(
                delegation=self._delegation(service, request),
                certificate=certificate,
                language=LANGUAGE,
            )
            try:
                made = await self._registry.call(
                    f"{DELEGATED}/RegisterForRequest", asked, documents_pb2.Document, during
                )
            except grpc.aio.AioRpcError:
                self._certificates.forget(service)
                raise
        return made.name

    async def is_output(
        self, service: PublicService, request: ServiceRequest, document: str, during: Call | None
    ) -> bool:
        """Return whether a document answers the request."""
        found = await self._registry.call(
            f"{DELEGATED}/CheckOutput",
            delegated_pb2.CheckOutputRequest(
                request=request.name,
                document=document,
                document_type=service.output,
                provider=service.provider,
            ),
            delegated_pb2.CheckOutputResponse,
            during,
        )
        return found.answers

    async def append(
        self, service: PublicService | None, request: ServiceRequest, event: Event
    ) -> int:
        """Append a change to the transparency log; return its index."""
        with refusals("NOT_LOGGED", "the registry does not take the change"):
            told = await self._registry.call(
                f"{DELEGATED}/AppendRequestEvent",
                delegated_pb2.AppendRequestEventRequest(
                    request=request.name,
                    public_service=request.public_service,
                    applicant=request.applicant,
                    number=event.revision,
                    change=event.change,
                    delegation=None if service is None else self._delegation(service, request),
                ),
                delegated_pb2.RequestEvent,
            )
        return told.receipt.log_index

    def _delegation(
        self, service: PublicService, request: ServiceRequest
    ) -> signatures_pb2.Delegation:
        """Return what both signed. Raises FailedPrecondition for a service without a mandate."""
        service.check_is_offered()
        assert service.approval is not None  # noqa: S101 - it is offered
        assert request.proof is not None, request.name  # noqa: S101 - it is signed
        return signatures_pb2.Delegation(
            mandate=_signed(mandate(service, self._platform), service.approval.proof),
            statement=_signed(request.statement, request.proof),
        )


def _public_key_of(certificate: bytes) -> bytes:
    """Return the key that a certificate of identity's own certifies, SubjectPublicKeyInfo, DER."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _signed(text: bytes, proof: Proof) -> signatures_pb2.SignedText:
    return signatures_pb2.SignedText(
        text=text,
        certificate=proof.certificate,
        algorithm=cast("signatures_pb2.SignatureAlgorithm", proof.algorithm),
        signature=proof.signature,
    )
