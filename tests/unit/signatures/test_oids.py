"""Each object identifier has one name."""

from __future__ import annotations

import re
from collections import Counter

from signatures import oids

OIDS = {name: value for name, value in vars(oids).items() if name.isupper()}


def test_every_constant_is_a_dotted_oid_of_its_own() -> None:
    assert len(OIDS) > 70
    for name, value in OIDS.items():
        assert re.fullmatch(r"[0-2](\.(0|[1-9]\d*))+", value), name
    assert [value for value, count in Counter(OIDS.values()).items() if count > 1] == []
