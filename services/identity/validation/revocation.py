"""Whether certificates of outside authorities are revoked: asked once, kept while it holds.

A certificate's own OCSP responder is asked first, because its answer is of this
moment; then the lists that the certificate names; then lists that an operator
put in the trust folder. What none of them says is unknown, and unknown is never
good: a source that cannot be reached, an answer out of date, a list whose time
has passed. Each certificate is asked about once at a time, however many wait for
it; a list is fetched once for all its certificates, kept until its nextUpdate
and fetched again before that, while the old one still serves. A responder that
does not answer is left alone for some seconds, so that a thousand certificates
of a dead authority do not wait for a thousand timeouts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from services.identity.validation import crl, ocsp_client
from services.identity.validation.crl import RevocationList
from services.identity.validation.ocsp_client import (
    ANSWER_LIMIT_BYTES,
    NONCE_BYTES,
    Answer,
    Revoked,
    Unusable,
)
from services.identity.validation.paths import Chain, Issuer, Link
from services.identity.validation.safe_http import Unreachable
from services.runtime.clock import Clock, Randomness

# A revocation that an authority publishes is seen by then.
KEPT_FOR = timedelta(minutes=5)
# What could not be found out is asked again after this, and a silent source left alone so long.
UNKNOWN_FOR = timedelta(seconds=5)
SILENT_FOR = timedelta(seconds=10)
# A list is fetched anew when this much of its life is over, and once an hour at least.
RENEWED_AFTER = 0.75
RENEWED_EVERY = timedelta(hours=1)
# An authority that has published nothing new is not asked again at once.
RENEWAL_APART = timedelta(minutes=1)
# Lists that nobody used for so long are not fetched any more.
USED_WITHIN = timedelta(hours=24)

OCSP_SECONDS = 2.0
LIST_SECONDS = 20.0
# NCA's lists have tens of megabytes.
LIST_LIMIT_BYTES = 64 * 1024 * 1024
# Addresses of a kind that a certificate may name and have asked.
ADDRESSES_TRIED = 2
LISTS_KEPT = 32
FINDINGS_KEPT = 100_000
RESPONDERS_KEPT = 1_000
SILENT_KEPT = 1_000


class Fetch(Protocol):
    """How addresses are asked: fetching.Fetcher, and a fake in tests."""

    async def get(self, url: str, *, limit: int, seconds: float) -> bytes: ...

    async def post(
        self, url: str, body: bytes, *, content_type: str, limit: int, seconds: float
    ) -> bytes: ...


# The path of a responder's certificate (DER) at a time, where it may answer OCSP at all.
FindResponder = Callable[[bytes, datetime], Awaitable[Chain | None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one certificate: revoked, not revoked, or nothing (then why)."""

    known: bool
    fresh_until: datetime
    revoked: Revoked | None = None
    why: str = ""


@dataclass(slots=True)
class _KeptList:
    content: RevocationList
    renew_at: datetime
    used_at: datetime


class Revocations:
    """Asks and remembers. Used from one event loop."""

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
        self._findings: dict[bytes, Finding] = {}
        self._asking: dict[bytes, asyncio.Task[Finding]] = {}
        self._lists: dict[tuple[str, Issuer], _KeptList] = {}
        self._fetching: dict[tuple[str, Issuer], asyncio.Task[RevocationList]] = {}
        self._silent: dict[str, datetime] = {}
        self._responders: dict[tuple[bytes, Issuer], datetime] = {}
        self._stored: dict[tuple[bytes, Issuer], RevocationList | Unusable] = {}

    def known(self, link: Link, now: datetime) -> Finding | None:
        """What is known of the certificate without asking anybody, or None."""
        kept = self._findings.get(link.fingerprint)
        if kept is not None and now < kept.fresh_until:
            return kept
        if link.ocsp:
            return None
        for url in link.lists[:ADDRESSES_TRIED]:
            have = self._lists.get((url, link.issuer))
            if have is not None and now < min(have.renew_at, have.content.next_update):
                have.used_at = now
                try:
                    return self._keep(link, _by_list(have.content, link, now))
                except Unusable:
                    return None
        return None

    def ask(self, link: Link, stored: Sequence[bytes]) -> asyncio.Task[Finding]:
        """Finds out; the same task for all who ask about one certificate. stored: lists (DER) that
        an operator put there."""
        task = self._asking.get(link.fingerprint)
        if task is None:
            task = asyncio.create_task(self._find(link, stored))
            self._asking[link.fingerprint] = task
            task.add_done_callback(lambda _: self._asking.pop(link.fingerprint, None))
        return task

    def forget(self) -> None:
        """Forgets what depends on whom we trust; lists stay, whose signatures were checked."""
        self._findings.clear()
        self._responders.clear()
        self._stored.clear()

    async def renew(self) -> None:
        """Fetches the lists anew that are due and in use."""
        now = self._clock()
        for key, kept in list(self._lists.items()):
            if now - kept.used_at > USED_WITHIN:
                del self._lists[key]
            elif now >= kept.renew_at:
                await asyncio.wait([self._renewal(key)])

    async def _find(self, link: Link, stored: Sequence[bytes]) -> Finding:
        whys = []
        for url in link.ocsp[:ADDRESSES_TRIED]:
            try:
                return self._keep(link, await self._by_responder(url, link, stored))
            except (Unreachable, Unusable) as error:
                whys.append(f"OCSP: {error}")
        try:
            return self._keep(link, await self._by_lists(link, stored))
        except Unusable as error:
            whys.append(str(error))
        return self._keep(
            link, Finding(False, self._clock() + UNKNOWN_FOR, why="; ".join(filter(None, whys)))
        )

    def _keep(self, link: Link, finding: Finding) -> Finding:
        self._findings.pop(link.fingerprint, None)
        self._findings[link.fingerprint] = finding
        while len(self._findings) > FINDINGS_KEPT:
            del self._findings[next(iter(self._findings))]
        return finding

    async def _by_responder(self, url: str, link: Link, stored: Sequence[bytes]) -> Finding:
        """Raises Unreachable or Unusable."""
        self._check_silence(url)
        nonce = self._randomness(NONCE_BYTES)
        # Some microseconds: handing it to a thread would take longer.
        question = ocsp_client.question(link, nonce)
        try:
            data = await self._fetch.post(
                url,
                question,
                content_type="application/ocsp-request",
                limit=ANSWER_LIMIT_BYTES,
                seconds=OCSP_SECONDS,
            )
        except Unreachable:
            self._silence(url)
            raise
        now = self._clock()
        answer = await asyncio.to_thread(ocsp_client.read, data, link, nonce, now)
        if answer.responder is not None:
            await self._check_responder(answer.responder, link.issuer, stored, now)
        return _by_answer(answer, link, now)

    def _silence(self, url: str) -> None:
        if len(self._silent) >= SILENT_KEPT:
            self._silent.clear()
        self._silent[url] = self._clock() + SILENT_FOR

    def _check_silence(self, url: str) -> None:
        until = self._silent.get(url)
        if until is not None and self._clock() < until:
            raise Unreachable("did not answer a moment ago")

    async def _check_responder(
        self, der: bytes, issuer: Issuer, stored: Sequence[bytes], now: datetime
    ) -> None:
        """Raises Unusable where the issuer has not made it its responder (RFC 6960, 4.2.2.2)."""
        until = self._responders.get((der, issuer))
        if until is not None and now < until:
            return
        chain = await self._find_responder(der, now)
        if chain is None or chain.links[0].issuer != issuer:
            raise Unusable("signed by one whom the issuer did not make its responder")
        until = chain.valid_until
        if not chain.links[0].no_check:
            # Without the mark that nobody need ask, it is asked: of lists, not of itself.
            finding = await self._by_lists(chain.links[0], stored)
            if finding.revoked is not None:
                raise Unusable("the responder's certificate is revoked")
            until = min(until, finding.fresh_until)
        if len(self._responders) >= RESPONDERS_KEPT:
            self._responders.clear()
        self._responders[(der, issuer)] = until

    async def _by_lists(self, link: Link, stored: Sequence[bytes]) -> Finding:
        """Raises Unusable."""
        whys = []
        for url in link.lists[:ADDRESSES_TRIED]:
            try:
                return _by_list(await self._list(url, link.issuer), link, self._clock())
            except (Unreachable, Unusable) as error:
                whys.append(f"list: {error}")
        for der in stored:
            try:
                content = await self._stored_list(der, link.issuer)
                return _by_list(content, link, self._clock())
            except Unusable as error:
                whys.append(f"stored list: {error}")
        raise Unusable("; ".join(whys) or "no source is named")

    async def _stored_list(self, der: bytes, issuer: Issuer) -> RevocationList:
        key = (der, issuer)
        if key not in self._stored:
            try:
                self._stored[key] = await asyncio.to_thread(crl.read, der, issuer)
            except Unusable as error:
                self._stored[key] = error
        found = self._stored[key]
        if isinstance(found, Unusable):
            raise found
        return found

    async def _list(self, url: str, issuer: Issuer) -> RevocationList:
        """Raises Unreachable or Unusable."""
        key, now = (url, issuer), self._clock()
        kept = self._lists.get(key)
        if kept is not None and now < kept.content.next_update:
            kept.used_at = now
            if now >= kept.renew_at:
                self._renewal(key)
            return kept.content
        self._check_silence(url)
        # Others may wait for the same list: one who gives up must not end it.
        content = await asyncio.shield(self._renewal(key))
        if key in self._lists:
            self._lists[key].used_at = now
        return content

    def _renewal(self, key: tuple[str, Issuer]) -> asyncio.Task[RevocationList]:
        task = self._fetching.get(key)
        if task is None:
            task = asyncio.create_task(self._fetched(*key))
            self._fetching[key] = task
            task.add_done_callback(lambda done: self._renewed(key, done))
        return task

    def _renewed(self, key: tuple[str, Issuer], done: asyncio.Task[RevocationList]) -> None:
        self._fetching.pop(key, None)
        now = self._clock()
        kept = self._lists.get(key)
        if done.cancelled() or done.exception() is not None:
            self._silence(key[0])
            if kept is not None:
                kept.renew_at = now + RENEWAL_APART

    async def _fetched(self, url: str, issuer: Issuer) -> RevocationList:
        data = await self._fetch.get(url, limit=LIST_LIMIT_BYTES, seconds=LIST_SECONDS)
        content = await asyncio.to_thread(crl.read, data, issuer)
        now = self._clock()
        if now >= content.next_update:
            raise Unusable("out of date")
        kept = self._lists.get((url, issuer))
        if kept is not None and kept.content.this_update > content.this_update:
            # An older list than the one that is known takes nothing back.
            content = kept.content
        life = content.next_update - content.this_update
        renew_at = min(content.this_update + life * RENEWED_AFTER, now + RENEWED_EVERY)
        # Being fetched again is no use of it.
        used_at = now if kept is None else kept.used_at
        self._lists.pop((url, issuer), None)
        self._lists[url, issuer] = _KeptList(content, max(renew_at, now + RENEWAL_APART), used_at)
        while len(self._lists) > LISTS_KEPT:
            del self._lists[next(iter(self._lists))]
        return content


def _by_answer(answer: Answer, link: Link, now: datetime) -> Finding:
    fresh_until = min(answer.next_update, now + KEPT_FOR)
    if answer.revoked is None:
        _check_kept(link, answer.keeps_expired_since, now)
    return Finding(True, fresh_until, answer.revoked)


def _by_list(content: RevocationList, link: Link, now: datetime) -> Finding:
    revoked = content.find(link, now)
    if revoked is None:
        _check_kept(link, content.keeps_expired_since, now)
    return Finding(True, min(content.next_update, now + KEPT_FOR), revoked)


def _check_kept(link: Link, keeps_expired_since: datetime | None, now: datetime) -> None:
    """An authority may forget a certificate once it has expired: then not being listed says
    nothing, unless it says since when it forgets none (RFC 5280, 3.3; RFC 6960, 4.4.4)."""
    if now <= link.not_after:
        return
    if keeps_expired_since is None or keeps_expired_since > link.not_after:
        raise Unusable("it has expired, and may have been forgotten since")
