"""Registering certificates of external authorities for subjects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from services.identity.certificates.rules import StoredCertificate
from services.identity.subjects.rules import Subject
from services.identity.validation.interface import CertificateStatus, ExternalValidator
from services.identity.worker_pools import INSPECTION
from services.identity.x509.certificate_bounds import OutOfBounds, check_bounds
from services.identity.x509.inspection import CertificateFacts, NotACertificate, inspect, load
from services.runtime.clock import Clock
from services.runtime.errors import FailedPrecondition, InvalidArgument
from signatures.der import MalformedDer

# An authentication certificate may be registered too: it signs in.
_REGISTRABLE = frozenset({CertificateStatus.GOOD, CertificateStatus.WRONG_USAGE})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A certificate that is to be registered, and the issuers that came with it, all DER."""

    subject: str
    der: bytes
    intermediates: tuple[bytes, ...]


class Registration:
    """Validates certificates before they are registered."""

    def __init__(self, *, external: ExternalValidator, clock: Clock) -> None:
        self._external = external
        self._clock = clock

    async def validate(self, candidate: Candidate, subject: Subject) -> StoredCertificate:
        """Return the certificate, not yet stored. Raises InvalidArgument or FailedPrecondition."""
        now = self._clock()
        certificate, facts = await INSPECTION.run(_read, candidate)
        if (facts.iin or facts.bin) != subject.number:
            raise InvalidArgument("der", "does not carry the subject's number")
        await self._check_valid(candidate, now)
        return StoredCertificate.of(
            certificate, subject=subject.name, usage=facts.usage, own=False, now=now
        )

    async def _check_valid(self, candidate: Candidate, now: datetime) -> None:
        """Raise FailedPrecondition, whose reason is the status, if it is not valid now."""
        result = await self._external.validate(candidate.der, candidate.intermediates, at=now)
        if result.status not in _REGISTRABLE:
            raise FailedPrecondition(result.status.name, "the certificate is not valid here")


def _read(candidate: Candidate) -> tuple[x509.Certificate, CertificateFacts]:
    """Raises InvalidArgument."""
    try:
        read = load(candidate.der), inspect(candidate.der)
    except NotACertificate as error:
        raise InvalidArgument("der", str(error)) from None
    for index, der in enumerate(candidate.intermediates):
        try:
            check_bounds(der)
        except (OutOfBounds, MalformedDer) as error:
            raise InvalidArgument(f"chain[{index}]", str(error)) from None
    return read
