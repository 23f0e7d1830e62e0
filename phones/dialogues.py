"""The dialogue of a request on the phone's screen, as a SIM toolkit leads it.

The text with who asks and what for, and the code, page by page to the end; the PIN, hidden; then
the question, yes, no or later. Nobody reaches the PIN without having seen every page.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from phones.screens import Screen
from phones.sim import Sim
from sms.alphabets import Alphabet, alphabet_for
from sms.applet import Question, Request, Status


@dataclass(frozen=True, slots=True)
class Words:
    """What the applet says in one language."""

    code: str
    pin: str
    # With the number of tries that are left.
    tries: str
    questions: dict[Question, str]
    choices: tuple[str, str, str]


WORDS = {
    "kk": Words(
        code="Код",
        pin="PIN енгізіңіз",
        tries="Қате, қалды: {}",
        questions={Question.SIGN: "Қол қоясыз ба?", Question.ENTER: "Кіресіз бе?"},
        choices=("Иә", "Жоқ", "Кейін"),
    ),
    "ru": Words(
        code="Код",
        pin="Введите PIN",
        tries="Неверно, ещё {}",
        questions={Question.SIGN: "Подписать?", Question.ENTER: "Войти?"},
        choices=("Да", "Нет", "Позже"),
    ),
    "en": Words(
        code="Code",
        pin="Enter PIN",
        tries="Wrong, {} left",
        questions={Question.SIGN: "Sign?", Question.ENTER: "Enter?"},
        choices=("Yes", "No", "Later"),
    ),
}


class Step(Enum):
    """Where a dialogue stands."""

    READING = "reading"
    PIN = "pin"
    QUESTION = "question"
    ENDED = "ended"


class WrongKey(ValueError):
    """A key that the phone does not take at this step."""


class Dialogue:
    """One request on one screen; status says how it ended, None while it has not. text is what this
    step shows, over all its pages.

    language: one of WORDS. alphabet: what the handset can show; without UCS-2 its words are English
    ones, and a text in UCS-2 ends NOT_SHOWN at once.
    """

    def __init__(
        self, request: Request, sim: Sim, *, language: str, alphabet: Alphabet, screen: Screen
    ) -> None:
        self.request = request
        self.status: Status | None = sim.blocked
        self._sim = sim
        self._screen = screen
        self._words = WORDS[language] if alphabet is Alphabet.UCS2 else WORDS["en"]
        if self.status is None and alphabet_for(request.text) not in (alphabet, Alphabet.GSM_7BIT):
            self.status = Status.NOT_SHOWN
        self._step = Step.READING if self.status is None else Step.ENDED
        self._page = 0
        self.text = f"{request.text} {self._words.code} {request.code}"
        self._pages = screen.pages(self.text)

    @property
    def step(self) -> Step:
        return self._step

    def draw(self) -> str:
        """Return the screen as it is now, with a frame."""
        note = f"{self._page + 1}/{len(self._pages)}" if len(self._pages) > 1 else ""
        return self._screen.draw(self._pages[self._page], note)

    def ok(self) -> None:
        """Turn the page; after the last one comes the next step."""
        if self._step is Step.ENDED:
            raise WrongKey("nothing is on the screen")
        if self._page + 1 < len(self._pages):
            self._page += 1
        elif self._step is Step.READING:
            self._show(Step.PIN, self._words.pin)
        else:
            self._page = 0

    def cancel(self) -> None:
        """End it at any step."""
        self._end(Status.CANCELLED)

    def enter_pin(self, pin: str) -> None:
        """Type the PIN. Raises WrongKey where none is asked for."""
        if self._step is not Step.PIN:
            raise WrongKey("no PIN is asked for")
        if self._sim.verify_pin(pin):
            choices = [f"{number} {word}" for number, word in enumerate(self._words.choices, 1)]
            question = self._words.questions[self.request.question]
            self._show(Step.QUESTION, "\n".join([question, *choices]))
        elif blocked := self._sim.blocked:
            self._end(blocked)
        else:
            self._show(Step.PIN, self._words.tries.format(self._sim.pin_tries))

    def choose(self, status: Status) -> None:
        """Answer the question: SIGNED, CANCELLED or POSTPONED. Raises WrongKey before it."""
        if self._step is not Step.QUESTION:
            raise WrongKey("nothing is asked yet")
        self._end(status)

    def _show(self, step: Step, text: str) -> None:
        self._step, self._page = step, 0
        self.text, self._pages = text, self._screen.pages(text)

    def _end(self, status: Status) -> None:
        if self._step is Step.ENDED:
            raise WrongKey("nothing is on the screen")
        self._step, self.status = Step.ENDED, status
