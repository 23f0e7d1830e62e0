"""What the applet's answer makes of a session."""

from __future__ import annotations

from services.signing.mobile.rules import End, MobileSignatureOutcome, MobileSignatureState
from sms.applet import Status
from sms.secured_packets import ResponseStatus

_OUTCOMES = {
    Status.CANCELLED: MobileSignatureOutcome.USER_CANCELLED,
    Status.PIN_BLOCKED: MobileSignatureOutcome.PIN_BLOCKED,
    Status.CARD_BLOCKED: MobileSignatureOutcome.CARD_BLOCKED,
    Status.NO_KEY: MobileSignatureOutcome.NO_KEY,
    Status.BUSY: MobileSignatureOutcome.BUSY,
    Status.POSTPONED: MobileSignatureOutcome.POSTPONED,
    Status.NOT_SHOWN: MobileSignatureOutcome.NOT_SHOWN,
    Status.MALFORMED: MobileSignatureOutcome.SIM_FAILED,
    Status.FAILED: MobileSignatureOutcome.SIM_FAILED,
}
# Refusals of a packet that say nothing of the session: the first of a packet that the network
# doubled was accepted, and a checksum that failed is of a packet that anybody may have written.
_IDLE_REFUSALS = (ResponseStatus.OK, ResponseStatus.COUNTER_LOW, ResponseStatus.CHECKSUM_FAILED)

WRONG_SIGNATURE = End(MobileSignatureState.FAILED, MobileSignatureOutcome.WRONG_SIGNATURE)
CERTIFICATE_NOT_GOOD = End(MobileSignatureState.FAILED, MobileSignatureOutcome.CERTIFICATE_NOT_GOOD)
DELIVERY_FAILED = End(MobileSignatureState.FAILED, MobileSignatureOutcome.DELIVERY_FAILED)
SIM_FAILED = End(MobileSignatureState.FAILED, MobileSignatureOutcome.SIM_FAILED)


def end_without_signature(status: Status) -> End:
    """Return how a session ends by an answer of the applet that is not SIGNED."""
    return End(MobileSignatureState.FAILED, _OUTCOMES[status])


def end_by_refusal(status: ResponseStatus) -> End | None:
    """Return how a session ends by the card's refusal of its packet; None if it goes on."""
    return None if status in _IDLE_REFUSALS else SIM_FAILED
