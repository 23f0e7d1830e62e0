from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phones.screens import SCREENS, Screen

screens = st.builds(Screen, st.integers(1, 8), st.integers(4, 20))


@pytest.mark.parametrize(
    ("screen", "pages"),
    [
        ("1x16", ["Bank: sign", "contract 17 Code", "3928"]),
        ("2x16", ["Bank: sign\ncontract 17 Code", "3928"]),
        ("8x20", ["Bank: sign contract\n17 Code 3928"]),
    ],
)
def test_a_text_breaks_at_spaces(screen: str, pages: list[str]) -> None:
    assert SCREENS[screen].pages("Bank: sign contract 17 Code 3928") == pages


def test_a_word_longer_than_a_line_breaks_within() -> None:
    assert SCREENS["1x16"].pages("a" * 16 + "b" * 5) == ["a" * 16, "b" * 5]


def test_a_screen_is_drawn_with_its_frame_and_page() -> None:
    assert Screen(2, 4).draw("ab", "1/2") == "┌────┐\n│ab  │\n│    │\n└────┘ 1/2"


@given(screens, st.text(max_size=120))
def test_the_pages_leave_nothing_out_and_fit_the_screen(screen: Screen, text: str) -> None:
    pages = screen.pages(text)
    lines = [page.split("\n") for page in pages]
    assert all(len(each) <= screen.rows for each in lines)
    assert all(len(line) <= screen.columns for each in lines for line in each)
    shown = "".join(line for each in lines for line in each)
    assert shown.replace(" ", "") == text.replace(" ", "").replace("\n", "")
