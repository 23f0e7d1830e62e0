"""SIGKILL at each named step: nothing that a sender or the SMSC was told of is lost or doubled.

The SMSC is in this process, and its own record is compared one to one with the database.
tests/judges/test_messaging.py does the same against SMSCs that others wrote.
"""

from __future__ import annotations

import os
import random
from collections.abc import Hashable, Sequence

import pytest

from tests.smsc import Delivery, Smsc, running
from tests.unit.messaging.crash_service import STEPS
from tests.unit.messaging.crashes import kill_at, seed

KILLS_A_STEP = 5
# A twentieth of all of them, rounded up, at every `make test`.
FEW_KILLS = 3


class RecordingSmsc(Smsc):
    """The tests' own SMSC."""

    async def send_texts(self, texts: Sequence[str]) -> None:
        contents = [text.encode("utf-16-be") for text in texts]
        await self.deliver(
            *(Delivery("77010000001", "1414", each, data_coding=8) for each in contents)
        )

    async def settle(self) -> None:
        """What happens is recorded at once."""

    def taken_texts(self) -> list[tuple[str, Hashable]]:
        return [(each.user_data.decode("utf-16-be"), each) for each in self.taken]

    def acknowledged_texts(self) -> set[str]:
        return {each.user_data.decode("utf-16-be") for each in self.acknowledged}


async def test_nothing_is_lost_when_the_service_is_killed(database_url: str) -> None:
    chance = random.Random(seed())
    smsc = RecordingSmsc()
    async with running(smsc):
        await kill_at(database_url, smsc, chance.sample(STEPS, FEW_KILLS), chance)


@pytest.mark.long
@pytest.mark.skipif("LONG_RUN" not in os.environ, reason="minutes; LONG_RUN=1 runs it")
async def test_nothing_is_lost_in_fifty_five_kills(database_url: str) -> None:
    chance = random.Random(seed())
    steps = list(STEPS * KILLS_A_STEP)
    chance.shuffle(steps)
    smsc = RecordingSmsc()
    async with running(smsc):
        await kill_at(database_url, smsc, steps, chance)
