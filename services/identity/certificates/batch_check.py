"""BatchCheckCertificates: many certificates at a time, those of the own authority in one look-up.

The own authority's are found by their fingerprint in the database: there is no path to build and
nothing to parse. All others go to the validator of external authorities. Work that grows with the
number of certificates runs in a thread, or in chunks of a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from services.identity.certificates import store
from services.identity.certificates.rules import Binding, status_at
from services.identity.validation.interface import (
    CertificateStatus,
    ExternalValidator,
    ValidationResult,
)
from services.identity.worker_pools import JUDGING
from services.identity.x509.inspection import fingerprint_of
from services.identity.x509.limits import FRESH_FOR
from services.identity.x509.usages import CertificateUsage
from services.runtime.clock import Clock
from services.runtime.storage.database import Database

# Rows of one answer of the database: about a millisecond of the event loop.
LOOKUP_CHUNK = 250


@dataclass(frozen=True, slots=True)
class CertificateCheck:
    """A certificate's status, and the subject that it binds, or ""."""

    result: ValidationResult
    subject: str = ""


class BatchCheck:
    """Checks certificates of any authority for documents."""

    def __init__(self, *, database: Database, external: ExternalValidator, clock: Clock) -> None:
        self._database = database
        self._external = external
        self._clock = clock

    async def check(self, ders: Sequence[bytes], at: datetime | None) -> list[CertificateCheck]:
        """Return a check for each certificate, in order. at: None for now."""
        now = self._clock()
        at = at or now
        fingerprints = await JUDGING.run(lambda: [fingerprint_of(der) for der in ders])
        bindings = await self._find_bindings(list(dict.fromkeys(fingerprints)))
        external = {
            fingerprint: der
            for fingerprint, der in zip(fingerprints, ders, strict=True)
            if fingerprint not in bindings or not bindings[fingerprint].own
        }
        results = await self._external.validate_many(external, at=at) if external else {}
        return await JUDGING.run(_checks, fingerprints, bindings, results, at, now)

    async def _find_bindings(self, fingerprints: Sequence[str]) -> dict[str, Binding]:
        chunks = [
            fingerprints[start : start + LOOKUP_CHUNK]
            for start in range(0, len(fingerprints), LOOKUP_CHUNK)
        ]
        if not chunks:
            return {}
        async with self._database.reading() as connection:
            found = [await store.get_bindings(connection, chunk) for chunk in chunks]
        return {binding.fingerprint: binding for binding in chain.from_iterable(found)}


def _checks(
    fingerprints: Sequence[str],
    bindings: Mapping[str, Binding],
    results: Mapping[str, ValidationResult],
    at: datetime,
    now: datetime,
) -> list[CertificateCheck]:
    checks = []
    for fingerprint in fingerprints:
        binding = bindings.get(fingerprint)
        if binding is not None and binding.own:
            result = _own_result(binding, at, now)
        else:
            result = _external_result(results[fingerprint], binding, at, now)
        checks.append(CertificateCheck(result, binding.subject if binding is not None else ""))
    return checks


def _own_result(binding: Binding, at: datetime, now: datetime) -> ValidationResult:
    # One that may not sign documents is never GOOD, so its dates must not suggest that it was.
    signs = binding.usage is CertificateUsage.SIGN
    return ValidationResult(
        status=status_at(binding, at),
        fresh_until=now + FRESH_FOR,
        revoke_time=binding.revoke_time,
        valid_from=binding.not_before if signs else None,
        valid_until=binding.not_after if signs else None,
    )


def _external_result(
    result: ValidationResult, binding: Binding | None, at: datetime, now: datetime
) -> ValidationResult:
    # It may be revoked here at any moment.
    fresh_until = min(result.fresh_until, now + FRESH_FOR)
    if binding is None or binding.revoke_time is None:
        return replace(result, fresh_until=fresh_until)
    # Its holder revoked it here, whatever its authority says.
    return replace(
        result,
        fresh_until=fresh_until,
        status=CertificateStatus.REVOKED if binding.is_revoked_at(at) else result.status,
        revoke_time=min(result.revoke_time or binding.revoke_time, binding.revoke_time),
    )
