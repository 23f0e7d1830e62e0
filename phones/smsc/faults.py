"""What the SMSC does wrong on demand. Without any it is a good one."""

from __future__ import annotations

from dataclasses import dataclass, fields


class UnknownFault(ValueError):
    """A fault that does not exist, or a value that it does not take."""


@dataclass(slots=True)
class Faults:
    """Each is set while the SMSC runs; counts fall as they are used up."""

    # So many messages are answered ESME_RTHROTTLED, then ESME_RMSGQFUL.
    throttle: int = 0
    queue_full: int = 0
    # Messages a second; more are ESME_RTHROTTLED. 0 is no limit.
    rate: int = 0
    # So many messages are taken, and the connection is closed instead of an answer.
    drop_answer: int = 0
    # So many binds are refused with ESME_RBINDFAIL.
    refuse_bind: int = 0
    # Whether enquire_link stays without an answer.
    mute: bool = False
    # Whether receipts are left out, come before the answer to submit_sm, or bear the message's id
    # in decimal where that answer had it in hexadecimal.
    no_receipts: bool = False
    early_receipts: bool = False
    decimal_receipts: bool = False
    # Seconds after which a receipt comes; days are possible.
    late_receipts: int = 0
    # So many phones' messages go to the platform twice.
    double: int = 0

    def set(self, name: str, value: str) -> None:
        """Set a fault by name; of those that are on or off, "1" and "0". Raises UnknownFault."""
        kinds = {each.name: type(getattr(self, each.name)) for each in fields(self)}
        if name not in kinds or not value.isdecimal():
            raise UnknownFault(f"a fault and a number: {', '.join(kinds)}")
        setattr(self, name, kinds[name](int(value)))

    def use(self, name: str) -> bool:
        """Return whether a counted fault is still due, and count it."""
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return left > 0
