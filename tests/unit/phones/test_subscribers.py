from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import pytest
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from phones.outcomes import Outcome
from phones.subscribers import (
    LIST_LIMIT,
    MalformedFile,
    key_lists,
    new_subscribers,
    read_subscribers,
    sim_lists,
    write_subscribers,
)
from services.runtime.clock import system_randomness
from tests.unit.phones.conftest import subscriber

TRANSPORT_KEY = bytes(range(32))


def test_new_subscribers_sign_and_one_each_does_something_else() -> None:
    made = new_subscribers(25, "+77010000390", system_randomness)
    counts = Counter(one.outcome for one in made)
    assert counts == {outcome: 25 if outcome is Outcome.SIGNS else 1 for outcome in Outcome}
    assert len({one.number for one in made}) == len({one.sim.iccid for one in made}) == len(made)
    assert {one.screen for one in made} == {"1x16", "2x16", "8x20"}
    assert all(len(one.number) == 12 for one in made)


def test_there_are_no_more_numbers_than_the_first_one_leaves() -> None:
    assert len(new_subscribers(1, "+77019998999", system_randomness)) == len(Outcome)
    with pytest.raises(ValueError, match="not so many"):
        new_subscribers(1, "+77019999000", system_randomness)


def luhn_sum(digits: str) -> int:
    total = 0
    for place, each in enumerate(reversed(digits)):
        number = int(each) * (1 + place % 2)
        total += number - 9 if number > 9 else number
    return total % 10


def test_an_iccid_is_well_formed() -> None:
    assert luhn_sum("79927398713") == 0  # the rule's usual example
    for one in new_subscribers(5, "+77010001000", system_randomness):
        assert len(one.sim.iccid) == 19
        assert one.sim.iccid.startswith("89997")
        assert luhn_sum(one.sim.iccid) == 0


def test_a_file_reads_back_with_the_state_of_its_cards() -> None:
    one = subscriber(language="kk", power="roaming", answers="by hand")
    one.sim.counter = 1 << 33
    one.sim.verify_pin("wrong")
    (read,) = read_subscribers(write_subscribers([one]))
    assert (read.sim.counter, read.sim.pin_tries, read.power) == (1 << 33, 2, "roaming")
    assert write_subscribers([read]) == write_subscribers([one])


def changed(**changes: Any) -> bytes:
    content = json.loads(write_subscribers([subscriber()]))
    (entry,) = content["subscribers"]
    for name, value in changes.items():
        target = entry["sim"] if name in entry["sim"] else entry
        if value is None:
            del target[name]
        else:
            target[name] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"subscribers": [1]}',
        b'{"subscribers": 1}',
        changed(pin="12a4"),
        changed(iccid="८"),
        changed(number="77010001000"),
        changed(number=7),
        changed(language="de"),
        changed(alphabet="binary"),
        changed(screen="3x3"),
        changed(power="half"),
        changed(answers="never"),
        changed(key="AAAA"),
        changed(mac_key="00"),
        changed(counter=-1),
        changed(counter=1 << 40),
        changed(counter="1"),
        changed(pin_tries=4),
        changed(puk=None),
    ],
)
def test_a_malformed_file_is_refused_without_its_content(content: bytes) -> None:
    with pytest.raises(MalformedFile) as caught:
        read_subscribers(content)
    assert subscriber().sim.pin not in str(caught.value)


def test_one_number_has_one_subscriber() -> None:
    with pytest.raises(MalformedFile, match="one number"):
        read_subscribers(write_subscribers([subscriber(), subscriber()]))


def test_the_lists_have_every_sim_in_its_order() -> None:
    made = new_subscribers(3, "+77010001000", system_randomness)
    (sims,) = sim_lists(made)
    for one, entry in zip(made, sims["sims"], strict=True):
        assert (entry["number"], entry["iccid"]) == (one.number, one.sim.iccid)
        public_key = load_der_public_key(base64.b64decode(entry["publicKey"]))
        der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert der == one.sim.key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    (keys,) = key_lists(made, TRANSPORT_KEY)
    for one, entry in zip(made, keys["keys"], strict=True):
        assert entry["iccid"] == one.sim.iccid
        wrapped = base64.b64decode(entry["wrappedKey"])
        assert aes_key_unwrap(TRANSPORT_KEY, wrapped) == one.sim.mac_key
        with pytest.raises(InvalidUnwrap):
            aes_key_unwrap(bytes(32), wrapped)


def test_a_list_has_no_more_than_the_platform_takes() -> None:
    many = [subscriber()] * (LIST_LIMIT + 1)
    assert [len(each["sims"]) for each in sim_lists(many)] == [LIST_LIMIT, 1]
    assert [len(each["keys"]) for each in key_lists(many, TRANSPORT_KEY)] == [LIST_LIMIT, 1]


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_transport_key_has_32_octets(size: int) -> None:
    with pytest.raises(ValueError, match="32"):
        list(key_lists([subscriber()], bytes(size)))
