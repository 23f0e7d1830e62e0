"""The demo's chapter with phones, on a suite and a simulated network of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from demo.main import running_suite_on
from demo.mobile_network import PhoneInHand, running_network
from demo.phone_steps import CODE_DIGITS, PHONES, PhoneSteps
from demo.steps import Demo, Mismatch
from phones.screens import SCREENS
from tests.builders import new_person
from tests.integration.world import World


def read(screens: Sequence[str]) -> list[str]:
    """What stands on each screen, its lines joined."""
    texts = []
    for screen in screens:
        rows = [line.strip("│") for line in screen.split("\n") if line.startswith("│")]
        texts.append(" ".join(row.strip() for row in rows).strip())
    return texts


async def test_of_three_people_with_phones_one_signs_one_cancels_and_one_has_another_sim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Sequence[str]] = []
    async with (
        running_network(tmp_path / "phones", PHONES) as network,
        running_suite_on(tmp_path / "data", 1, network) as suite,
    ):
        world = World(suite)
        demo = Demo(suite, tmp_path, lambda _at, _total: None)
        demo.actors = {"operator": world.operator, "first bank": await world.officer()}
        demo.people = [new_person() for _ in range(PHONES)]
        demo.citizens = [await world.enrolment().citizen(person) for person in demo.people]
        steps = PhoneSteps(demo, network, lambda _caption, screens: shown.append(screens))
        try:
            results = {title: (await demo.run(title, step)).what for title, step in steps.steps()}
            # A person who signs where the demo says that they cancel is found.
            with monkeypatch.context() as patch:
                patch.setattr(PhoneInHand, "cancel", PhoneInHand.agree)
                with pytest.raises(Mismatch, match="the outcome"):
                    await steps.cancel()
        finally:
            await demo.close()
            await world.close()

    assert results["Cancelled on the phone"] == "no signature: FAILED, USER_CANCELLED"
    assert results["SIM swap"].startswith("FAILED, PHONE_ENDED;")
    bound, signed_in, signed, cancelled, swapped = map(read, shown[:5])
    assert bound[:2] == ["Qagazsyz: осы", "нөмірді өзіңізге"]
    assert bound[2].startswith("тіркеу Код ")
    assert signed_in[-3:] == ["PIN енгізіңіз", "Кіресіз бе?", "1 Иә"]
    assert signed[:2] == ["Qagazsyz: № 17", "қарыз шарты Код"]
    assert len(signed[2]) == CODE_DIGITS
    assert signed[-3:] == ["PIN енгізіңіз", "Қол қоясыз ба?", "1 Иә"]
    assert cancelled[-1] == "Введите PIN"
    assert swapped[-1] == "Enter PIN"
    for size, screens in zip(("1x16", "1x16", "1x16", "2x16", "8x20"), shown[:5], strict=True):
        framed = [len(screen.split("\n")) - 2 for screen in screens]
        assert set(framed) == {SCREENS[size].rows}
