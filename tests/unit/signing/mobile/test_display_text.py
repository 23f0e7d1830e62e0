"""What stands on a phone's screen: one honest line, never cut, with who asks before it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import InvalidArgument
from services.runtime.settings import CannotStart
from services.signing.mobile.display_text import make_text, parse_short_names
from services.signing.mobile.platform_texts import CONFIRM_PHONE, KEEP_PHONE, NOTICES
from sms.alphabets import Alphabet, alphabet_for
from sms.applet import check_text
from sms.parts import split_text

PLATFORM = "Qagazsyz"
BANK, OTHER = "subjects/1", "subjects/2"


@pytest.mark.parametrize(
    "text",
    [
        "contract 17",
        "шарт № 17, қол қою",
        "Kaspi: төлем 5 000,50",
        "kredit [A] 1000€",
        "Ә",
        "кіру eGov",
        "Абай-Көктөбе, 3%",
        "«Тұран»",
    ],
)
def test_ordinary_texts_stand_as_they_are(text: str) -> None:
    assert make_text("Bank", text) == f"Bank: {text}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " contract",
        "contract ",
        "two  spaces",
        "line\nbreak",
        "line\rbreak",
        "tab\there",
        "next\u0085line",
        "line\u2028separator",
        "right\u202eto left",
        "isolate\u2066d",
        "zero\u200bwidth",
        "soft\u00adhyphen",
        "no-break\u00a0space",
        "wide\u3000space",
        "hangul\u3164filler",
        "braille\u2800blank",
        "comb\u0301ining",
        "и\u0306",
        "ｆｕｌｌｗｉｄｔｈ",
        "ⅷ",
        "①",
        "😀",
        "Ελλάδα",
        "עברית",
        "٣",
        "half\ud800",
    ],
)
def test_what_a_screen_may_show_otherwise_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        make_text("Bank", text)


@pytest.mark.parametrize("text", ["Каspi", "pаy 100", "Bаnk", "шapт", "x-х", "kaspi.кz", "а1a"])
def test_a_word_of_two_scripts_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        make_text("Bank", text)
    assert "Latin and Cyrillic" in refused.value.message


def test_fifty_kazakh_letters_with_the_name_fit_and_fifty_one_are_refused() -> None:
    name = "Банк"
    room = 50 - len("Банк: ")
    assert len(make_text(name, "қ" * room)) == 50
    with pytest.raises(InvalidArgument) as refused:
        make_text(name, "қ" * (room + 1))
    assert refused.value.field == "display_text"
    with pytest.raises(InvalidArgument):
        make_text(name, "қ" * 51)


def test_a_hundred_septets_fit_and_one_more_is_refused() -> None:
    room = 100 - len("Bank: ")
    assert alphabet_for(make_text("Bank", "x" * room)) is Alphabet.GSM_7BIT
    for longer in ("x" * (room + 1), "x" * (room - 1) + "€", "x" * (room - 1) + "қ"):
        with pytest.raises(InvalidArgument):
            make_text("Bank", longer)


@given(st.text(max_size=60))
def test_what_is_taken_is_one_line_that_an_applet_shows(text: str) -> None:
    try:
        line = make_text("Bank", text)
    except InvalidArgument:
        return
    assert line == f"Bank: {text}"
    check_text(line)
    assert all(unicodedata.category(each)[0] in "LNPSZ" for each in line)
    assert line.splitlines() == [line]


def test_organizations_have_short_names_of_their_own() -> None:
    names = parse_short_names(f"{BANK}=Bank, {OTHER} = Тұран банк", PLATFORM)
    assert names == {BANK: "Bank", OTHER: "Тұран банк"}
    assert parse_short_names("", PLATFORM) == {}


@pytest.mark.parametrize(
    "setting",
    [
        f"{BANK}",
        f"{BANK}=",
        f"{BANK}=A name that is long",
        f"{BANK}=Ba:nk",
        f"{BANK}=Bаnk",
        f"{BANK}=Bank,{BANK}=Bank 2",
        f"{BANK}=Bank,{OTHER}=BANK",
        # Cyrillic letters all of them, and Latin ones.
        f"{BANK}=Керо,{OTHER}=Kepo",
        f"{BANK}=qagazsyz",
        "organizations/1=Bank",
    ],
)
def test_a_short_name_that_could_be_another_is_refused(setting: str) -> None:
    with pytest.raises(CannotStart):
        parse_short_names(setting, PLATFORM)


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_the_platforms_own_texts_fit(language: str) -> None:
    check_text(make_text(PLATFORM, CONFIRM_PHONE[language]))
    check_text(make_text(PLATFORM, KEEP_PHONE[language]))
    for texts in NOTICES.values():
        told = f"{PLATFORM}: {texts[language].format('0000')}"
        assert len(split_text(told, 1)) == 1, told
