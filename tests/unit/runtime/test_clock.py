"""Ids that sort by the time at which they were made."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from services.runtime.clock import uuid7

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_ids_sort_by_their_time() -> None:
    ids = [uuid7(NOW + timedelta(milliseconds=number)) for number in range(50)]
    assert ids == sorted(ids)


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid7(NOW, lambda size: b"\xff" * size)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    # RFC 9562, section 5.7: the first 48 bits are the milliseconds since 1970.
    assert made.int >> 80 == int(NOW.timestamp() * 1000)
