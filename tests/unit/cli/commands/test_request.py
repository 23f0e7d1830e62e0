"""Grounds of a refusal, as they are typed."""

from __future__ import annotations

import pytest

from cli.commands.request import parse_grounds
from cli.errors import Failure


def test_the_article_stands_behind_the_last_semicolon() -> None:
    (ground,) = parse_grounds(["Law of 15 April 2013; No. 88-V; 19-1"])
    assert (ground.act, ground.article) == ("Law of 15 April 2013; No. 88-V", "19-1")


@pytest.mark.parametrize("text", ["Law", "; 19", "Law;", ""])
def test_a_ground_without_act_or_article_is_refused(text: str) -> None:
    with pytest.raises(Failure):
        parse_grounds([text])
