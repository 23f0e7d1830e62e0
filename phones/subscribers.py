"""The subscribers of the simulated network: their file, and the lists that the platform imports.

The file is a secret as a whole: it holds every SIM's keys, PIN and PUK.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from phones.dialogues import WORDS
from phones.outcomes import Outcome, outcome_of
from phones.screens import SCREENS
from phones.sim import PIN_TRIES, PUK_TRIES, Sim
from sms.alphabets import Alphabet
from sms.secured_packets import LARGEST_COUNTER, MAC_KEY_OCTETS

# ImportSims and ImportSimKeys take no more at once.
LIST_LIMIT = 1_000
# AES-256, for AES-KW (RFC 3394).
TRANSPORT_KEY_OCTETS = 32
# Telecommunications, Kazakhstan, and an operator that does not exist (ITU-T E.118).
_ICCID_PREFIX = "89997009"
_ICCID_DIGITS = 19
# Of a number, which count up.
_SERIAL_DIGITS = 7
_POWER = ("on", "off", "roaming")
_ANSWERS = ("by themselves", "by hand")

Randomness = Callable[[int], bytes]


class MalformedFile(ValueError):
    """A file of subscribers that is not one; the message names the entry, never its content."""


@dataclass(slots=True)
class Subscriber:
    """A number with its SIM and handset."""

    # E.164, "+77010001000".
    number: str
    sim: Sim
    language: str
    alphabet: Alphabet
    # A name of SCREENS.
    screen: str
    # "on", "off" or "roaming".
    power: str = "on"
    # "by themselves" or "by hand".
    answers: str = "by themselves"

    @property
    def outcome(self) -> Outcome:
        return outcome_of(self.number)


def new_sim(randomness: Randomness) -> Sim:
    """Make a card with fresh keys, PIN and PUK. The P-256 key is the operating system's random."""
    account = int.from_bytes(randomness(8), "big")
    digits = f"{_ICCID_PREFIX}{account % 10 ** (_ICCID_DIGITS - len(_ICCID_PREFIX) - 1):010d}"
    return Sim(
        iccid=digits + _luhn_digit(digits),
        key=ec.generate_private_key(ec.SECP256R1()),
        mac_key=randomness(MAC_KEY_OCTETS),
        pin=f"{int.from_bytes(randomness(8), 'big') % 10**4:04d}",
        puk=f"{int.from_bytes(randomness(8), 'big') % 10**8:08d}",
    )


def _luhn_digit(digits: str) -> str:
    """Return the check digit of ISO/IEC 7812-1, annex B."""
    doubled = [int(each) * (2 - place % 2) for place, each in enumerate(reversed(digits))]
    return str(-sum(number // 10 + number % 10 for number in doubled) % 10)


def new_subscribers(count: int, first: str, randomness: Randomness) -> list[Subscriber]:
    """Make count people who sign, from a number on, and one for each other outcome after them.

    Languages, alphabets and screens take turns. Ordinary numbers skip the digits of outcomes.
    Raises ValueError if the last _SERIAL_DIGITS of the first number leave no room for them all.
    """
    prefix, serial, width = first[:-_SERIAL_DIGITS], int(first[-_SERIAL_DIGITS:]), _SERIAL_DIGITS
    ordinary: list[str] = []
    while len(ordinary) < count:
        number = f"{prefix}{serial:0{width}d}"
        if outcome_of(number) is Outcome.SIGNS:
            ordinary.append(number)
        serial += 1
    thousand = -(-serial // 1_000) * 1_000
    if thousand + max(Outcome) >= 10**width:
        raise ValueError("there are not so many numbers from the first one on")
    special = [f"{prefix}{thousand + each:0{width}d}" for each in Outcome if each]
    languages, screens = list(WORDS), list(SCREENS)
    return [
        Subscriber(
            number=number,
            sim=new_sim(randomness),
            language=languages[place % len(languages)],
            # The oldest phones have no UCS-2; one in ten.
            alphabet=Alphabet.GSM_7BIT if place % 10 == 9 and place < count else Alphabet.UCS2,
            screen=screens[place % len(screens)],
        )
        for place, number in enumerate(ordinary + special)
    ]


def write_subscribers(subscribers: Sequence[Subscriber]) -> bytes:
    """Return the file of subscribers, with the state of their cards."""
    entries = [
        {
            "number": one.number,
            "language": one.language,
            "alphabet": one.alphabet.value,
            "screen": one.screen,
            "power": one.power,
            "answers": one.answers,
            "sim": {
                "iccid": one.sim.iccid,
                "key": _base64(
                    one.sim.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
                ),
                "mac_key": one.sim.mac_key.hex(),
                "pin": one.sim.pin,
                "puk": one.sim.puk,
                "counter": one.sim.counter,
                "pin_tries": one.sim.pin_tries,
                "puk_tries": one.sim.puk_tries,
            },
        }
        for one in subscribers
    ]
    return json.dumps({"subscribers": entries}, indent=1).encode() + b"\n"


def read_subscribers(content: bytes) -> list[Subscriber]:
    """Return the subscribers of a file. Raises MalformedFile."""
    try:
        entries = list(json.loads(content)["subscribers"])
    except (ValueError, KeyError, TypeError):
        raise MalformedFile("not a file of subscribers") from None
    subscribers = []
    for place, entry in enumerate(entries, start=1):
        try:
            subscribers.append(_subscriber(entry))
        except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm):
            raise MalformedFile(f"subscriber {place} is malformed") from None
    if len({one.number for one in subscribers}) != len(subscribers):
        raise MalformedFile("two subscribers have one number")
    return subscribers


def _subscriber(entry: dict[str, Any]) -> Subscriber:
    card = entry["sim"]
    key = load_der_private_key(base64.b64decode(card["key"], validate=True), None)
    sim = Sim(
        iccid=_digits(card["iccid"]),
        key=_p256(key),
        mac_key=bytes.fromhex(card["mac_key"]),
        pin=_digits(card["pin"]),
        puk=_digits(card["puk"]),
        counter=_count(card["counter"], LARGEST_COUNTER),
        pin_tries=_count(card["pin_tries"], PIN_TRIES),
        puk_tries=_count(card["puk_tries"], PUK_TRIES),
    )
    one = Subscriber(
        number="+" + _digits(entry["number"].removeprefix("+")),
        sim=sim,
        language=entry["language"],
        alphabet=Alphabet(entry["alphabet"]),
        screen=entry["screen"],
        power=entry["power"],
        answers=entry["answers"],
    )
    if (
        len(sim.mac_key) != MAC_KEY_OCTETS
        or one.number != entry["number"]
        or one.alphabet is Alphabet.BINARY
        or one.language not in WORDS
        or one.screen not in SCREENS
        or one.power not in _POWER
        or one.answers not in _ANSWERS
    ):
        raise ValueError("a value that is not one of the known")
    return one


def _digits(value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal():
        raise TypeError("not digits")
    return value


def _count(value: object, largest: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError("not a count")
    return value


def _p256(key: object) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise TypeError("not a P-256 key")
    return key


def sim_lists(subscribers: Sequence[Subscriber]) -> Iterator[dict[str, Any]]:
    """Yield ImportSimsRequest in protobuf's JSON, of LIST_LIMIT SIMs at most each."""
    for chunk in _chunks(subscribers):
        yield {
            "sims": [
                {
                    "number": one.number,
                    "iccid": one.sim.iccid,
                    "publicKey": _base64(
                        one.sim.key.public_key().public_bytes(
                            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
                        )
                    ),
                }
                for one in chunk
            ]
        }


def key_lists(subscribers: Sequence[Subscriber], transport_key: bytes) -> Iterator[dict[str, Any]]:
    """Yield ImportSimKeysRequest in protobuf's JSON: each MAC key wrapped by AES-KW (RFC 3394).

    Raises ValueError for a transport key of another size than TRANSPORT_KEY_OCTETS.
    """
    if len(transport_key) != TRANSPORT_KEY_OCTETS:
        raise ValueError(f"a transport key has {TRANSPORT_KEY_OCTETS} octets")
    for chunk in _chunks(subscribers):
        yield {
            "keys": [
                {
                    "iccid": one.sim.iccid,
                    "wrappedKey": _base64(aes_key_wrap(transport_key, one.sim.mac_key)),
                }
                for one in chunk
            ]
        }


def _chunks(subscribers: Sequence[Subscriber]) -> Iterator[Sequence[Subscriber]]:
    for start in range(0, len(subscribers), LIST_LIMIT):
        yield subscribers[start : start + LIST_LIMIT]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
