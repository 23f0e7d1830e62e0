"""Resource names: their form, and new ones that sort by time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.registry.model.resource_names import check_name, check_text, is_name, new_name
from services.runtime.clock import system_randomness
from services.runtime.errors import InvalidArgument
from tests.unit.registry.ledger import NOW


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("documents/a", True),
        ("documents/0190a-b", True),
        ("documents/" + "a" * 63, True),
        ("documents/" + "a" * 64, False),
        ("documents/A", False),
        ("documents/-a", False),
        ("documents/a/b", False),
        ("documents/", False),
        ("subjects/a", False),
        ("documents/a\n", False),
        ("", False),
    ],
)
def test_names_are_those_of_their_collection(name: str, is_one: bool) -> None:
    assert is_name(name, "documents") == is_one
    if not is_one:
        with pytest.raises(InvalidArgument, match="name"):
            check_name(name, "documents", "name")


def test_new_names_sort_by_their_time() -> None:
    names = [
        new_name("documents", NOW + timedelta(milliseconds=number), system_randomness)
        for number in range(20)
    ]
    assert names == sorted(names)
    assert all(is_name(name, "documents") for name in names)


def test_a_text_has_a_limit_of_characters() -> None:
    assert check_text("ұзын", 4, "title") == "ұзын"
    with pytest.raises(InvalidArgument, match="title"):
        check_text("ұзын.", 4, "title")
