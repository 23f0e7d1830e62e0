"""Pages of a list (AIP-158): sizes, tokens, and where a page ends."""

from __future__ import annotations

import base64
import json

import pytest

from services.runtime.errors import InvalidArgument
from services.runtime.paging import MAXIMUM_PAGE_SIZE, TOKEN_LIMIT, PageRequest

ROWS = [f"row-{number:02}" for number in range(7)]


def read_all(rows: list[str], page_size: int, *, of: str = "ListRows") -> list[list[str]]:
    """The pages that a caller sees who follows next_page_token to the end of a sorted list."""
    pages, token = [], ""
    while True:
        page = PageRequest.read(page_size, token, of=of)
        found = [row for row in rows if row > page.after][: page.limit]
        shown, token = page.cut(found, key=lambda row: row)
        pages.append(shown)
        if not token:
            return pages


def token_after(row: str, *, of: str = "ListRows") -> str:
    return PageRequest.read(1, "", of=of).cut([row, "z"], key=lambda each: each)[1]


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)]
)
def test_a_page_has_the_size_asked_for_within_bounds(asked: int, given: int) -> None:
    assert PageRequest.read(asked, "", of="ListRows").size == given


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidArgument) as refused:
        PageRequest.read(-1, "", of="ListRows")
    assert refused.value.field == "page_size"


@pytest.mark.parametrize("page_size", [1, 2, 3, 6, 7, 8, MAXIMUM_PAGE_SIZE])
def test_following_the_tokens_shows_each_row_once_and_no_empty_page(page_size: int) -> None:
    pages = read_all(ROWS, page_size)
    assert [row for page in pages for row in page] == ROWS
    assert all(pages)


def test_an_empty_list_is_one_empty_page() -> None:
    assert read_all([], 5) == [[]]


def test_the_first_page_begins_before_all_rows() -> None:
    assert PageRequest.read(5, "", of="ListRows").after == ""


def test_a_token_of_another_list_is_refused() -> None:
    token = token_after("a", of="ListRows subjects/1")
    assert PageRequest.read(1, token, of="ListRows subjects/1").after == "a"
    with pytest.raises(InvalidArgument) as refused:
        PageRequest.read(1, token, of="ListRows subjects/2")
    assert refused.value.field == "page_token"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def tag() -> str:
    token = token_after("a")
    tag: str = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))[0]
    return tag


@pytest.mark.parametrize(
    "token",
    [
        token_after("a")[:-2],
        token_after("a") + "AAAA",
        "x",
        "é",
        "a" * (TOKEN_LIMIT + 1),
        token_after("a" * TOKEN_LIMIT),
        encoded([]),
        encoded({}),
        encoded(7),
        encoded(["another tag", "a"]),
        encoded([tag()]),
        encoded([tag(), 7]),
        encoded([tag(), "a", "b"]),
        encoded([tag(), "a\x00"]),
        encoded([tag(), "\ud800"]),
    ],
)
def test_a_token_that_this_list_did_not_give_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        PageRequest.read(1, token, of="ListRows")
    assert refused.value.field == "page_token"
