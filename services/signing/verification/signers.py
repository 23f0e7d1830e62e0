"""Resolve the signers of a batch: find their keys, and check whether to trust them.

Key versions are read from our own database once, because a version's public key never changes.
Identity checks certificates; its answers are cached for as long as it allows. An answer that cannot
be had makes the verdict INDETERMINATE, which differs from a refusal; neither is ever VALID.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from cachetools import LRUCache

from services.runtime.clock import Clock
from services.signing.keys.rules import is_version_name
from services.signing.verification.certificate_cache import (
    CERTIFICATES_CHUNK,
    CoalescingCache,
    within_time,
)
from services.signing.verification.trust import (
    CertificateStatus,
    CheckedCertificate,
    HolderRoles,
    RoleRequirement,
    SignerResult,
    TrustPolicy,
    verdict_for,
)
from signatures.algorithms import Verdict
from signatures.backend import CERTIFICATE_SOURCE, KEY_VERSION_SOURCE, Batch

# No authority issues certificates near this size: a larger one is MALFORMED, without a request.
CERTIFICATE_LIMIT_BYTES = 64 * 1024
# About 20 MB: the distinct signers of ten seconds of full batches.
CHECKS_CACHE_SIZE = 50_000
# About 10 MB. A certificate's roles never change.
ROLES_CACHE_SIZE = 20_000
# About 5 MB of RSA keys.
KEYS_CACHE_SIZE = 10_000

_UNKNOWN = CheckedCertificate(CertificateStatus.UNKNOWN)
_TOO_LARGE = CheckedCertificate(CertificateStatus.MALFORMED)
_UNKNOWN_ROLES = HolderRoles(known=False)

CheckCertificates = Callable[
    [Sequence[bytes], datetime | None], Awaitable[Sequence[CheckedCertificate]]
]
InspectCertificates = Callable[[Sequence[bytes]], Awaitable[Sequence[HolderRoles]]]
FindPublicKeys = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]


class Signers:
    """Resolves signers' keys, and the trust that a request's policy asks for."""

    def __init__(
        self,
        *,
        check_certificates: CheckCertificates,
        inspect_certificates: InspectCertificates,
        find_public_keys: FindPublicKeys,
        clock: Clock,
    ) -> None:
        """check_certificates, inspect_certificates: answer in order, for at most
        CERTIFICATES_CHUNK; raise Unavailable or DeadlineExceeded. find_public_keys: returns known
        versions by name.
        """
        self._check_certificates = check_certificates
        self._checks: CoalescingCache[CheckedCertificate] = CoalescingCache(
            lambda certificates: check_certificates(certificates, None),
            is_fresh=CheckedCertificate.is_fresh,
            fallback=_UNKNOWN,
            size=CHECKS_CACHE_SIZE,
            clock=clock,
        )
        self._roles: CoalescingCache[HolderRoles] = CoalescingCache(
            inspect_certificates,
            is_fresh=lambda holder, _now: holder.known,
            fallback=_UNKNOWN_ROLES,
            size=ROLES_CACHE_SIZE,
            clock=clock,
        )
        self._find_public_keys = find_public_keys
        self._keys: LRUCache[str, bytes] = LRUCache(KEYS_CACHE_SIZE)

    async def resolve(
        self,
        batch: Batch,
        policy: TrustPolicy,
        at: datetime | None = None,
        role: RoleRequirement | None = None,
    ) -> dict[int, SignerResult]:
        """Set keys and trust in the batch; return the result of each checked signer by index.

        at: the time to check certificates at, None for now. role: required of every signer; not
        with SIGNATURE_ONLY.
        """
        named = batch.named_signers()
        await self._set_keys(
            batch, [(i, value) for i, source, value in named if source == KEY_VERSION_SOURCE]
        )
        if policy is TrustPolicy.SIGNATURE_ONLY:
            return {}
        certificates = {i: der for i, source, der in named if source == CERTIFICATE_SOURCE}
        results = await self._check(certificates, at)
        verdicts = {
            index: verdict_for(result.status)
            for index, result in results.items()
            if result.status is not CertificateStatus.GOOD
        }
        if role is not None:
            verdicts |= await self._role_verdicts(role, certificates, verdicts, batch.signer_count)
        if policy is TrustPolicy.CERTIFICATE:
            for index in range(batch.signer_count):
                if index not in results:
                    results[index] = SignerResult(CertificateStatus.UNTRUSTED)
                    verdicts[index] = Verdict.UNTRUSTED_SIGNER
        for index, verdict in verdicts.items():
            batch.set_trust(index, verdict)
        return results

    async def resolve_as(self, batch: Batch, verdict: Verdict) -> None:
        """Resolve all keys, and report `verdict` for every signature that verifies."""
        await self.resolve(batch, TrustPolicy.SIGNATURE_ONLY)
        for index in range(batch.signer_count):
            batch.set_trust(index, verdict)

    async def _check(
        self, certificates: Mapping[int, bytes], at: datetime | None
    ) -> dict[int, SignerResult]:
        small = {i: der for i, der in certificates.items() if len(der) <= CERTIFICATE_LIMIT_BYTES}
        checks = dict(zip(small, await self._checks.get_many(list(small.values())), strict=True))
        if at is not None:
            checks = await self._check_at(small, checks, at)
        found = {index: checks.get(index, _TOO_LARGE) for index in certificates}
        return {index: SignerResult(check.status, check.subject) for index, check in found.items()}

    async def _check_at(
        self,
        certificates: Mapping[int, bytes],
        checks: Mapping[int, CheckedCertificate],
        at: datetime,
    ) -> dict[int, CheckedCertificate]:
        """Return the answers for another time.

        If the answer for now does not tell, ask identity about that time: it reports the first
        fault that it finds, which may hide others. Those answers are not cached.
        """
        statuses = {index: check.status_at(at) for index, check in checks.items()}
        unclear = list({certificates[i]: None for i, status in statuses.items() if status is None})
        asked: dict[bytes, CheckedCertificate] = {}
        for start in range(0, len(unclear), CERTIFICATES_CHUNK):
            chunk = unclear[start : start + CERTIFICATES_CHUNK]
            answers = await within_time(self._check_certificates(chunk, at))
            asked |= zip(chunk, answers or [_UNKNOWN] * len(chunk), strict=True)
        return {
            index: asked[certificates[index]] if status is None else replace(check, status=status)
            for (index, check), status in zip(checks.items(), statuses.values(), strict=True)
        }

    async def _role_verdicts(
        self,
        role: RoleRequirement,
        certificates: Mapping[int, bytes],
        verdicts: Mapping[int, Verdict],
        signer_count: int,
    ) -> dict[int, Verdict]:
        """Return the verdict of each signer without the role. UNTRUSTED_SIGNER outranks it, so
        those signers are left out."""
        trusted = {
            index: der
            for index, der in certificates.items()
            if verdicts.get(index) is not Verdict.UNTRUSTED_SIGNER
        }
        holders = await self._roles.get_many(list(trusted.values()))
        found = dict.fromkeys(
            (index for index in range(signer_count) if index not in certificates),
            Verdict.MISSING_ROLE,
        )
        for index, holder in zip(trusted, holders, strict=True):
            if not holder.known:
                found[index] = Verdict.INDETERMINATE
            elif not role.is_met_by(holder):
                found[index] = Verdict.MISSING_ROLE
        return found

    async def _set_keys(self, batch: Batch, versions: Sequence[tuple[int, bytes]]) -> None:
        if not versions:
            return
        missing: dict[str, list[int]] = {}
        for index, value in versions:
            name = value.decode()
            key = self._keys.get(name)
            if key is None:
                missing.setdefault(name, []).append(index)
            else:
                batch.set_key(index, key)
        names = sorted(filter(is_version_name, missing))
        found = await self._find_public_keys(names) if names else {}
        self._keys.update(found)
        for name, indexes in missing.items():
            for index in indexes:
                batch.set_key(index, found.get(name))
