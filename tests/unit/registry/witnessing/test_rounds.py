"""Witnesses are asked in the background, and their cosignatures kept and served."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from qagazsyz import notes
from qagazsyz.receipts import NotCosigned, verify_receipt
from services.registry.log.transparency_log import encode_entry
from services.registry.witnessing.rounds import WitnessRounds
from services.registry.witnessing.witness_calls import (
    ANSWER_LIMIT_BYTES,
    WitnessCalls,
    parse_keys,
    parse_witnesses,
)
from services.runtime.settings import CannotStart
from tests.unit.registry.ledger import WITNESS, Ledger, entries, log_key, opened
from tests.unit.registry.witnessing.witness import NOW, FakeWitness, serving


@dataclass
class Scene:
    """A ledger, a witness, and the rounds between them."""

    ledger: Ledger
    witness: FakeWitness
    calls: WitnessCalls
    url: str

    def rounds(self) -> WitnessRounds:
        """Rounds that know nothing yet, as those of a process that has just started."""
        asked = parse_witnesses([WITNESS], f"{WITNESS.name}={self.url}/")
        return WitnessRounds(self.ledger.database, self.ledger.transparency_log, asked, self.calls)

    async def cosigned(self) -> dict[int, int]:
        """The size and the time of the newest cosigned checkpoint."""
        async with self.ledger.database.reading() as connection:
            data = await self.ledger.transparency_log.cosigned_checkpoint(connection)
        if data is None:
            return {}
        (time,) = notes.Note.parse(data).verify([WITNESS]).values()
        assert time is not None
        return {notes.open_checkpoint(data, log_key().verifier).tree_size: time}


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    witness = FakeWitness()
    calls = WitnessCalls()
    async with (
        opened(database_url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger,
        serving(witness) as url,
    ):
        yield Scene(ledger, witness, calls, url)
        await calls.close()


async def test_each_round_proves_what_grew_since_the_last(scene: Scene) -> None:
    rounds = scene.rounds()
    await rounds.run()
    assert scene.witness.asked == [], "an empty log is not sent"
    for start, stop in ((0, 5), (5, 300), (300, 301)):
        await scene.ledger.sequencer.submit(entries(start, stop))
        await rounds.run()
        assert await scene.cosigned() == {stop: NOW}
    assert scene.witness.asked == [0, 5, 300]


async def test_a_process_that_has_just_started_learns_what_the_witness_saw(scene: Scene) -> None:
    await scene.ledger.sequencer.submit(entries(0, 5))
    await scene.rounds().run()
    await scene.ledger.sequencer.submit(entries(5, 9))
    await scene.rounds().run()
    assert scene.witness.asked == [0, 0, 5]
    assert await scene.cosigned() == {9: NOW}


async def test_a_log_that_has_not_grown_is_cosigned_again_and_the_newer_time_stays(
    scene: Scene,
) -> None:
    await scene.ledger.sequencer.submit(entries(0, 5))
    rounds = scene.rounds()
    for now, kept in ((NOW, NOW), (NOW + 60, NOW + 60), (NOW + 30, NOW + 60)):
        scene.witness.now = now
        await rounds.run()
        assert await scene.cosigned() == {5: kept}


async def test_a_witness_that_saw_a_larger_tree_is_an_alarm(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.ledger.sequencer.submit(entries(0, 5))
    scene.witness.size = 9
    await scene.rounds().run()
    assert "saw 9 entries, the log has 5" in caplog.text
    assert any(each.levelno == logging.CRITICAL for each in caplog.records)
    assert await scene.cosigned() == {}


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500),
        web.Response(status=302, headers={"location": "http://elsewhere.example/"}),
        web.Response(status=409, text="5\n"),
        web.Response(status=409, text="x", headers={"content-type": "text/x.tlog.size"}),
        web.Response(text="no signature line\n"),
        web.Response(text=f"— {WITNESS.name} AAAAAAAA\n"),
        web.Response(text=""),
        web.Response(body=b"x" * (ANSWER_LIMIT_BYTES + 1)),
        web.Response(body=b"\xff"),
    ],
)
async def test_a_witness_that_answers_anything_else_is_logged_and_asked_again(
    tmp_path: Path, answer: web.Response, caplog: pytest.LogCaptureFixture
) -> None:
    witness, calls = FakeWitness(answer=answer), WitnessCalls()
    url = f"sqlite:///{tmp_path}/test.db"
    async with (
        opened(url, tmp_path / "contents", witnesses=(WITNESS,)) as ledger,
        serving(witness) as address,
    ):
        scene = Scene(ledger, witness, calls, address)
        await ledger.sequencer.submit(entries(0, 5))
        rounds = scene.rounds()
        await rounds.run()
        assert f"the witness {WITNESS.name} did not cosign" in caplog.text
        assert await scene.cosigned() == {}
        witness.answer = None
        await rounds.run()
        assert await scene.cosigned() == {5: NOW}
        await calls.close()


async def test_a_witness_that_is_away_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    witness, calls = FakeWitness(), WitnessCalls()
    async with serving(witness) as url:
        pass
    database = f"sqlite:///{tmp_path}/test.db"
    async with opened(database, tmp_path / "contents", witnesses=(WITNESS,)) as ledger:
        await ledger.sequencer.submit(entries(0, 5))
        await Scene(ledger, witness, calls, url).rounds().run()
        assert "did not cosign" in caplog.text
        await calls.close()


async def test_receipts_carry_the_cosignatures_once_a_witness_has_seen_their_entries(
    scene: Scene,
) -> None:
    entry = encode_entry({"v": 1, "event": "tested"})
    await scene.ledger.sequencer.submit([entry])
    with pytest.raises(NotCosigned):
        receipt = await scene.ledger.receipt(0)
        verify_receipt(receipt, log_key().verifier, witnesses=[WITNESS], cosignatures=1)
    await scene.rounds().run()
    await scene.ledger.sequencer.submit(entries(1, 300))
    receipt = await scene.ledger.receipt(0)
    proved = verify_receipt(receipt, log_key().verifier, witnesses=[WITNESS], cosignatures=1)
    assert (proved.tree_size, proved.witnesses) == (1, {WITNESS.name: NOW})
    newer = verify_receipt(await scene.ledger.receipt(200), log_key().verifier)
    assert newer.tree_size == 300, "not yet seen by a witness: against the latest checkpoint"


@pytest.mark.parametrize(
    "text",
    [
        "other=https://w.example",
        f"{WITNESS.name}",
        f"{WITNESS.name}=ftp://w.example",
        f"{WITNESS.name}=http://a {WITNESS.name}=http://b",
    ],
)
def test_a_list_of_witnesses_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(CannotStart):
        parse_witnesses([WITNESS], text)


def test_a_key_that_is_none_is_refused_at_the_start() -> None:
    assert parse_keys(f"{WITNESS} {WITNESS}") == [WITNESS, WITNESS]
    with pytest.raises(CannotStart, match="QAGAZSYZ_LOG_WITNESSES"):
        parse_keys("no+key")
