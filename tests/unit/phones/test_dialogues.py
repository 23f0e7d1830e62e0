from __future__ import annotations

import pytest

from phones.dialogues import WORDS, Dialogue, Step, WrongKey
from phones.screens import SCREENS
from phones.sim import Sim
from sms.alphabets import Alphabet, alphabet_for
from sms.applet import Question, Request, Status, check_text
from tests.unit.phones.conftest import subscriber
from tests.unit.phones.esme import DIGEST, NONCE


def dialogue(
    sim: Sim | None = None,
    text: str = "Bank: sign contract 17",
    *,
    question: Question = Question.SIGN,
    language: str = "en",
    alphabet: Alphabet = Alphabet.UCS2,
    screen: str = "1x16",
) -> Dialogue:
    return Dialogue(
        Request(DIGEST, text, NONCE, question),
        sim or subscriber().sim,
        language=language,
        alphabet=alphabet,
        screen=SCREENS[screen],
    )


def read(shown: Dialogue) -> list[str]:
    """Turn all pages; return what stood in the frames."""
    pages = []
    while shown.step is Step.READING:
        pages.append("\n".join(line[1:-1].rstrip() for line in shown.draw().split("\n")[1:-1]))
        shown.ok()
    return pages


def test_the_smallest_screen_shows_text_and_code_page_by_page() -> None:
    sim = subscriber().sim
    shown = dialogue(sim)
    assert shown.draw() == "┌────────────────┐\n│Bank: sign      │\n└────────────────┘ 1/3"
    assert read(shown) == ["Bank: sign", "contract 17 Code", "3928"]
    assert shown.draw() == "┌────────────────┐\n│Enter PIN       │\n└────────────────┘"
    shown.enter_pin(sim.pin)
    assert shown.draw() == "┌────────────────┐\n│Sign?           │\n└────────────────┘ 1/4"
    assert shown.text == "Sign?\n1 Yes\n2 No\n3 Later"
    shown.choose(Status.SIGNED)
    assert shown.status is Status.SIGNED


def test_nobody_reaches_the_pin_before_the_last_page() -> None:
    sim = subscriber().sim
    shown = dialogue(sim)
    for _ in range(3):
        with pytest.raises(WrongKey):
            shown.enter_pin(sim.pin)
        with pytest.raises(WrongKey):
            shown.choose(Status.SIGNED)
        shown.ok()
    assert shown.step is Step.PIN
    assert sim.pin_tries == 3


def test_the_question_needs_the_pin() -> None:
    shown = dialogue()
    read(shown)
    with pytest.raises(WrongKey):
        shown.choose(Status.SIGNED)


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("question", Question)
def test_the_question_says_what_it_is_for_in_each_language(
    language: str, question: Question
) -> None:
    sim = subscriber().sim
    shown = dialogue(sim, question=question, language=language)
    read(shown)
    shown.enter_pin(sim.pin)
    other = next(each for each in Question if each is not question)
    assert WORDS[language].questions[question] in shown.text
    assert WORDS[language].questions[other] not in shown.text


@pytest.mark.parametrize("language", WORDS)
def test_the_applets_own_words_fit_the_smallest_screen(language: str) -> None:
    words = WORDS[language]
    for text in (words.pin, words.tries.format(2), *words.questions.values(), *words.choices):
        assert SCREENS["1x16"].pages(text) == [text]
        check_text(text)


def test_wrong_pins_are_counted_and_the_third_blocks() -> None:
    sim = subscriber().sim
    shown = dialogue(sim)
    read(shown)
    shown.enter_pin("0000")
    assert shown.text == "Wrong, 2 left"
    shown.enter_pin("0000")
    shown.enter_pin("0000")
    assert shown.status is Status.PIN_BLOCKED
    assert dialogue(sim).status is Status.PIN_BLOCKED


@pytest.mark.parametrize("steps", range(5))
def test_it_can_be_cancelled_at_any_step(steps: int) -> None:
    sim = subscriber().sim
    shown = dialogue(sim)
    for _ in range(min(steps, 3)):
        shown.ok()
    if steps > 3:
        shown.enter_pin(sim.pin)
    shown.cancel()
    assert shown.status is Status.CANCELLED
    for key in (Dialogue.ok, Dialogue.cancel):
        with pytest.raises(WrongKey):
            key(shown)


def test_a_phone_without_ucs2_signs_no_text_that_it_cannot_show() -> None:
    """Cut or replaced, the text would be another than the one that is signed."""
    shown = dialogue(text="Банк: келісімшарт", alphabet=Alphabet.GSM_7BIT)
    assert (shown.status, shown.step) == (Status.NOT_SHOWN, Step.ENDED)


def test_a_phone_without_ucs2_has_english_words() -> None:
    shown = dialogue(language="kk", alphabet=Alphabet.GSM_7BIT)
    assert alphabet_for("".join(read(shown)) + shown.text) is Alphabet.GSM_7BIT
