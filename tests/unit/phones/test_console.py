"""Commands as they are typed: what the screen shows, and what the platform gets of it."""

from __future__ import annotations

import pytest

from phones.console import HELP, CommandRefused, Console, Quit
from phones.handset import Phone
from sms.applet import Status
from sms.parts import split_text
from tests.unit.phones.conftest import World
from tests.unit.phones.esme import Platform, verifies

NUMBER = "+77010001000"


class Terminal:
    """A console, and what it has printed."""

    def __init__(self, world: World) -> None:
        self.lines: list[str] = []
        self._console = Console(
            world.network, world.smsc, self.lines.append, lambda size: b"7" * size
        )

    async def type(self, *commands: str) -> str:
        """Run commands; return what the last one printed."""
        for command in commands:
            self.lines.clear()
            await self._console.run(command)
        return "\n".join(self.lines)


@pytest.fixture
def terminal(world: World) -> Terminal:
    return Terminal(world)


@pytest.fixture
def phone(world: World) -> Phone:
    return world.phone()


async def test_a_person_signs_at_the_terminal(
    terminal: Terminal, platform: Platform, phone: Phone
) -> None:
    assert await terminal.type(f"phone {NUMBER}") == (
        "┌────────────────┐\n│                │\n└────────────────┘"
    )
    platform.ask(phone.subscriber)
    await terminal.type("expect contract 17")
    assert await terminal.type("screen") == (
        "┌────────────────┐\n│Bank: contract  │\n└────────────────┘ 1/2"
    )
    assert "17 Code" in await terminal.type("ok")
    assert "Enter PIN" in await terminal.type("ok")
    shown = await terminal.type(f"pin {phone.subscriber.sim.pin}")
    assert "Sign?" in shown
    assert phone.subscriber.sim.pin not in shown
    await terminal.type("yes")
    await platform.esme.settle()
    assert verifies(platform.answers(phone.subscriber)[0], phone.subscriber)


@pytest.mark.parametrize(
    ("commands", "status"),
    [
        (["no"], Status.CANCELLED),
        (["later"], Status.POSTPONED),
        (["cancel"], Status.CANCELLED),
    ],
)
async def test_a_person_says_no_or_later(
    terminal: Terminal, platform: Platform, phone: Phone, commands: list[str], status: Status
) -> None:
    await terminal.type(f"phone {NUMBER}")
    platform.ask(phone.subscriber)
    await terminal.type("expect Bank:", "ok", "ok", f"pin {phone.subscriber.sim.pin}", *commands)
    await platform.esme.settle()
    assert platform.answers(phone.subscriber)[0].status is status


async def test_a_blocked_pin_is_unblocked_by_the_puk(terminal: Terminal, phone: Phone) -> None:
    sim = phone.subscriber.sim
    sim.pin_tries = 0
    await terminal.type(f"phone {NUMBER}")
    assert await terminal.type("puk 99999999 4321") == "wrong PUK, tries left: 9"
    assert await terminal.type(f"puk {sim.puk} 4321") == "the PIN is set"
    assert (sim.pin, sim.pin_tries) == ("4321", 3)


async def test_a_text_is_sent_as_it_was_typed(terminal: Terminal, platform: Platform) -> None:
    await terminal.type(f"phone {NUMBER}", "send 1414 R 1 1 2", "send 1414 'Қ  1'")
    await platform.esme.settle()
    assert [each.user_data for each in platform.esme.messages] == [
        b"R 1 1 2",
        "Қ  1".encode("utf-16-be"),
    ]


async def test_a_text_is_shown_with_all_its_pages(terminal: Terminal, platform: Platform) -> None:
    await terminal.type(f"phone {NUMBER}")
    platform.esme.submit(NUMBER, split_text("Your request is ready", 1)[0])
    await terminal.type("expect ready")
    assert await terminal.type("screen") == (
        "┌────────────────┐\n│Your request is │\n└────────────────┘ 1/2\n"
        "┌────────────────┐\n│ready           │\n└────────────────┘ 2/2"
    )
    assert await terminal.type("inbox") == "1414: Your request is ready"


async def test_a_phone_that_is_put_down_answers_by_itself(
    terminal: Terminal, platform: Platform, phone: Phone
) -> None:
    await terminal.type(f"phone {NUMBER}", "leave")
    platform.ask(phone.subscriber)
    await platform.esme.settle()
    assert platform.answers(phone.subscriber)[0].status is Status.SIGNED


async def test_taking_another_phone_puts_the_first_one_down(
    terminal: Terminal, phone: Phone
) -> None:
    await terminal.type(f"phone {NUMBER}", "phone +77010001401")
    assert phone.subscriber.answers == "by themselves"


async def test_a_swap_shows_the_new_card(terminal: Terminal, phone: Phone) -> None:
    old = phone.subscriber.sim
    await terminal.type(f"phone {NUMBER}")
    printed = await terminal.type("swap")
    new = phone.subscriber.sim
    assert new.iccid != old.iccid
    assert printed.splitlines()[-1] == f"ICCID {new.iccid}, PIN {new.pin}, PUK {new.puk}"


async def test_a_phone_that_is_off_sends_nothing(terminal: Terminal, platform: Platform) -> None:
    await terminal.type(f"phone {NUMBER}", "off")
    with pytest.raises(CommandRefused, match="off"):
        await terminal.type("send 1414 R 1")
    await platform.esme.settle()
    assert platform.esme.messages == []


async def test_the_phone_is_switched(terminal: Terminal, phone: Phone) -> None:
    await terminal.type(f"phone {NUMBER}")
    for power in ("off", "roaming", "on"):
        await terminal.type(power)
        assert phone.subscriber.power == power


async def test_the_clock_is_moved(terminal: Terminal) -> None:
    assert await terminal.type("clock advance 60") == "2026-11-27T12:01:00+00:00"
    await terminal.type("clock release", "clock hold")


async def test_a_driver_hears_that_its_commands_were_carried_out(terminal: Terminal) -> None:
    assert await terminal.type("clock hold", "say held now") == "held now"


async def test_faults_are_set(terminal: Terminal, world: World) -> None:
    await terminal.type("fault throttle 3", "fault mute 1")
    assert (world.smsc.faults.throttle, world.smsc.faults.mute) == (3, True)


async def test_every_number_is_listed_with_what_it_does(terminal: Terminal, world: World) -> None:
    lines = (await terminal.type("phones")).splitlines()
    assert len(lines) == len(world.network.phones)
    assert lines[0] == f"{NUMBER} 1x16 en ucs2 on, PIN {world.subscriber().sim.pin}"
    assert any(line.startswith("+77010001401") and line.endswith(" cancels") for line in lines)


async def test_help_names_every_command(terminal: Terminal) -> None:
    assert await terminal.type("help") == HELP
    for command in terminal._console._commands:
        assert command in HELP


@pytest.mark.parametrize(
    "command",
    [
        "screen",  # no phone is in hand
        "ok",
        "dance",
        "phone",
        "phone +1",
        "clock",
        "clock advance soon",
        "fault",
        "fault gravity 1",
        "fault throttle many",
        "expect",
        "send 'open",
    ],
)
async def test_a_wrong_command_is_refused(terminal: Terminal, command: str) -> None:
    with pytest.raises(CommandRefused):
        await terminal.type(command)


@pytest.mark.parametrize(
    "command", ["ok", "cancel", "yes", "pin 1234", "pin 12", "puk 1 2", "send 1414", "send 1414 🙂"]
)
async def test_a_key_that_the_phone_does_not_take_is_refused(
    terminal: Terminal, command: str
) -> None:
    await terminal.type(f"phone {NUMBER}")
    with pytest.raises(CommandRefused):
        await terminal.type(command)


async def test_a_screen_that_never_comes_ends_the_wait(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phones.console.EXPECT_SECONDS", 0)
    await terminal.type(f"phone {NUMBER}")
    with pytest.raises(CommandRefused, match="never had 'Sign"):
        await terminal.type("expect Sign?")


async def test_empty_lines_and_comments_do_nothing(terminal: Terminal) -> None:
    assert await terminal.type("", "   ", "# a comment") == ""


async def test_quit_ends_it(terminal: Terminal) -> None:
    with pytest.raises(Quit):
        await terminal.type("quit")
