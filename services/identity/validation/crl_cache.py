"""CRLs of external authorities: downloaded once for all of an issuer's certificates.

A list is kept until its nextUpdate and downloaded again before that, while the old one still
serves. Concurrent callers share one download (single-flight).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cachetools import LRUCache

from services.identity.validation.crl import RevocationList
from services.identity.validation.evidence import UnusableEvidence
from services.identity.validation.interface import Issuer
from services.identity.validation.safe_http import Fetch
from services.identity.validation.silent_sources import SilentSources
from services.runtime.clock import Clock
from services.runtime.concurrency.single_flight import SingleFlight

# Download a list again when this much of its life is over, and at least once an hour.
RENEW_AFTER = 0.75
RENEW_EVERY = timedelta(hours=1)
# Wait this long between downloads of a list that failed, or that has not changed.
RENEWAL_APART = timedelta(minutes=1)
# Stop renewing a list that has not been used for this long.
USED_WITHIN = timedelta(hours=24)

DOWNLOAD_SECONDS = 20.0
# NCA's lists have tens of megabytes.
CRL_LIMIT_BYTES = 64 * 1024 * 1024
CRLS_KEPT = 32

_Key = tuple[str, Issuer]


@dataclass(slots=True)
class _KeptCrl:
    content: RevocationList
    renew_at: datetime
    used_at: datetime


class CrlCache:
    """CRLs by URL and issuer. Used from one event loop."""

    def __init__(
        self,
        *,
        fetch: Fetch,
        silent: SilentSources,
        clock: Clock,
        read: Callable[[bytes, Issuer], Awaitable[RevocationList]],
    ) -> None:
        """read: reads and verifies a list for an issuer's certificates; raises
        UnusableEvidence."""
        self._fetch = fetch
        self._read = read
        self._silent = silent
        self._clock = clock
        self._crls: LRUCache[_Key, _KeptCrl] = LRUCache(CRLS_KEPT)
        self._downloads: SingleFlight[_Key, RevocationList] = SingleFlight()

    def find(self, url: str, issuer: Issuer, now: datetime) -> RevocationList | None:
        """Return the list if it is in the cache and need not be renewed yet."""
        kept = self._crls.get((url, issuer))
        if kept is None or now >= min(kept.renew_at, kept.content.next_update):
            return None
        kept.used_at = now
        return kept.content

    async def get(self, url: str, issuer: Issuer) -> RevocationList:
        """Return the list, downloading it if it is not in the cache or has expired. Raises
        Unreachable or UnusableEvidence."""
        key, now = (url, issuer), self._clock()
        kept = self._crls.get(key)
        if kept is not None and now < kept.content.next_update:
            kept.used_at = now
            if now >= kept.renew_at:
                self._start_download(key)
            return kept.content
        self._silent.check(url)
        # Others may wait for the same list: a caller that is cancelled must not end the download.
        content = await asyncio.shield(self._start_download(key))
        kept = self._crls.get(key)
        if kept is not None:
            kept.used_at = now
        return content

    def forget_delegated(self) -> None:
        """Drop the lists that another key than their issuer's signed: whether it may depends on the
        trust folder."""
        for key in [key for key, kept in self._crls.items() if kept.content.signer is not None]:
            del self._crls[key]

    async def renew(self) -> None:
        """Download the lists again that are due and in use."""
        now = self._clock()
        # In the order of their last use, so that looking at them does not change the LRU order.
        for key in sorted(self._crls, key=lambda key: self._crls[key].used_at):
            kept = self._crls.get(key)
            if kept is None:
                continue
            if now - kept.used_at > USED_WITHIN:
                del self._crls[key]
            elif now >= kept.renew_at:
                await asyncio.wait([self._start_download(key)])

    def _start_download(self, key: _Key) -> asyncio.Task[RevocationList]:
        task = self._downloads.start(key, lambda: self._download(key))
        task.add_done_callback(_retrieve_exception)
        return task

    async def _download(self, key: _Key) -> RevocationList:
        url, issuer = key
        try:
            data = await self._fetch.get(url, limit=CRL_LIMIT_BYTES, seconds=DOWNLOAD_SECONDS)
            content = await self._read(data, issuer)
            if self._clock() >= content.next_update:
                raise UnusableEvidence("out of date")
        except BaseException:
            self._silent.add(url)
            kept = self._crls.get(key)
            if kept is not None:
                kept.renew_at = self._clock() + RENEWAL_APART
            raise
        return self._keep(key, content)

    def _keep(self, key: _Key, content: RevocationList) -> RevocationList:
        now = self._clock()
        kept = self._crls.get(key)
        if kept is not None and kept.content.this_update > content.this_update:
            # An older list than the one we know revokes less.
            content = kept.content
        life = content.next_update - content.this_update
        renew_at = min(content.this_update + life * RENEW_AFTER, now + RENEW_EVERY)
        # A renewal is not a use.
        used_at = now if kept is None else kept.used_at
        self._crls[key] = _KeptCrl(content, max(renew_at, now + RENEWAL_APART), used_at)
        return content


def _retrieve_exception(task: asyncio.Task[RevocationList]) -> None:
    # Without this, asyncio logs the failure of a download that nothing awaits.
    if not task.cancelled():
        task.exception()
