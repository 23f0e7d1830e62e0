"""Verification of signed texts for this service's own use: who signed them, by good certificates.

They go the way of every small request (scheduler.py), and are trusted by the same rules.
"""

from __future__ import annotations

from services.runtime.errors import PermissionDenied, Unavailable
from services.runtime.server import Call
from services.signing.verification.scheduler import Scheduler
from services.signing.verification.signers import Signers
from services.signing.verification.trust import CertificateStatus, TrustPolicy
from signatures.algorithms import Verdict
from signatures.backend import Backend


class TextVerifier:
    """Verifies texts that a service was shown, not a caller's batches."""

    def __init__(self, backend: Backend, scheduler: Scheduler, signers: Signers) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._signers = signers

    async def signers_of(self, batch_request: bytes, count: int, call: Call) -> list[str]:
        """Return the subject who signed each text, as of now.

        batch_request: of as many texts, each with its own signer (requests.encode_batch). Raises
        PermissionDenied if a signature does not hold, or its certificate is not good or nobody's of
        this platform, and Unavailable if that cannot be determined now.
        """
        with self._scheduler.admit(len(batch_request)):
            batch = self._backend.parse_batch(batch_request)
            results = await self._signers.resolve(batch, TrustPolicy.CERTIFICATE)
            verdicts = await self._scheduler.verify(
                batch, size=len(batch_request), time_remaining=call.time_remaining()
            )
        found = [Verdict(each) for each in verdicts]
        statuses = [results[index].status for index in range(count)]
        doubtful = {Verdict.VALID, Verdict.INDETERMINATE}
        if any(each not in doubtful for each in found):
            raise PermissionDenied
        if Verdict.INDETERMINATE in found or CertificateStatus.UNKNOWN in statuses:
            raise Unavailable("a signer's certificate cannot be validated now")
        subjects = [results[index].subject for index in range(count)]
        if len(found) != count or not all(subjects):
            raise PermissionDenied
        return subjects
