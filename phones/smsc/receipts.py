"""Delivery receipts, as an SMSC writes them (SMPP 3.4, appendix B)."""

from __future__ import annotations

from datetime import datetime

from phones.handset import Delivery
from phones.smsc.pdus import IS_RECEIPT, MESSAGE_STATE, RECEIPTED_MESSAGE_ID, MessageBody

# The word, message_state (section 5.2.28) and an error code, which each SMSC has its own of.
_STATES = {
    Delivery.DELIVERED: ("DELIVRD", 2, "000"),
    Delivery.EXPIRED: ("EXPIRED", 3, "001"),
    Delivery.UNDELIVERABLE: ("UNDELIV", 5, "002"),
}


def write_receipt(
    message_id: str, message: MessageBody, delivery: Delivery, submitted: datetime, done: datetime
) -> MessageBody:
    """Return the deliver_sm that says what became of a message; message_id as it is shown."""
    word, state, error = _STATES[delivery]
    delivered = 1 if delivery is Delivery.DELIVERED else 0
    text = (
        f"id:{message_id} sub:001 dlvrd:{delivered:03d} submit date:{submitted:%y%m%d%H%M} "
        f"done date:{done:%y%m%d%H%M} stat:{word} err:{error} text:"
    )
    return MessageBody(
        source=message.destination,
        destination=message.source,
        esm_class=IS_RECEIPT,
        protocol_id=0,
        data_coding=0,
        short_message=text.encode(),
        optional={
            RECEIPTED_MESSAGE_ID: message_id.encode() + b"\x00",
            MESSAGE_STATE: bytes([state]),
        },
    )
