"""The tests' call: what a servicer sees of services.runtime.server.Call, without gRPC."""

from __future__ import annotations

from typing import Any, cast

from services.runtime.access import Caller
from services.runtime.errors import Unauthenticated
from services.runtime.paging import PageRequest, PageTokens
from services.runtime.server import Call

PAGES = PageTokens(b"the tests' own")


class FakeCall:
    """A call by that caller (None: without a token) with so many seconds left (None: no end)."""

    def __init__(self, caller: Caller | None = None, *, remaining: float | None = None) -> None:
        self.caller_or_none = caller
        self.remaining = remaining
        self.headers: dict[str, str] = {}

    @property
    def caller(self) -> Caller:
        if self.caller_or_none is None:
            raise Unauthenticated("a token is needed")
        return self.caller_or_none

    def page(self, request: Any, *filters: str) -> PageRequest:
        caller = self.caller_or_none
        who = (caller.subject, caller.organization) if caller is not None else ("", "")
        of = (type(request).__name__, *who, *filters)
        return PAGES.read(request.page_size, request.page_token, of=of)

    def time_remaining(self) -> float | None:
        return self.remaining

    def cancelled(self) -> bool:
        return False

    def set_header(self, name: str, value: str) -> None:
        self.headers[name] = value


def call(
    subject: str = "subjects/caller",
    organization: str = "",
    *roles: int,
    remaining: float | None = None,
    expire_time: float = 0.0,
) -> Call:
    """Return a call by a caller with these roles, typed as servicers take it."""
    caller = Caller(subject, organization, frozenset(roles), expire_time=expire_time)
    return cast("Call", FakeCall(caller, remaining=remaining))
