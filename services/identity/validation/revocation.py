"""Whether certificates of external authorities are revoked: looked up once, kept while fresh.

The lists in the trust folder are always asked. Then the certificate's own OCSP responder, because
its answer is current; then the CRLs that the certificate names. If no source covers the
certificate, its revocation is unknown, and unknown is never good: a source that cannot be reached,
an outdated answer, an expired list. Concurrent look-ups of one certificate are one (single-flight).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cachetools import LRUCache

from services.identity.validation.crl import RevocationList, WrongSigner, read_crl
from services.identity.validation.crl_cache import CrlCache
from services.identity.validation.crl_search import ListEvidence, check_still_covered
from services.identity.validation.evidence import UnusableEvidence
from services.identity.validation.interface import Chain, Finding, Issuer, Link
from services.identity.validation.ocsp_client import (
    AGE_LIMIT_BY_OPERATOR,
    AGE_LIMIT_MADE_AHEAD,
    ANSWER_LIMIT_BYTES,
    NONCE_BYTES,
    OcspAnswer,
    build_request,
    read_answer,
)
from services.identity.validation.safe_http import Fetch, Unreachable, hosts_of
from services.identity.validation.silent_sources import SilentSources
from services.identity.validation.trust_store import StoredList
from services.identity.worker_pools import JUDGING, LISTS
from services.identity.x509.revocation_urls import comparable_name
from services.identity.x509.unforeseen import log_unforeseen_of
from services.runtime.clock import Clock, Randomness
from services.runtime.concurrency.single_flight import SingleFlight

# How soon a revocation that an authority publishes is seen here.
KEPT_FOR = timedelta(minutes=5)
# When a revocation that could not be looked up is looked up again.
UNKNOWN_FOR = timedelta(seconds=5)

OCSP_SECONDS = 2.0
# OCSP responders that are tried of those that a certificate names, and lists: an authority may
# publish one for each reason.
URLS_LIMIT = 2
LISTS_LIMIT = 4
# Certificates whose look-ups may depend on each other: of a list's signer, of its signer's …
DEPTH_LIMIT = 4
FINDINGS_KEPT = 100_000
RESPONDERS_KEPT = 1_000
# Pairs of a list in the trust folder and an issuer; most are only that the list is another's.
STORED_CRLS_KEPT = 10_000

# Returns the path of a responder's certificate (DER) at a time, or None if it may not sign OCSP
# answers at all.
FindResponder = Callable[[bytes, datetime], Awaitable[Chain | None]]
# Returns the paths of the trust folder's certificates that may have signed a list (DER), with each
# one's name and key.
FindSigners = Callable[[bytes, datetime], Awaitable[Sequence[tuple[Issuer, Chain]]]]
# The certificates whose look-up led to this one.
_Asking = frozenset[bytes]


class RevocationChecker:
    """Looks up revocation, and caches what it found. Used from one event loop."""

    def __init__(
        self,
        *,
        fetch: Fetch,
        find_responder: FindResponder,
        find_signers: FindSigners,
        clock: Clock,
        randomness: Randomness,
        made_ahead: frozenset[str] = frozenset(),
        grace: timedelta = timedelta(0),
    ) -> None:
        """grace: how long after a time a list must have been made to say something of it.
        made_ahead: hosts ("host" or "host:port") of responders whose answers without a nonce may
        be AGE_LIMIT_BY_OPERATOR old."""
        self._made_ahead = made_ahead
        self._grace = grace
        self._fetch = fetch
        self._find_responder = find_responder
        self._find_signers = find_signers
        self._clock = clock
        self._randomness = randomness
        self._silent = SilentSources(clock)
        self._crls = CrlCache(
            fetch=fetch, silent=self._silent, clock=clock, read=self._read_downloaded
        )
        self._look_ups: SingleFlight[bytes, Finding] = SingleFlight()
        self._findings: LRUCache[bytes, Finding] = LRUCache(FINDINGS_KEPT)
        # Until when a responder's certificate may sign an issuer's answers.
        self._responders: LRUCache[tuple[bytes, Issuer], datetime] = LRUCache(RESPONDERS_KEPT)
        # The trust folder's lists by the name of their issuer; as read for a certificate's issuer,
        # or why they cannot be.
        self._stored: dict[str, list[StoredList]] = {}
        self._read: LRUCache[tuple[bytes, Issuer], RevocationList | UnusableEvidence] = LRUCache(
            STORED_CRLS_KEPT
        )

    def find_cached(self, link: Link, now: datetime) -> Finding | None:
        """Return the cached finding, or one by a cached list; None if a request is needed."""
        kept = self._findings.get(link.fingerprint)
        if kept is not None and now < kept.fresh_until:
            return kept
        if link.ocsp_urls or self._has_stored(link):
            return None
        for url in link.crl_urls[:LISTS_LIMIT]:
            crl = self._crls.find(url, link.issuer, now)
            if crl is None:
                return None
            if crl.signer is not None or crl.delta_urls or link.delta_urls:
                return None
            try:
                evidence = ListEvidence(link, self._grace)
                evidence.add(crl, (), now)
            except UnusableEvidence:
                return None
            except Exception as error:
                # As in _find: of all in the batch, this certificate's alone is unknown.
                log_unforeseen_of("a certificate's revocation", link.fingerprint, error)
                return self._keep(link, Finding(False, now + UNKNOWN_FOR, why=type(error).__name__))
            if evidence.is_complete:
                return self._keep(link, _finding(evidence, now))
        return None

    def look_up(self, link: Link) -> asyncio.Task[Finding]:
        """Return the task that looks the certificate up, the same for concurrent callers."""
        return self._look_ups.start(link.fingerprint, lambda: self._find(link))

    def use_stored(self, lists: Sequence[StoredList]) -> None:
        """Ask these lists of the trust folder from now on, and drop what depends on the folder;
        downloaded lists stay, whose signatures were verified by their issuer's own key."""
        self._findings.clear()
        self._responders.clear()
        self._read.clear()
        self._crls.forget_delegated()
        self._stored = {}
        for each in lists:
            self._stored.setdefault(comparable_name(each.issuer), []).append(each)

    async def renew(self) -> None:
        """Download the lists again that are due and in use."""
        await self._crls.renew()

    async def _find(self, link: Link) -> Finding:
        try:
            return self._keep(link, await self._ask(link, frozenset()))
        except Exception as error:
            # Of all that wait for findings, this certificate's alone is unknown.
            log_unforeseen_of("a certificate's revocation", link.fingerprint, error)
            return self._keep(
                link, Finding(False, self._clock() + UNKNOWN_FOR, why=type(error).__name__)
            )

    async def _ask(self, link: Link, asking: _Asking) -> Finding:
        asking = asking | {link.fingerprint}
        if len(asking) > DEPTH_LIMIT:
            return Finding(False, self._clock() + UNKNOWN_FOR, why="depends on too many others")
        evidence = ListEvidence(link, self._grace)
        has_stored = await self._add_stored(evidence, asking)
        if evidence.revoked is None and link.may_lack_sources and not has_stored:
            return Finding(True, self._clock() + KEPT_FOR)
        if evidence.revoked is None:
            for url in link.ocsp_urls[:URLS_LIMIT]:
                try:
                    finding = await self._find_by_ocsp(url, link, asking)
                    return replace(finding, proven_until=evidence.proven_until)
                except (Unreachable, UnusableEvidence) as error:
                    evidence.whys.append(f"OCSP: {error}")
        if not evidence.is_complete or evidence.revoked is None:
            await self._add_published(evidence, asking)
        return _finding(evidence, self._clock())

    def _keep(self, link: Link, finding: Finding) -> Finding:
        self._findings[link.fingerprint] = finding
        return finding

    async def _find_by_ocsp(self, url: str, link: Link, asking: _Asking) -> Finding:
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
        limit = AGE_LIMIT_BY_OPERATOR if self._is_made_ahead(url) else AGE_LIMIT_MADE_AHEAD
        answer = await JUDGING.run(read_answer, data, link, nonce, now, limit)
        if answer.responder is not None:
            await self._check_responder(answer.responder, link.issuer, asking, now)
        return _finding_by_ocsp(answer, link, now)

    def _is_made_ahead(self, url: str) -> bool:
        return not self._made_ahead.isdisjoint(hosts_of(url))

    async def _check_responder(
        self, der: bytes, issuer: Issuer, asking: _Asking, now: datetime
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
            finding = await self._find_by_lists(chain.links[0], asking)
            if finding.revoked is not None:
                raise UnusableEvidence("the responder's certificate is revoked")
            if not finding.known:
                raise UnusableEvidence(finding.why)
            until = min(until, finding.fresh_until)
        self._responders[(der, issuer)] = until

    # Lists

    async def _find_by_lists(self, link: Link, asking: _Asking) -> Finding:
        evidence = ListEvidence(link, self._grace)
        await self._add_stored(evidence, asking)
        if not evidence.is_complete or evidence.revoked is None:
            await self._add_published(evidence, asking)
        return _finding(evidence, self._clock())

    def _has_stored(self, link: Link) -> bool:
        return bool(self._stored) and bool(self._stored_for(link))

    def _stored_for(self, link: Link) -> list[StoredList]:
        """Return the trust folder's lists by the certificate's issuer, and by those that it
        names."""
        names = dict.fromkeys([comparable_name(link.issuer.name)])
        names |= dict.fromkeys(name for point in link.points for name in point.issuers)
        return [each for name in names for each in self._stored.get(name, ())]

    async def _add_stored(self, evidence: ListEvidence, asking: _Asking) -> bool:
        """Add what the trust folder's lists say. Returns whether one is meant to cover the
        certificate, even if it cannot be used: whoever stored it wants it to be asked."""
        lists: list[RevocationList] = []
        is_meant = False
        for each in self._stored_for(evidence.link) if self._stored else ():
            try:
                lists.append(await self._read_stored(each.der, evidence.link.issuer))
            except UnusableEvidence as error:
                is_meant |= not isinstance(error, WrongSigner)
                evidence.whys.append(f"stored CRL: {error}")
        return await self._add_all(evidence, lists, lists, asking, "stored CRL") or is_meant

    async def _add_published(self, evidence: ListEvidence, asking: _Asking) -> None:
        """Add what the lists say that the certificate names, until one is enough."""
        link = evidence.link
        if not link.points:
            evidence.whys.append("the certificate names no source")
        for url in link.crl_urls[:LISTS_LIMIT]:
            try:
                crl = await self._crls.get(url, link.issuer)
            except (Unreachable, UnusableEvidence) as error:
                evidence.whys.append(f"CRL: {error}")
                continue
            deltas = await self._deltas(link, crl)
            await self._add_all(evidence, [crl], deltas, asking, "CRL")
            if evidence.is_complete:
                return

    async def _add_all(
        self,
        evidence: ListEvidence,
        lists: Sequence[RevocationList],
        deltas: Sequence[RevocationList],
        asking: _Asking,
        source: str,
    ) -> bool:
        """Returns whether one of the lists covers the certificate."""
        covers = False
        for found in lists:
            try:
                if found.base_number is not None:
                    continue
                found.reasons_for(evidence.link)
                covers = True
                await self._check_signer(found, evidence.link, asking)
                evidence.add(found, deltas, self._clock())
            except UnusableEvidence as error:
                evidence.whys.append(f"{source}: {error}")
        return covers

    async def _deltas(self, link: Link, base: RevocationList) -> list[RevocationList]:
        """Download the delta lists that the certificate and its list name."""
        found: list[RevocationList] = []
        for url in dict.fromkeys((*link.delta_urls, *base.delta_urls)):
            if len(found) == URLS_LIMIT:
                break
            try:
                delta = await self._crls.get(url, link.issuer)
            except (Unreachable, UnusableEvidence):
                continue
            # Signed by the key that signed the complete list.
            if (delta.signer is None) == (base.signer is None):
                found.append(delta)
        return found

    async def _check_signer(self, found: RevocationList, link: Link, asking: _Asking) -> None:
        """Raise UnusableEvidence unless the certificate whose key signed the list is of the same
        anchor, valid and not revoked (section 6.3.3, f)."""
        chain = found.signer
        if chain is None:
            return
        if chain.links[0].anchor != link.anchor:
            raise UnusableEvidence("signed under another trust anchor")
        now = self._clock()
        if not chain.covers(now):
            raise UnusableEvidence("its signer's certificate has expired")
        for each in chain.links:
            if each.fingerprint in asking:
                # A list may say of its own signer that it is not revoked, if an authority names it
                # as the one to ask.
                continue
            finding = self._findings.get(each.fingerprint)
            if finding is None or now >= finding.fresh_until:
                finding = await self._ask(each, asking)
            if finding.revoked is not None or not finding.known:
                raise UnusableEvidence(f"its signer's certificate: {finding.why or 'revoked'}")

    async def _read_stored(self, der: bytes, issuer: Issuer) -> RevocationList:
        """Read a list of the trust folder, once for each issuer. Raises UnusableEvidence."""
        key = (der, issuer)
        found = self._read.get(key)
        if found is None:
            try:
                found = await self._read_downloaded(der, issuer)
            except UnusableEvidence as error:
                found = error.with_traceback(None)
            self._read[key] = found
        if isinstance(found, UnusableEvidence):
            raise found
        return found

    async def _read_downloaded(self, der: bytes, issuer: Issuer) -> RevocationList:
        """Read a list by the issuer, or else by a certificate of the trust folder that may sign
        lists: another key of the issuer, or the signer of an indirect list. Raises
        UnusableEvidence."""
        try:
            return await LISTS.run(read_crl, der, issuer)
        except WrongSigner as error:
            reason = error
        for signer, chain in await self._find_signers(der, self._clock()):
            try:
                return (await LISTS.run(read_crl, der, signer)).signed_by(chain)
            except WrongSigner:
                continue
        raise reason


def _finding_by_ocsp(answer: OcspAnswer, link: Link, now: datetime) -> Finding:
    if answer.revoked is None:
        check_still_covered(link, answer.keeps_expired_since, now)
    return Finding(True, min(answer.next_update, now + KEPT_FOR), answer.revoked)


def _finding(evidence: ListEvidence, now: datetime) -> Finding:
    """Return the finding by lists alone."""
    known = evidence.is_complete or evidence.revoked is not None
    fresh_until = now + (KEPT_FOR if known else UNKNOWN_FOR)
    if known and evidence.fresh_until is not None:
        fresh_until = min(fresh_until, evidence.fresh_until)
    return Finding(
        known,
        fresh_until,
        evidence.revoked,
        why="; ".join(filter(None, evidence.whys)),
        proven_until=evidence.proven_until,
    )
