"""A SIM card: keys, PIN and PUK, the counter of secured packets, the applet's view of a request.

It does what an applet on a card does, in the applet's order, and keeps its state as a card does:
what was counted is counted before it is answered. It knows no network and no screen.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from sms.applet import Answer, Status, write_answer
from sms.secured_packets import (
    Command,
    PacketRefused,
    read_command,
    write_response,
)

PIN_TRIES = 3
PUK_TRIES = 10
_COORDINATE_OCTETS = 32


@dataclass(slots=True)
class Sim:
    """One card, as it was made and as it has been used since."""

    iccid: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    mac_key: bytes = field(repr=False)
    pin: str = field(repr=False)
    puk: str = field(repr=False)
    counter: int = 0
    pin_tries: int = PIN_TRIES
    puk_tries: int = PUK_TRIES

    def accept(self, packet: bytes) -> Command:
        """Return an authentic command whose counter is new, and remember its counter.

        Raises PacketRefused.
        """
        command = read_command(packet, self.mac_key, self.counter)
        self.counter = command.counter
        return command

    def refusal(self, refused: PacketRefused) -> bytes:
        """Return the response packet of a command that was not accepted."""
        return write_response(refused.counter, b"", self.mac_key, refused.status)

    @property
    def blocked(self) -> Status | None:
        """Why the card cannot sign at all, None if it can."""
        if self.puk_tries == 0:
            return Status.CARD_BLOCKED
        return Status.PIN_BLOCKED if self.pin_tries == 0 else None

    def verify_pin(self, pin: str) -> bool:
        """Return whether this is the PIN; a wrong one takes a try, the right one gives all back."""
        if self.pin_tries == 0 or self.puk_tries == 0:
            return False
        self.pin_tries -= 1
        if not hmac.compare_digest(pin.encode(), self.pin.encode()):
            return False
        self.pin_tries = PIN_TRIES
        return True

    def unblock(self, puk: str, new_pin: str) -> bool:
        """Set a new PIN by the PUK; after PUK_TRIES wrong ones the card is blocked for ever."""
        if self.puk_tries == 0:
            return False
        self.puk_tries -= 1
        if not hmac.compare_digest(puk.encode(), self.puk.encode()):
            return False
        self.puk_tries, self.pin_tries, self.pin = PUK_TRIES, PIN_TRIES, new_pin
        return True

    def sign(self, digest: bytes) -> bytes:
        """Return r ‖ s over a SHA-256 digest."""
        return sign_digest(self.key, digest)

    def answer(self, counter: int, answer: Answer) -> bytes:
        """Return the response packet of the command with this counter."""
        return write_response(counter, write_answer(answer), self.mac_key)


def sign_digest(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """Return r ‖ s over a SHA-256 digest, each of 32 octets, by a P-256 key."""
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256())))
    return b"".join(
        number.to_bytes(_COORDINATE_OCTETS, "big")
        for number in utils.decode_dss_signature(signature)
    )
