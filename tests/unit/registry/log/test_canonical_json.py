"""Canonical JSON is that of RFC 8785, by another implementation; tests/properties compares more."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785

from services.registry.log.canonical_json import canonical_json


def test_it_equals_the_general_encoders_output() -> None:
    members: dict[str, Any] = {
        "v": 1,
        "event": "registered",
        "title": 'Мекенжай \u2028 \x7f \x01 " \\ / 😀',
        "list": ["b", "a", {"z": 1, "a": []}],
    }
    assert canonical_json(members) == rfc8785.dumps(members)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical_json({"title": "\ud800"})
