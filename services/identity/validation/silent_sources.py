"""Sources of revocation that did not answer a moment ago, and are left alone for some seconds.

So that a thousand certificates of a dead authority do not wait for a thousand timeouts.
"""

from __future__ import annotations

from cachetools import TTLCache

from services.identity.validation.safe_http import Unreachable
from services.runtime.clock import Clock

SILENT_SECONDS = 10.0
SOURCES_KEPT = 1_000


class SilentSources:
    """URLs of OCSP responders and CRLs; the least recently used are forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._urls: TTLCache[str, None] = TTLCache(
            SOURCES_KEPT, SILENT_SECONDS, timer=lambda: clock().timestamp()
        )

    def add(self, url: str) -> None:
        """Leave the source alone from now on."""
        self._urls[url] = None

    def check(self, url: str) -> None:
        """Raise Unreachable if the source is left alone."""
        if url in self._urls:
            raise Unreachable("did not answer a moment ago")
