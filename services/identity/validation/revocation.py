"""Whether certificates of external authorities are revoked: looked up once, kept while fresh.

A certificate's own OCSP responder is asked first, because its answer is current; then the CRLs
that the certificate names; then CRLs that an operator put into the trust folder. If no source
covers the certificate, its revocation is unknown, and unknown is never good: a source that cannot
be reached, an outdated answer, an expired list. Concurrent look-ups of one certificate are one
(single-flight).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from cachetools import LRUCache

from services.identity.validation.crl import RevocationList, read_crl
from services.identity.validation.crl_cache import CrlCache
from services.identity.validation.evidence import UnusableEvidence
from services.identity.validation.interface import Chain, Finding, Issuer, Link
from services.identity.validation.ocsp_client import (
    ANSWER_LIMIT_BYTES,
    NONCE_BYTES,
    OcspAnswer,
    build_request,
    read_answer,
)
from services.identity.validation.safe_http import Fetch, Unreachable
from services.identity.validation.silent_sources import SilentSources
from services.identity.worker_pools import JUDGING, LISTS
from services.identity.x509.unforeseen import log_unforeseen_of
from services.runtime.clock import Clock, Randomness
from services.runtime.concurrency.single_flight import SingleFlight

# How soon a revocation that an authority publishes is seen here.
KEPT_FOR = timedelta(minutes=5)
# When a revocation that could not be looked up is looked up again.
UNKNOWN_FOR = timedelta(seconds=5)

OCSP_SECONDS = 2.0
# URLs of each kind that are tried of those that a certificate names.
URLS_LIMIT = 2
FINDINGS_KEPT = 100_000
RESPONDERS_KEPT = 1_000
# Pairs of a list in the trust folder and an issuer; most are only that the list is another's.
STORED_CRLS_KEPT = 10_000

# Returns the path of a responder's certificate (DER) at a time, or None if it may not sign OCSP
# answers at all.
FindResponder = Callable[[bytes, datetime], Awaitable[Chain | None]]


class RevocationChecker:
    """Looks up revocation, and caches what it found. Used from one event loop."""

    def __init__(
        self,
        *,
        fetch: Fetch,
        find_responder: FindResponder,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._fetch = fetch
        self._find_responder = find_responder
        self._clock = clock
        self._randomness = randomness
        self._silent = SilentSources(clock)
        self._crls = CrlCache(fetch=fetch, silent=self._silent, clock=clock)
        self._look_ups: SingleFlight[bytes, Finding] = SingleFlight()
        self._findings: LRUCache[bytes, Finding] = LRUCache(FINDINGS_KEPT)
        # Until when a responder's certificate may sign an issuer's answers.
        self._responders: LRUCache[tuple[bytes, Issuer], datetime] = LRUCache(RESPONDERS_KEPT)
        # A list of the trust folder as its issuer's, or why it is not that issuer's.
        self._stored: LRUCache[tuple[bytes, Issuer], RevocationList | str] = LRUCache(
            STORED_CRLS_KEPT
        )

    def find_cached(self, link: Link, now: datetime) -> Finding | None:
        """Return the cached finding, or one by a cached list; None if a request is needed."""
        kept = self._findings.get(link.fingerprint)
        if kept is not None and now < kept.fresh_until:
            return kept
        if link.ocsp_urls:
            return None
        for url in link.crl_urls[:URLS_LIMIT]:
            crl = self._crls.find(url, link.issuer, now)
            if crl is not None:
                try:
                    return self._keep(link, _finding_by_crl(crl, link, now))
                except UnusableEvidence:
                    return None
                except Exception as error:
                    # As in _find: of all in the batch, this certificate's alone is unknown.
                    log_unforeseen_of("a certificate's revocation", link.fingerprint, error)
                    return self._keep(
                        link, Finding(False, now + UNKNOWN_FOR, why=type(error).__name__)
                    )
        return None

    def look_up(self, link: Link, stored_crls: Sequence[bytes]) -> asyncio.Task[Finding]:
        """Return the task that looks the certificate up, the same for concurrent callers.

        stored_crls: the lists (DER) of the trust folder.
        """
        return self._look_ups.start(link.fingerprint, lambda: self._find(link, stored_crls))

    def forget(self) -> None:
        """Drop what depends on the trust folder; downloaded lists stay, whose signatures were
        verified."""
        self._findings.clear()
        self._responders.clear()
        self._stored.clear()

    async def renew(self) -> None:
        """Download the lists again that are due and in use."""
        await self._crls.renew()

    async def _find(self, link: Link, stored_crls: Sequence[bytes]) -> Finding:
        try:
            return await self._ask(link, stored_crls)
        except Exception as error:
            # Of all that wait for findings, this certificate's alone is unknown.
            log_unforeseen_of("a certificate's revocation", link.fingerprint, error)
            return self._keep(
                link, Finding(False, self._clock() + UNKNOWN_FOR, why=type(error).__name__)
            )

    async def _ask(self, link: Link, stored_crls: Sequence[bytes]) -> Finding:
        whys = []
        for url in link.ocsp_urls[:URLS_LIMIT]:
            try:
                return self._keep(link, await self._find_by_ocsp(url, link, stored_crls))
            except (Unreachable, UnusableEvidence) as error:
                whys.append(f"OCSP: {error}")
        try:
            return self._keep(link, await self._find_by_crls(link, stored_crls))
        except UnusableEvidence as error:
            whys.append(str(error))
        return self._keep(
            link, Finding(False, self._clock() + UNKNOWN_FOR, why="; ".join(filter(None, whys)))
        )

    def _keep(self, link: Link, finding: Finding) -> Finding:
        self._findings[link.fingerprint] = finding
        return finding

    async def _find_by_ocsp(self, url: str, link: Link, stored_crls: Sequence[bytes]) -> Finding:
        """Raises Unreachable or UnusableEvidence."""
        self._silent.check(url)
        nonce = self._randomness(NONCE_BYTES)
        # Some microseconds: handing it to a thread would take longer.
        request = build_request(link, nonce)
        try:
            data = await self._fetch.post(
                url,
                request,
                content_type="application/ocsp-request",
                limit=ANSWER_LIMIT_BYTES,
                seconds=OCSP_SECONDS,
            )
        except Unreachable:
            self._silent.add(url)
            raise
        now = self._clock()
        answer = await JUDGING.run(read_answer, data, link, nonce, now)
        if answer.responder is not None:
            await self._check_responder(answer.responder, link.issuer, stored_crls, now)
        return _finding_by_ocsp(answer, link, now)

    async def _check_responder(
        self, der: bytes, issuer: Issuer, stored_crls: Sequence[bytes], now: datetime
    ) -> None:
        """Raise UnusableEvidence unless the issuer authorized the responder (RFC 6960, section
        4.2.2.2)."""
        until = self._responders.get((der, issuer))
        if until is not None and now < until:
            return
        chain = await self._find_responder(der, now)
        if chain is None or chain.links[0].issuer != issuer:
            raise UnusableEvidence("signed by a responder that the issuer did not authorize")
        until = chain.valid_until
        if not chain.links[0].ocsp_nocheck:
            # The responder's certificate lacks id-pkix-ocsp-nocheck, so check its revocation too;
            # use CRLs, because asking the responder about itself proves nothing.
            finding = await self._find_by_crls(chain.links[0], stored_crls)
            if finding.revoked is not None:
                raise UnusableEvidence("the responder's certificate is revoked")
            until = min(until, finding.fresh_until)
        self._responders[(der, issuer)] = until

    async def _find_by_crls(self, link: Link, stored_crls: Sequence[bytes]) -> Finding:
        """Raises UnusableEvidence."""
        whys = []
        for url in link.crl_urls[:URLS_LIMIT]:
            try:
                crl = await self._crls.get(url, link.issuer)
                return _finding_by_crl(crl, link, self._clock())
            except (Unreachable, UnusableEvidence) as error:
                whys.append(f"CRL: {error}")
        for der in stored_crls:
            try:
                crl = await self._read_stored(der, link.issuer)
                return _finding_by_crl(crl, link, self._clock())
            except UnusableEvidence as error:
                whys.append(f"stored CRL: {error}")
        raise UnusableEvidence("; ".join(whys) or "the certificate names no source")

    async def _read_stored(self, der: bytes, issuer: Issuer) -> RevocationList:
        """Read a list of the trust folder, once for each issuer. Raises UnusableEvidence."""
        key = (der, issuer)
        found = self._stored.get(key)
        if found is None:
            try:
                found = await LISTS.run(read_crl, der, issuer)
            except UnusableEvidence as error:
                found = str(error)
            self._stored[key] = found
        if isinstance(found, str):
            raise UnusableEvidence(found)
        return found


def _finding_by_ocsp(answer: OcspAnswer, link: Link, now: datetime) -> Finding:
    if answer.revoked is None:
        _check_still_covered(link, answer.keeps_expired_since, now)
    return Finding(True, min(answer.next_update, now + KEPT_FOR), answer.revoked)


def _finding_by_crl(crl: RevocationList, link: Link, now: datetime) -> Finding:
    revoked = crl.find(link, now)
    if revoked is None:
        _check_still_covered(link, crl.keeps_expired_since, now)
    return Finding(True, min(crl.next_update, now + KEPT_FOR), revoked)


def _check_still_covered(link: Link, keeps_expired_since: datetime | None, now: datetime) -> None:
    """Raise UnusableEvidence for an expired certificate that the authority may have dropped.

    Not being listed proves nothing then, unless the authority says since when it keeps expired
    ones (RFC 5280, section 3.3; RFC 6960, section 4.4.4).
    """
    if now <= link.not_after:
        return
    if keeps_expired_since is None or keeps_expired_since > link.not_after:
        raise UnusableEvidence("the certificate has expired, so it may have been dropped")
