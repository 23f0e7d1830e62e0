"""Many certificates hold the event loop for moments only: threads do the work, in parts.

How long those moments are is measured by `qagazsyz bench --only certificates`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.validation import crl, ocsp_client
from services.identity.validation.paths import Paths
from tests.unit.identity.chains import NOW, Made
from tests.unit.identity.test_revocation import LIST, OCSP, World

GOOD = {Status.CERTIFICATE_STATUS_GOOD}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "trust")


def watched(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> list[threading.Thread]:
    """The threads in which the function is called from now on."""
    threads: list[threading.Thread] = []
    work: Callable[..., Any] = getattr(place, name)

    def watching(*arguments: Any, **named: Any) -> Any:
        threads.append(threading.current_thread())
        return work(*arguments, **named)

    monkeypatch.setattr(place, name, watching)
    return threads


def by_name(leaves: list[Made]) -> dict[str, bytes]:
    return {str(index): leaf.der for index, leaf in enumerate(leaves)}


async def test_paths_lists_and_answers_are_judged_in_threads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = world.leaf(ocsp=[OCSP])
    world.answers(asked)
    world.publishes()
    work = [
        watched(monkeypatch, Paths, "find"),
        watched(monkeypatch, crl, "read"),
        watched(monkeypatch, ocsp_client, "read"),
    ]

    judged = await world.validator.judge_many(
        by_name([asked, world.leaf(lists=[LIST])]), at=world.clock()
    )

    assert {judgement.status for judgement in judged.values()} == GOOD
    assert [len(threads) for threads in work] == [2, 1, 1]
    assert threading.current_thread() not in {thread for threads in work for thread in threads}


async def test_others_have_their_turn_among_many_certificates(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publishes()
    many = by_name([world.leaf(lists=[LIST]) for _ in range(96)])
    other = world.leaf(lists=[LIST]).der
    await world.validator.judge_many({}, at=world.clock())
    order: list[bytes] = []
    began, go_on = threading.Event(), threading.Event()
    find = Paths.find

    def waiting(self: Paths, der: bytes, *arguments: Any) -> Any:
        order.append(der)
        began.set()
        assert go_on.wait(60)
        return find(self, der, *arguments)

    monkeypatch.setattr(Paths, "find", waiting)
    first = asyncio.create_task(world.validator.judge_many(many, at=NOW))
    await asyncio.to_thread(began.wait, 60)
    second = asyncio.create_task(world.validator.judge_many({"other": other}, at=NOW))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, second)

    # After the part that was under way, and one more while it looked at the trust folder.
    assert order.index(other) <= 64


async def test_known_certificates_are_looked_up_in_parts(world: World) -> None:
    world.publishes()
    leaf = world.leaf(lists=[LIST]).der
    many = {str(index): leaf for index in range(1_000)}
    await world.validator.judge_many(many, at=NOW)
    turns, done = 0, False

    async def count() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    judged = await world.validator.judge_many(many, at=NOW)
    done = True
    await counting

    assert {judgement.status for judgement in judged.values()} == GOOD
    # Kept paths, what is known of revocation, answers: each in four parts.
    assert turns >= 12
