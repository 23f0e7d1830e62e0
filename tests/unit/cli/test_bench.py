"""What the bench measures with is itself right: its signatures, its authority, its clocks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import event_loop, gost, processes
from benchmarks.command import Part
from benchmarks.inputs import Keyring, schemes
from benchmarks.report import Figure
from cli.main import tool
from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.validation.safe_http import AddressPolicy, Fetcher
from services.identity.validation.trust_store import TrustFolder
from services.identity.validation.validator import Validator
from services.runtime.clock import system_clock, system_randomness
from signatures.backend import load_backend
from testing import external_ca

NAMES = [scheme.name for scheme in schemes()]


@pytest.mark.parametrize("name", NAMES)
def test_signatures_of_every_algorithm_hold(name: str) -> None:
    scheme = next(scheme for scheme in schemes() if scheme.name == name)
    batch = load_backend().parse_batch(Keyring().sign(scheme, items=4, signers=2).request(4))
    assert list(batch.verify(0, 4)) == [1] * 4


def test_keys_of_gost_are_made_one_after_the_other() -> None:
    keys = gost.Keys(gost.BITS_256)
    first, second = keys.generate(), keys.generate()
    curve = first.family.curve
    assert second.secret == first.secret + 1
    for key in (first, second):
        assert key.point == curve.sum_of([(key.secret, curve.odd_multiples(curve.base))])


@pytest.mark.parametrize("by_ocsp", [False, True], ids=["by list", "by OCSP"])
async def test_certificates_of_the_outside_authority_are_good(
    tmp_path: Path, by_ocsp: bool
) -> None:
    folder = tmp_path / "trust"
    fetcher = Fetcher(AddressPolicy.of([], ["127.0.0.0/8"]))
    validator = Validator(
        folder=TrustFolder(folder),
        fetch=fetcher,
        clock=system_clock,
        randomness=system_randomness,
    )
    with external_ca.running() as place:
        authority = place.new_authority()
        authority.trust(folder)
        certificates = dict(zip("abc", authority.certificates(3, by_ocsp=by_ocsp), strict=True))
        judged = await validator.validate_many(certificates, at=system_clock())
    await fetcher.close()
    validator.close()
    assert {one.status for one in judged.values()} == {Status.CERTIFICATE_STATUS_GOOD}


async def test_a_callback_that_holds_the_loop_is_seen() -> None:
    def hold() -> None:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass

    with event_loop.callbacks() as held:
        asyncio.get_running_loop().call_soon(hold)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    counted = len(held)
    await asyncio.sleep(0)
    assert max(held) >= 20
    assert len(held) == counted


def test_the_cpu_of_a_process_and_of_those_it_started_is_counted() -> None:
    code = "import sys; sum(range(3_000_000)); print('done', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        theirs, ours = processes.usage(child.pid), processes.usage(os.getpid())
        assert 0 < theirs.cpu < ours.cpu
        assert 0 < theirs.resident <= theirs.peak
        child.communicate()


def test_a_figure_is_reached_on_its_side_of_the_goal() -> None:
    assert Figure("a floor", 2, at_least=2).reached
    assert not Figure("a floor", 1.9, at_least=2).reached
    assert Figure("a ceiling", 2, at_most=2).reached
    assert not Figure("a ceiling", 2.1, at_most=2).reached


def test_help_says_what_each_part_measures() -> None:
    told = CliRunner().invoke(tool, ["bench", "--help"]).output
    for part in Part:
        assert f"  {part.value}: " in told
