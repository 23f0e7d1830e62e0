"""Requests about certificates, parsed and checked for their form."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.issuance import Order
from services.identity.certificates.registration import Candidate
from services.identity.certificates.time_stamp_check import StampedData
from services.identity.subjects.requests import check_batch
from services.identity.subjects.rules import check_subject_name
from services.identity.x509.limits import CERTIFICATE_LIMIT_BYTES
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.usages import CertificateUsage
from services.runtime.errors import InvalidArgument

# Issuers that may come with a certificate.
CHAIN_LIMIT = 8
_APPLICATION_NAME = re.compile(
    r"(subjects/[0-9a-f-]{36})/certificateRequests/([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
)
# One of the platform's own services.
_SERVICE_NAME = re.compile(r"services/[a-z]{1,32}")
_CERTIFICATE_NAME = re.compile(
    rf"(subjects/[0-9a-f-]{{36}}|{_SERVICE_NAME.pattern})/certificates/([0-9a-f]{{64}})"
)


def certificate_key(name: str, field: str = "name") -> tuple[str, str]:
    """Return (holder, fingerprint) of a certificate's name; the holder is a subject or one of the
    platform's own services. Raises InvalidArgument."""
    match = _CERTIFICATE_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument(field, 'not of the form "subjects/{subject}/certificates/{hex}"')
    return match[1], match[2]


def check_holder_name(name: str, field: str) -> str:
    """Return the name of a subject or of one of the platform's own services. Raises
    InvalidArgument."""
    return name if _SERVICE_NAME.fullmatch(name) else check_subject_name(name, field)


def application_key(name: str, field: str = "name") -> tuple[str, str]:
    """Return (subject, id) of the name of a certificate that waits. Raises InvalidArgument."""
    match = _APPLICATION_NAME.fullmatch(name)
    if match is None:
        form = "subjects/{subject}/certificateRequests/{request}"
        raise InvalidArgument(field, f'not of the form "{form}"')
    return match[1], match[2]


def to_order(request: pb.IssueCertificateRequest) -> Order:
    """Return the certificate that is asked for. Raises InvalidArgument."""
    subject = check_subject_name(request.subject, "subject")
    if request.organization:
        check_subject_name(request.organization, "organization")
    if request.usage not in pb.CertificateUsage.values():
        raise InvalidArgument("usage", "unknown")
    return Order(
        subject=subject,
        organization=request.organization,
        usage=CertificateUsage(request.usage or CertificateUsage.SIGN),
        request=request.certificate_request,
    )


def to_candidate(request: pb.RegisterCertificateRequest) -> Candidate:
    """Return the certificate that is to be registered. Raises InvalidArgument."""
    subject = check_subject_name(request.subject, "subject")
    if len(request.der) > CERTIFICATE_LIMIT_BYTES:
        raise InvalidArgument("der", "too large for a certificate")
    if len(request.chain) > CHAIN_LIMIT:
        raise InvalidArgument("chain", f"more than {CHAIN_LIMIT}")
    return Candidate(subject, request.der, tuple(request.chain))


def to_reason(request: pb.RevokeCertificateRequest) -> RevocationReason:
    """Return the reason of a revocation. Raises InvalidArgument."""
    if request.reason not in pb.RevocationReason.values():
        raise InvalidArgument("reason", "unknown")
    return RevocationReason(request.reason)


def to_stamped_data(request: pb.VerifyTimeStampsRequest) -> Sequence[StampedData]:
    """Return the time-stamps to verify. Raises InvalidArgument for one without data or digest."""
    check_batch(request.time_stamps, "time_stamps")
    for index, stamped in enumerate(request.time_stamps):
        if stamped.WhichOneof("imprint") is None:
            raise InvalidArgument(f"time_stamps[{index}].imprint", "is required")
    return [
        StampedData(
            token=stamped.token,
            data=stamped.data if stamped.HasField("data") else None,
            digest=stamped.digest if stamped.HasField("digest") else None,
        )
        for stamped in request.time_stamps
    ]
