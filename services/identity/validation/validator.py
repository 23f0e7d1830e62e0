"""Validates certificates of external authorities: path, usage, revocation, in that order.

Paths are searched in one thread of their own, a chunk of certificates at a time, so that neither
the event loop nor a small request waits for a large one. Results are cached by the certificate's
SHA-256: its chain until the trust store changes, its revocation while that is fresh. A certificate
in both caches costs two dictionary accesses.

A request waits two seconds for the network at most. A certificate whose look-up takes longer is
UNKNOWN, and the look-up goes on for the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from cachetools import LRUCache
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.identity.validation.interface import (
    CertificateStatus,
    Chain,
    Finding,
    Issuer,
    Refused,
    ValidationResult,
)
from services.identity.validation.path_engine import PolicyInputs
from services.identity.validation.paths import NO_POLICIES, PathFinder
from services.identity.validation.revocation import RevocationChecker
from services.identity.validation.safe_http import Fetch
from services.identity.validation.trust_store import TrustFolder, TrustStore
from services.identity.x509.inspection import NotACertificate, load, purposes_of
from services.identity.x509.limits import CERTIFICATE_LIMIT_BYTES, FRESH_FOR
from services.identity.x509.time_stamp_tokens import may_stamp
from services.runtime.clock import Clock, Randomness

# Certificates that one turn of the thread validates: about 30 ms, after which others have theirs.
VALIDATION_CHUNK = 32
# Cached ones that are read before the event loop has its turn: about a millisecond.
LOOKUP_CHUNK = 250
CHAINS_KEPT = 50_000
# Callers wait three seconds for the whole answer.
LOOKUP_SECONDS = 2.0
RENEWAL_SECONDS = 30.0

_OCSP_SIGNING = ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Path:
    """A certificate's path, or why there is none."""

    found: Chain | Refused
    # Of one that is only EXPIRED: its path in its last second.
    ended: Chain | None
    # The requested time; a refusal serves for it and the FRESH_FOR behind it.
    since: datetime

    def covers(self, at: datetime) -> bool:
        if isinstance(self.found, Chain):
            return self.found.covers(at)
        return timedelta(0) <= at - self.since < FRESH_FOR


class Validator:
    """Validates against the trust folder. Used from one event loop; close it."""

    def __init__(
        self,
        *,
        folder: TrustFolder,
        fetch: Fetch,
        clock: Clock,
        randomness: Randomness,
        policies: PolicyInputs = NO_POLICIES,
        made_ahead: frozenset[str] = frozenset(),
        grace: timedelta = timedelta(0),
        lookup_seconds: float = LOOKUP_SECONDS,
    ) -> None:
        """made_ahead, grace: as in revocation.py.
        lookup_seconds: how long a request waits for revocation."""
        self._folder = folder
        self._clock = clock
        self._policies = policies
        self._lookup_seconds = lookup_seconds
        self._thread = ThreadPoolExecutor(1, "paths")
        self._store = TrustStore()
        self._paths = PathFinder(self._store)
        self._stampers: tuple[bytes, ...] = ()
        self._kept: LRUCache[str, _Path] = LRUCache(CHAINS_KEPT)
        self._revocations = RevocationChecker(
            fetch=fetch,
            find_responder=self._find_responder,
            find_signers=self._find_signers,
            clock=clock,
            randomness=randomness,
            made_ahead=made_ahead,
            grace=grace,
        )

    async def validate(
        self, der: bytes, intermediates: Sequence[bytes], *, at: datetime
    ) -> ValidationResult:
        """Validate one certificate. WRONG_USAGE is returned only if it is otherwise valid."""
        await self._reload_folder()
        path = await self._run(lambda: self._find_path(der, at, intermediates))
        found = path.found
        if isinstance(found, Refused):
            findings = await self._find_all_revocations([path.ended] if path.ended else [])
            return self._refusal(path, found, findings, at)
        result = _combine(found, await self._find_all_revocations([found]), at)
        if result.status is CertificateStatus.GOOD and not found.signs:
            return ValidationResult(CertificateStatus.WRONG_USAGE, result.fresh_until)
        return result

    async def validate_many(
        self, certificates: Mapping[str, bytes], *, at: datetime
    ) -> dict[str, ValidationResult]:
        """Validate certificates for documents, by fingerprint. One that may not sign documents is
        WRONG_USAGE without a look-up of its revocation."""
        await self._reload_folder()
        paths = await self._find_paths(certificates, at)
        findings = await self._find_all_revocations(
            [
                chain
                for path in paths.values()
                for chain in (path.found, path.ended)
                if isinstance(chain, Chain) and chain.signs
            ]
        )
        results = {}
        for chunk in _chunks(paths.items(), LOOKUP_CHUNK):
            for fingerprint, path in chunk:
                results[fingerprint] = self._result(path, findings, at)
            await asyncio.sleep(0)
        return results

    async def find_chain(
        self, der: bytes, intermediates: Sequence[bytes], *, at: datetime
    ) -> Chain | Refused:
        """Return the certificate's path at a time, revocation aside."""
        await self._reload_folder()
        return (await self._run(lambda: self._find_path(der, at, intermediates))).found

    async def find_revocations(self, chain: Chain) -> list[Finding]:
        """Return the finding on each link, the leaf first."""
        findings = await self._find_all_revocations([chain])
        return [findings[link.fingerprint] for link in chain.links]

    async def find_stampers(self) -> Sequence[bytes]:
        """Return the trust folder's certificates (DER) that may stamp the time."""
        await self._reload_folder()
        return self._stampers

    async def renew(self) -> None:
        """Download the CRLs again that are about to expire."""
        await self._revocations.renew()

    async def find_unusable_files(self) -> tuple[str, ...]:
        """Return the names of the trust folder's files that cannot be used."""
        await self._reload_folder()
        return self._store.unusable

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    # Paths

    async def _find_paths(
        self, certificates: Mapping[str, bytes], at: datetime
    ) -> dict[str, _Path]:
        """Return each certificate's path, from the cache or searched in chunks."""
        paths: dict[str, _Path] = {}
        new: list[tuple[str, bytes]] = []
        for chunk in _chunks(certificates.items(), LOOKUP_CHUNK):
            for fingerprint, der in chunk:
                kept = self._kept.get(fingerprint)
                if kept is None or not kept.covers(at):
                    new.append((fingerprint, der))
                else:
                    paths[fingerprint] = kept
            await asyncio.sleep(0)
        store = self._store
        for chunk in _chunks(new, VALIDATION_CHUNK):
            found = await self._run(partial(self._find_each, [der for _, der in chunk], at))
            for (fingerprint, _), path in zip(chunk, found, strict=True):
                paths[fingerprint] = path
                if self._store is store:
                    self._kept[fingerprint] = path
        return paths

    def _find_each(self, ders: Sequence[bytes], at: datetime) -> list[_Path]:
        return [self._find_path(der, at, ()) for der in ders]

    def _find_path(self, der: bytes, at: datetime, intermediates: Sequence[bytes]) -> _Path:
        """Runs in the thread."""
        if len(der) > CERTIFICATE_LIMIT_BYTES:
            return _Path(Refused(CertificateStatus.MALFORMED, "too large"), None, at)
        found, ended = self._paths.find(der, at, intermediates), None
        if isinstance(found, Refused) and found.status is CertificateStatus.EXPIRED:
            before = self._paths.find(der, load(der).not_valid_after_utc, intermediates)
            ended = before if isinstance(before, Chain) else None
        return _Path(found, ended, at)

    async def _find_responder(self, der: bytes, at: datetime) -> Chain | None:
        """Return the path of a certificate that may sign OCSP answers, or None."""

        def find() -> Chain | None:
            found = self._paths.find(der, at)
            if isinstance(found, Refused):
                return None
            try:
                purposes = purposes_of(load(der))
            except NotACertificate:
                return None
            return found if purposes is not None and _OCSP_SIGNING in purposes else None

        return await self._run(find)

    async def _find_signers(self, crl: bytes, at: datetime) -> Sequence[tuple[Issuer, Chain]]:
        """Return who may have signed a list, of the certificates in the trust folder."""
        return await self._run(lambda: self._paths.find_list_signers(crl, at))

    async def _reload_folder(self) -> None:
        """Read the trust folder if it is due, and drop the caches if it has changed."""
        if not self._folder.is_due():
            return
        store = await self._run(self._folder.current)
        if store is self._store:
            return
        paths = await self._run(lambda: PathFinder(store, self._policies))
        self._store, self._paths = store, paths
        self._stampers = await self._run(
            lambda: tuple(d for d in (*store.stampers, *store.intermediates) if may_stamp(d))
        )
        self._kept.clear()
        self._revocations.use_stored(store.crls)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Revocation

    async def _find_all_revocations(self, chains: Sequence[Chain]) -> dict[bytes, Finding]:
        """Return the finding on each link; unknown if it comes too late."""
        now = self._clock()
        findings: dict[bytes, Finding] = {}
        tasks: dict[bytes, asyncio.Task[Finding]] = {}
        for chunk in _chunks((link for chain in chains for link in chain.links), LOOKUP_CHUNK):
            for link in chunk:
                if link.fingerprint in findings or link.fingerprint in tasks:
                    continue
                cached = self._revocations.find_cached(link, now)
                if cached is not None:
                    findings[link.fingerprint] = cached
                else:
                    tasks[link.fingerprint] = self._revocations.look_up(link)
            await asyncio.sleep(0)
        if tasks:
            await asyncio.wait(tasks.values(), timeout=self._lookup_seconds)
        for fingerprint, task in tasks.items():
            findings[fingerprint] = (
                task.result() if task.done() else Finding(False, self._clock(), why="no answer yet")
            )
        return findings

    # Results

    def _result(
        self, path: _Path, findings: Mapping[bytes, Finding], at: datetime
    ) -> ValidationResult:
        found = path.found
        if isinstance(found, Refused):
            return self._refusal(path, found, findings, at)
        if not found.signs:
            return ValidationResult(CertificateStatus.WRONG_USAGE, self._clock() + FRESH_FOR)
        return _combine(found, findings, at)

    def _refusal(
        self, path: _Path, refused: Refused, findings: Mapping[bytes, Finding], at: datetime
    ) -> ValidationResult:
        """Revocation goes before the dates: of a certificate that was revoked and has expired
        since, a caller must not read that it merely expired."""
        own = None if path.ended is None else findings.get(path.ended.links[0].fingerprint)
        if own is not None and own.revoked is not None and own.revoked.time <= at:
            return ValidationResult(CertificateStatus.REVOKED, own.fresh_until, own.revoked.time)
        return ValidationResult(refused.status, self._clock() + FRESH_FOR)


def _combine(chain: Chain, findings: Mapping[bytes, Finding], at: datetime) -> ValidationResult:
    """Combine a valid path with the findings on its links."""
    leaf, *authorities = chain.links
    of_authorities = [findings[link.fingerprint] for link in authorities]
    own = findings[leaf.fingerprint]
    fresh_until = min(finding.fresh_until for finding in (own, *of_authorities))
    if any(finding.revoked is not None for finding in of_authorities):
        # A revoked authority's certificates are not trusted at any time.
        return ValidationResult(CertificateStatus.UNTRUSTED, fresh_until)
    revoke_time = None if own.revoked is None else own.revoked.time
    is_revoked = revoke_time is not None and revoke_time <= at
    if not all(finding.is_known_at(at) for finding in (own, *of_authorities)):
        # That it is revoked now is certain; whether it was good before is not.
        if is_revoked:
            return ValidationResult(CertificateStatus.REVOKED, fresh_until, revoke_time)
        return ValidationResult(CertificateStatus.UNKNOWN, fresh_until)
    return ValidationResult(
        CertificateStatus.REVOKED if is_revoked else CertificateStatus.GOOD,
        fresh_until,
        revoke_time,
        chain.valid_from,
        chain.valid_until,
    )


def _chunks(things: Iterable[_T], size: int) -> Iterator[list[_T]]:
    left = iter(things)
    while chunk := list(islice(left, size)):
        yield chunk
