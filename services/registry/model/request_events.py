"""Changes of people's requests for public services, as the log has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from qagazsyz.receipts import MalformedReceipt, parse_entry
from services.runtime.errors import InvalidArgument

# delegated.proto, AppendRequestEventRequest.change.
CHANGE_LIMIT_BYTES = 4_096
# The states that need no signature of the applicant: before it, and ends without an effect.
UNSIGNED_STATES = frozenset(
    {"draft", "awaiting_signature", "offered", "declined", "withdrawn", "lapsed"}
)

_STATE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One change of a request."""

    request: str
    public_service: str
    applicant: str
    # From 1.
    number: int
    # Canonical JSON.
    change: bytes
    time: datetime
    # From which the salts of its commitments derive.
    entry_salt: bytes
    log_index: int = -1


def state_of(change: bytes) -> str:
    """Return the state that a change tells. Raises InvalidArgument unless it is a canonical JSON
    object with a state."""
    field = "change"
    if len(change) > CHANGE_LIMIT_BYTES:
        raise InvalidArgument(field, f"more than {CHANGE_LIMIT_BYTES} bytes")
    try:
        members = parse_entry(change)
    except MalformedReceipt:
        raise InvalidArgument(field, "not a canonical JSON object (RFC 8785)") from None
    state = members.get("state")
    if not isinstance(state, str) or not _STATE.fullmatch(state):
        raise InvalidArgument(field, "without a state")
    return state
