"""What the transparency log's entry of a change commits to.

Whoever gets the openings - the applicant, the provider, auditors - can recount the statistics from
it (docs/requests.md), and finds in it whatever was said and decided.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from qagazsyz.canonical_texts import format_seconds
from services.requests.model.service_requests import Change
from services.requests.model.states import Action
from services.requests.model.statistics import Ended


def change_entry(change: Change, ended: Ended | None) -> bytes:
    """Return a change as canonical JSON (RFC 8785).

    ended: what the statistics count of it, None for what they do not count.
    """
    request = change.request
    members: dict[str, Any] = {
        "v": 1,
        "revision": request.revision,
        "action": "create" if change.action is None else change.action.value,
        "state": request.state.name.lower(),
        "time": format_seconds(change.time),
        "service_version": request.service_version,
    }
    if change.text:
        members["text_sha256"] = hashlib.sha256(change.text.encode()).hexdigest()
    if change.action in (Action.ISSUE, Action.COMPLETE):
        members["output"] = request.output
    if change.action is Action.SUBMIT:
        members["statement_sha256"] = hashlib.sha256(request.statement).hexdigest()
    if ended is not None:
        members["ended"] = {
            "public_service": ended.public_service,
            "provider": ended.provider,
            "month": ended.month,
            "channel": ended.channel.name.lower(),
            "applicant": ended.applicant,
            "electronic": ended.is_electronic,
            "in_time": ended.is_in_time,
            "looked_up": ended.looked_up,
            "seconds": ended.seconds,
        }
    return rfc8785.dumps(members)
