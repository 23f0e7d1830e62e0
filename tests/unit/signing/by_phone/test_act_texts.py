"""What a phone's screen says of acts: for every method, in every language, and it fits."""

from __future__ import annotations

import pytest

from qagazsyz.common.v1 import access_pb2
from services.runtime.access import access_rule
from services.runtime.descriptors import service_descriptors
from services.signing.by_phone.act_texts import ACTS, SIGN_IN, act_shown, sign_in_shown
from services.signing.mobile.display_text import SHORT_NAME_LIMIT, make_text
from sms.applet import check_text

LANGUAGES = ("kk", "ru", "en")
# The screen's, of characters that are not in the GSM 7-bit alphabet.
UCS2_CHARACTERS = 50


def confirmed_methods() -> set[str]:
    """Every method that a person confirms: not those of the platform's services alone."""
    return {
        f"/{service.full_name}/{method.name}"
        for service in service_descriptors().values()
        for method in service.methods
        if (rule := access_rule(method)) is not None
        and rule.confirm
        and set(rule.roles) != {access_pb2.ROLE_SERVICE}
    }


def test_every_method_that_is_confirmed_has_a_text_and_no_other() -> None:
    assert confirmed_methods() == set(ACTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_text_fits_the_screen_behind_the_longest_short_name(language: str) -> None:
    for short_name in ("Q" * SHORT_NAME_LIMIT, "Қ" * SHORT_NAME_LIMIT):
        for shown in (sign_in_shown(language), *(act_shown(method, language) for method in ACTS)):
            text = make_text(short_name, shown)
            assert len(text) <= UCS2_CHARACTERS, text
            check_text(text)


def test_no_two_acts_look_alike() -> None:
    for language in LANGUAGES:
        texts = [SIGN_IN[language], *(each[language] for each in ACTS.values())]
        assert len(set(texts)) == len(texts)


def test_a_language_without_texts_is_kazakh() -> None:
    assert sign_in_shown("de") == sign_in_shown("kk") == "кіру"
