"""PhoneSignInService: signing in by phone; RPC in, RPC out."""

from __future__ import annotations

from qagazsyz.signing.v1 import phone_sign_ins_pb2 as pb
from services.runtime.clock import Clock
from services.runtime.server import Call
from services.signing.by_phone.messages import sign_in_message
from services.signing.by_phone.requests import parse_wait
from services.signing.by_phone.rules import check_network, parse_name, shorten
from services.signing.by_phone.signing_in import Progress, SigningIn
from services.signing.mobile.rules import MobileSignatureState


class PhoneSignInServicer:
    """Serves qagazsyz.signing.v1.PhoneSignInService."""

    def __init__(self, *, signing_in: SigningIn, has_network: bool, clock: Clock) -> None:
        """has_network: whether messaging runs."""
        self._signing_in = signing_in
        self._has_network = has_network
        self._clock = clock

    async def StartPhoneSignIn(
        self, request: pb.StartPhoneSignInRequest, call: Call
    ) -> pb.PhoneSignIn:
        check_network(self._has_network)
        name, sign_in = await self._signing_in.start(
            request.number, request.iin, request.organization, call
        )
        waiting = Progress(sign_in, MobileSignatureState.WAITING)
        return sign_in_message(name, waiting, self._clock())

    async def GetPhoneSignIn(self, request: pb.GetPhoneSignInRequest, call: Call) -> pb.PhoneSignIn:
        secret = parse_name(request.name)
        seconds = shorten(parse_wait(request.wait), call.time_remaining())
        progress = await self._signing_in.get(secret, seconds, call)
        return sign_in_message(request.name, progress, self._clock())
