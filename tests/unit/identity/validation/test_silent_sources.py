"""A source that does not answer is left alone for a while."""

from __future__ import annotations

import pytest

from services.identity.validation.safe_http import Unreachable
from services.identity.validation.silent_sources import SOURCES_KEPT, SilentSources
from tests.clock import Clock
from tests.unit.identity.authorities import OCSP, External


async def test_a_silent_responder_is_left_alone_for_a_while(external: External) -> None:
    for _ in range(3):
        assert await external.status(external.leaf(ocsp=[OCSP])) == "UNKNOWN"
    assert external.network.asked == [OCSP]
    external.clock.move(seconds=11)
    assert await external.status(external.leaf(ocsp=[OCSP])) == "UNKNOWN"
    assert external.network.asked == [OCSP, OCSP]


def test_a_full_memory_forgets_the_oldest_source_only() -> None:
    silent = SilentSources(Clock())
    for index in range(SOURCES_KEPT + 1):
        silent.add(f"http://authority.example/{index}")
    silent.check("http://authority.example/0")
    for index in range(1, SOURCES_KEPT + 1):
        with pytest.raises(Unreachable):
            silent.check(f"http://authority.example/{index}")
