"""PhoneConfirmationService: confirming acts by phone; RPC in, RPC out."""

from __future__ import annotations

from qagazsyz.signing.v1 import phone_confirmations_pb2 as pb
from services.runtime.server import Call
from services.signing.by_phone.confirming import Confirming
from services.signing.by_phone.messages import confirmation_message
from services.signing.by_phone.requests import parse_wait, to_wanted_act
from services.signing.by_phone.rules import check_network, shorten


class PhoneConfirmationServicer:
    """Serves qagazsyz.signing.v1.PhoneConfirmationService."""

    def __init__(self, *, confirming: Confirming, has_network: bool) -> None:
        """has_network: whether messaging runs."""
        self._confirming = confirming
        self._has_network = has_network

    async def StartPhoneConfirmation(
        self, request: pb.StartPhoneConfirmationRequest, call: Call
    ) -> pb.PhoneConfirmation:
        check_network(self._has_network)
        act = to_wanted_act(request.method, request.request, call.caller)
        return confirmation_message(await self._confirming.start(act, call))

    async def GetPhoneConfirmation(
        self, request: pb.GetPhoneConfirmationRequest, call: Call
    ) -> pb.PhoneConfirmation:
        seconds = shorten(parse_wait(request.wait), call.time_remaining())
        return confirmation_message(await self._confirming.get(request.name, seconds, call))
