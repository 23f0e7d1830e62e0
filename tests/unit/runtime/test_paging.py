"""Pages of a list (AIP-158): sizes, tokens, and where a page ends."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest

from services.runtime.errors import InvalidArgument
from services.runtime.paging import MAXIMUM_PAGE_SIZE, TOKEN_LIMIT, PageTokens

TOKENS = PageTokens(b"secret")
LIST = ("ListRows", "subjects/a", "", "filter")
ROWS = [f"row-{number:02}" for number in range(7)]


def read_all(rows: list[str], page_size: int, *, of: Sequence[str] = LIST) -> list[list[str]]:
    """The pages that a caller sees who follows next_page_token to the end of a sorted list."""
    pages, token = [], ""
    while True:
        page = TOKENS.read(page_size, token, of=of)
        found = [row for row in rows if row > page.after][: page.limit]
        shown, token = page.cut(found, key=lambda row: row)
        pages.append(shown)
        if not token:
            return pages


def token_after(row: str, *, of: Sequence[str] = LIST) -> str:
    return TOKENS.read(1, "", of=of).cut([row, "z"], key=lambda each: each)[1]


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)]
)
def test_a_page_has_the_size_asked_for_within_bounds(asked: int, given: int) -> None:
    assert TOKENS.read(asked, "", of=LIST).size == given


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidArgument) as refused:
        TOKENS.read(-1, "", of=LIST)
    assert refused.value.field == "page_size"


@pytest.mark.parametrize("page_size", [1, 2, 3, 6, 7, 8, MAXIMUM_PAGE_SIZE])
def test_following_the_tokens_shows_each_row_once_and_no_empty_page(page_size: int) -> None:
    pages = read_all(ROWS, page_size)
    assert [row for page in pages for row in page] == ROWS
    assert all(pages)


def test_an_empty_list_is_one_empty_page() -> None:
    assert read_all([], 5) == [[]]


def test_the_first_page_begins_before_all_rows() -> None:
    assert TOKENS.read(5, "", of=LIST).after == ""


@pytest.mark.parametrize(
    "other",
    [
        ("ListOthers", *LIST[1:]),
        (LIST[0], "subjects/b", *LIST[2:]),
        (*LIST[:2], "subjects/o", LIST[3]),
        (*LIST[:3], "another filter"),
        (*LIST, ""),
    ],
    ids=["method", "caller", "organization", "filter", "more filters"],
)
def test_a_token_of_another_list_or_caller_is_refused(other: Sequence[str]) -> None:
    token = token_after("a")
    assert TOKENS.read(1, token, of=LIST).after == "a"
    with pytest.raises(InvalidArgument) as refused:
        TOKENS.read(1, token, of=other)
    assert refused.value.field == "page_token"


def test_a_token_of_another_service_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        PageTokens(b"another").read(1, token_after("a"), of=LIST)


def altered(token: str, at: int) -> str:
    """The token with one byte of it changed."""
    data = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    data[at] ^= 1
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        token_after("a")[:-2],
        token_after("a") + "AAAA",
        altered(token_after("a"), 0),
        altered(token_after("a"), -2),
        # The same bytes in another text: unused bits, padding, characters that base64 skips.
        token_after("b")[:-1] + chr(ord(token_after("b")[-1]) + 1),
        token_after("a") + "=",
        token_after("a") + "\n",
        "!" + token_after("a"),
        "x",
        "é",
        "a" * (TOKEN_LIMIT + 1),
        token_after("a" * TOKEN_LIMIT),
        base64.urlsafe_b64encode(bytes(16) + b'"a"').decode().rstrip("="),
    ],
)
def test_a_token_that_this_service_did_not_give_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        TOKENS.read(1, token, of=LIST)
    assert refused.value.field == "page_token"
