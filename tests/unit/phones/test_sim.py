from __future__ import annotations

import pytest

from phones.sim import PUK_TRIES
from sms.applet import Status
from sms.secured_packets import PacketRefused, ResponseStatus, read_response, write_command
from tests.unit.phones.conftest import subscriber


def test_a_right_pin_gives_all_tries_back() -> None:
    sim = subscriber().sim
    assert not sim.verify_pin("wrong")
    assert sim.pin_tries == 2
    assert sim.verify_pin(sim.pin)
    assert sim.pin_tries == 3


def test_a_blocked_pin_is_not_even_compared() -> None:
    sim = subscriber().sim
    for _ in range(3):
        sim.verify_pin("wrong")
    assert sim.blocked is Status.PIN_BLOCKED
    assert not sim.verify_pin(sim.pin)


def test_the_puk_unblocks_and_sets_a_new_pin() -> None:
    sim = subscriber().sim
    for _ in range(3):
        sim.verify_pin("wrong")
    assert sim.unblock(sim.puk, "4321")
    assert sim.blocked is None
    assert sim.verify_pin("4321")


def test_ten_wrong_puks_block_the_card_for_ever() -> None:
    sim = subscriber().sim
    for left in reversed(range(PUK_TRIES)):
        assert sim.blocked is None
        assert not sim.unblock("00000000", "4321")
        assert sim.puk_tries == left
    assert sim.blocked is Status.CARD_BLOCKED
    assert not sim.unblock(sim.puk, "4321")
    assert not sim.verify_pin(sim.pin)


def test_a_command_is_accepted_once_and_refused_ones_change_nothing() -> None:
    sim = subscriber().sim
    packet = write_command(9, b"", sim.mac_key)
    sim.accept(packet)
    for refused in (packet, write_command(1_000, b"", bytes(16))):
        with pytest.raises(PacketRefused) as caught:
            sim.accept(refused)
        assert sim.counter == 9
    response = read_response(sim.refusal(caught.value), sim.mac_key)
    assert (response.status, response.counter) == (ResponseStatus.CHECKSUM_FAILED, 0)


def test_a_card_shows_none_of_its_secrets() -> None:
    sim = subscriber().sim
    for secret in (sim.pin, sim.puk, sim.mac_key.hex(), repr(sim.mac_key)):
        assert secret not in repr(sim).replace(sim.iccid, "")
