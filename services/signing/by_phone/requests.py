"""Parse the requests of PhoneSignInService and PhoneConfirmationService."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from qagazsyz.confirmations import act_text
from services.runtime.access import Caller, access_rule, authorize
from services.runtime.descriptors import service_descriptors
from services.runtime.errors import InvalidArgument
from services.runtime.intake.field_checks import check_fields
from services.signing.mobile.rules import WAIT_LIMIT_SECONDS

# The contract's deepest message has four; a request that is deeper is none of ours.
DEPTH_LIMIT = 16


@dataclass(frozen=True, slots=True, repr=False)
class WantedAct:
    """A call that is to be confirmed."""

    # "/package.Service/Method"
    method: str
    request: Message

    def lines(self, caller: Caller, challenge: bytes) -> bytes:
        """Return what the caller signs to make the call. Raises InvalidArgument for a request that
        has no canonical form."""
        try:
            return act_text(
                method=self.method,
                subject=caller.subject,
                organization=caller.organization,
                challenge=challenge,
                request=self.request,
            )
        except ValueError:
            raise InvalidArgument("request", "has no canonical form") from None


def to_wanted_act(method: str, request: bytes, caller: Caller) -> WantedAct:
    """Return the call that is to be confirmed; request: ProtoJSON. Raises InvalidArgument, and
    PermissionDenied if the caller may not make it."""
    found = _find_method(method)
    rule = None if found is None else access_rule(found)
    if found is None or rule is None or not rule.confirm:
        raise InvalidArgument("method", "not a method that is confirmed")
    authorize(rule, caller)
    parsed: Message = message_factory.GetMessageClass(found.input_type)()
    try:
        json_format.Parse(request or b"{}", parsed, max_recursion_depth=DEPTH_LIMIT)
    except (json_format.ParseError, ValueError, RecursionError):
        # Their texts quote the request.
        raise InvalidArgument("request", "not the ProtoJSON of the method's request") from None
    check_fields(parsed, prefix="request.")
    return WantedAct(method, parsed)


def parse_wait(wait: Duration) -> float:
    """Return for how many seconds to wait. Raises InvalidArgument."""
    seconds = wait.seconds + wait.nanos / 1e9
    if not 0 <= seconds <= WAIT_LIMIT_SECONDS:
        raise InvalidArgument("wait", f"not 0 to {WAIT_LIMIT_SECONDS:.0f} s")
    return float(seconds)


def _find_method(name: str) -> MethodDescriptor | None:
    """Return the method of "/package.Service/Method", or None."""
    empty, _, rest = name.partition("/")
    service, _, method = rest.partition("/")
    found = service_descriptors().get(service) if not empty else None
    return None if found is None else found.methods_by_name.get(method)
