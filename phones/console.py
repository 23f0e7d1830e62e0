"""Commands to the simulated network: typed at a terminal, piped in, or from a script.

One language for all three. What a person at the terminal does with the phone in hand is a command,
and so is what an operator does with the network; a script can wait for what a screen shows.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable

from phones.dialogues import Dialogue, WrongKey
from phones.handset import Phone
from phones.network import Network, NoSuchPhone
from phones.outcomes import Outcome
from phones.screens import SCREENS
from phones.smsc.faults import UnknownFault
from phones.smsc.server import Smsc
from phones.subscribers import new_sim
from sms.alphabets import NotInAlphabet
from sms.applet import Status

# How long a script waits for what it expects, in real time: the platform may be slow, not lost.
EXPECT_SECONDS = 30.0
# Both are of the card's: 3GPP TS 31.101, section 9.5, asks for 4 to 8 digits.
_PIN_DIGITS = range(4, 9)

HELP = """\
phones                      all numbers, with what their last three digits ask for
phone +77010001000          take a phone in hand: from now on you answer
leave                       put it down: its person answers by themselves again
screen                      draw its screen again
ok | cancel                 the next page or step | end the request
pin 1234                    type the PIN; it is not shown
yes | no | later            answer the question
puk 12345678 4321           unblock the PIN by the PUK, and set a new one
send 1414 R 1 1 2           send a text to a short number
inbox                       the texts that the phone has
on | off | roaming          switch it
swap                        put a new SIM into it; export the lists again
clock hold | release | advance 60
fault throttle 3            what the SMSC does wrong: throttle, queue_full, rate, drop_answer,
                            refuse_bind, mute, no_receipts, early_receipts, decimal_receipts,
                            late_receipts, double
expect Sign?                wait until the phone's screen or newest text has this, spaces aside
say done                    print this: all commands before it have been carried out
help | quit"""


class CommandRefused(Exception):
    """A command that is not one, or that the phone or the network does not take now."""


class Quit(Exception):
    """The command to end."""


class Console:
    """Runs commands, and shows what the phone in hand shows. out: prints one line."""

    def __init__(
        self,
        network: Network,
        smsc: Smsc,
        out: Callable[[str], None],
        randomness: Callable[[int], bytes],
    ) -> None:
        self._network = network
        self._smsc = smsc
        self._out = out
        self._randomness = randomness
        self._in_hand: Phone | None = None
        self._screen_changed = asyncio.Event()
        self._commands: dict[str, Callable[[list[str]], Awaitable[None] | None]] = {
            "phones": self._phones,
            "phone": self._take,
            "leave": self._leave,
            "screen": lambda _: self._show(),
            "ok": lambda _: self._press(Dialogue.ok),
            "cancel": lambda _: self._press(Dialogue.cancel),
            "pin": self._pin,
            "yes": lambda _: self._press(lambda each: each.choose(Status.SIGNED)),
            "no": lambda _: self._press(lambda each: each.choose(Status.CANCELLED)),
            "later": lambda _: self._press(lambda each: each.choose(Status.POSTPONED)),
            "puk": self._puk,
            "send": self._send,
            "inbox": self._inbox,
            "on": lambda _: self._switch("on"),
            "off": lambda _: self._switch("off"),
            "roaming": lambda _: self._switch("roaming"),
            "swap": self._swap,
            "clock": self._clock,
            "fault": self._fault,
            "expect": self._expect,
            "say": lambda words: self._out(" ".join(words)),
            "help": lambda _: self._lines(HELP),
            "quit": self._quit,
        }

    async def run(self, line: str) -> None:
        """Run one command. Empty lines and those that begin with # do nothing.

        Raises CommandRefused, and Quit.
        """
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise CommandRefused(str(error)) from None
        if not words:
            return
        command = self._commands.get(words[0])
        if command is None:
            raise CommandRefused(f"{words[0]}: no such command; help lists them")
        try:
            waits = command(words[1:])
            if waits is not None:
                await waits
        except NoSuchPhone as error:
            raise CommandRefused(f"{error.args[0]}: no such phone") from None
        except (WrongKey, UnknownFault, NotInAlphabet) as error:
            raise CommandRefused(str(error)) from None

    # --- the phone in hand ------------------------------------------------------------------------

    @property
    def _phone(self) -> Phone:
        if self._in_hand is None:
            raise CommandRefused("no phone is in hand: phone +7…")
        return self._in_hand

    def _take(self, words: list[str]) -> None:
        (number,) = _exactly(words, 1, "phone NUMBER")
        phone = self._network.phone(number)
        if self._in_hand is not None:
            self._leave([])
        self._in_hand = phone
        phone.subscriber.answers = "by hand"
        phone.changed = self._changed
        self._show()

    def _leave(self, _words: list[str]) -> None:
        phone, self._in_hand = self._phone, None
        phone.changed = lambda: None
        phone.subscriber.answers = "by themselves"

    def _changed(self) -> None:
        self._screen_changed.set()
        self._show()

    def _show(self) -> None:
        self._lines(self._drawn())

    def _drawn(self) -> str:
        """The screen of the phone in hand: its dialogue, else its newest text, else nothing."""
        phone = self._phone
        if phone.dialogue is not None:
            return phone.dialogue.draw()
        screen = SCREENS[phone.subscriber.screen]
        pages = screen.pages(phone.texts[-1][1]) if phone.texts else [""]
        return "\n".join(
            screen.draw(page, f"{number}/{len(pages)}" if len(pages) > 1 else "")
            for number, page in enumerate(pages, start=1)
        )

    def _press(self, key: Callable[[Dialogue], None]) -> None:
        self._network.press(self._phone, key)

    def _pin(self, words: list[str]) -> None:
        (pin,) = _exactly(words, 1, "pin DIGITS")
        self._press(lambda each: each.enter_pin(_digits(pin)))

    def _puk(self, words: list[str]) -> None:
        puk, pin = _exactly(words, 2, "puk PUK NEW-PIN")
        sim = self._phone.subscriber.sim
        done = sim.unblock(_digits(puk), _digits(pin))
        self._out("the PIN is set" if done else f"wrong PUK, tries left: {sim.puk_tries}")

    def _send(self, words: list[str]) -> None:
        if len(words) < 2:
            raise CommandRefused("send SHORT-NUMBER TEXT")
        number = self._phone.subscriber.number
        self._network.send_text(number, words[0], " ".join(words[1:]))

    def _inbox(self, _words: list[str]) -> None:
        for source, text in self._phone.texts:
            self._out(f"{source}: {text}")

    def _switch(self, power: str) -> None:
        self._network.switch(self._phone.subscriber.number, power)

    def _swap(self, _words: list[str]) -> None:
        sim = new_sim(self._randomness)
        self._network.swap_sim(self._phone.subscriber.number, sim)
        self._out(f"ICCID {sim.iccid}, PIN {sim.pin}, PUK {sim.puk}")

    async def _expect(self, words: list[str]) -> None:
        """Wait until the screen, its pages and lines joined, has the text; spaces do not count."""
        wanted = "".join("".join(words).split())
        if not wanted:
            raise CommandRefused("expect TEXT")
        try:
            async with asyncio.timeout(EXPECT_SECONDS):
                while wanted not in self._shown():
                    self._screen_changed.clear()
                    await self._screen_changed.wait()
        except TimeoutError:
            raise CommandRefused(f"the screen never had {' '.join(words)!r}") from None

    def _shown(self) -> str:
        phone = self._phone
        if phone.dialogue is not None:
            text = phone.dialogue.text
        else:
            text = phone.texts[-1][1] if phone.texts else ""
        return "".join(text.split())

    # --- the network ------------------------------------------------------------------------------

    def _phones(self, _words: list[str]) -> None:
        for phone in self._network.phones.values():
            one = phone.subscriber
            does = "" if one.outcome is Outcome.SIGNS else f" {one.outcome.name.lower()}"
            self._out(
                f"{one.number} {one.screen} {one.language} {one.alphabet.value} {one.power}, "
                f"PIN {one.sim.pin}{does}"
            )

    def _clock(self, words: list[str]) -> None:
        clock = self._network.clock
        match words:
            case ["hold"]:
                clock.hold()
            case ["release"]:
                clock.release()
            case ["advance", seconds] if seconds.isdecimal():
                clock.advance(int(seconds))
            case _:
                raise CommandRefused("clock hold, clock release, clock advance SECONDS")
        self._out(clock.now().isoformat(timespec="seconds"))

    def _fault(self, words: list[str]) -> None:
        name, value = _exactly(words, 2, "fault NAME NUMBER")
        self._smsc.faults.set(name, value)

    def _quit(self, _words: list[str]) -> None:
        raise Quit

    def _lines(self, text: str) -> None:
        for line in text.split("\n"):
            self._out(line)


def _exactly(words: list[str], count: int, usage: str) -> list[str]:
    if len(words) != count:
        raise CommandRefused(usage)
    return words


def _digits(text: str) -> str:
    if not text.isdecimal() or not text.isascii() or len(text) not in _PIN_DIGITS:
        raise CommandRefused("a PIN or PUK has 4 to 8 digits")
    return text
