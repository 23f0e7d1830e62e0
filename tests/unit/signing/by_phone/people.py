"""People who sign in and confirm by phone: real identity, messaging, network and SIMs around it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from phones.outcomes import Outcome
from phones.subscribers import Subscriber
from qagazsyz.identity.v1 import subjects_pb2
from qagazsyz.signing.v1 import mobile_signatures_pb2 as mobile
from qagazsyz.signing.v1 import phone_confirmations_pb2, phone_sign_ins_pb2
from services.runtime.access import Caller
from services.runtime.clients import ServiceClient
from services.runtime.clock import system_randomness
from services.runtime.server import Call
from services.signing.by_phone.clients import TokenClient
from services.signing.by_phone.confirmation_servicer import PhoneConfirmationServicer
from services.signing.by_phone.confirming import Confirming
from services.signing.by_phone.sign_in_servicer import PhoneSignInServicer
from services.signing.by_phone.signing_in import SigningIn
from services.signing.mobile.clients import PhoneClient
from tests.calls import FakeCall
from tests.unit.signing.builders import vault
from tests.unit.signing.mobile.world import TIMEOUT_SECONDS, Role, Tokens, World

# conftest.py says where they come from.
UNCLOSED_CONNECTIONS = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
WAITING = mobile.MOBILE_SIGNATURE_STATE_WAITING
DELIVERED = mobile.MOBILE_SIGNATURE_STATE_DELIVERED
SIGNED = mobile.MOBILE_SIGNATURE_STATE_SIGNED
EXPIRED = mobile.MOBILE_SIGNATURE_STATE_EXPIRED
FAILED = mobile.MOBILE_SIGNATURE_STATE_FAILED
# More than a sign-in lasts.
SIGN_IN_SECONDS = 120


async def no_pause(_seconds: float) -> None:
    """Answer as soon as there is an answer."""


@dataclass
class People:
    """The two servicers in a world, and the callers of their methods."""

    world: World
    pause: Callable[[float], Awaitable[None]] = no_pause
    sign_ins: Any = field(init=False)
    confirmations: Any = field(init=False)
    signing_in: SigningIn = field(init=False)

    def __post_init__(self) -> None:
        world = self.world
        peer = ServiceClient(world.identity.channel, Tokens(world.identity))
        parts: dict[str, Any] = {
            "database": world.database,
            "sessions": world.mobile.sessions,
            "phones": PhoneClient(peer),
            "tokens": TokenClient(peer),
            "short_name": "Qagazsyz",
            "clock": world.identity.clock,
        }
        self.signing_in = SigningIn(
            vault=vault(), randomness=system_randomness, pause=self._pause, **parts
        )
        self.sign_ins = PhoneSignInServicer(
            signing_in=self.signing_in, has_network=True, clock=world.identity.clock
        )
        self.confirmations = PhoneConfirmationServicer(
            confirming=Confirming(**parts), has_network=True
        )

    async def _pause(self, seconds: float) -> None:
        await self.pause(seconds)

    async def person(self, outcome: Outcome = Outcome.SIGNS) -> tuple[str, str, Subscriber]:
        """A person with an active phone: subject, IIN, subscriber."""
        subject, subscriber = await self.world.person(outcome)
        return subject, await self.iin(subject), subscriber

    async def iin(self, subject: str) -> str:
        identity = self.world.identity
        request = subjects_pb2.GetSubjectRequest(name=subject)
        found = await identity.call("SubjectService/GetSubject", request, identity.as_operator)
        return str(found.person.iin)

    # Signing in

    async def start(
        self, number: str, iin: str, organization: str = ""
    ) -> phone_sign_ins_pb2.PhoneSignIn:
        request = phone_sign_ins_pb2.StartPhoneSignInRequest(
            number=number, iin=iin, organization=organization
        )
        started: phone_sign_ins_pb2.PhoneSignIn = await self.sign_ins.StartPhoneSignIn(
            request, nobody()
        )
        return started

    async def get(self, name: str, wait: int = 0) -> phone_sign_ins_pb2.PhoneSignIn:
        request = phone_sign_ins_pb2.GetPhoneSignInRequest(name=name)
        request.wait.FromSeconds(wait)
        found: phone_sign_ins_pb2.PhoneSignIn = await self.sign_ins.GetPhoneSignIn(
            request, nobody()
        )
        return found

    async def until_signed(self, name: str) -> phone_sign_ins_pb2.PhoneSignIn:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.get(name, wait=int(TIMEOUT_SECONDS))

    async def sign_in(self, number: str, iin: str, organization: str = "") -> str:
        """The token of a person whose phone says yes."""
        started = await self.start(number, iin, organization)
        return (await self.until_signed(started.name)).access_token

    async def session_ended(self, subject: str) -> mobile.MobileSignature:
        """The person's last session, once it has ended."""
        (last,) = await self.world.mobile.sessions.list(subject, "", 1)
        return await self.world.until(last.name)

    # Confirming

    async def confirm(
        self, caller: Call, method: str, request: Message
    ) -> phone_confirmations_pb2.PhoneConfirmation:
        content = json_format.MessageToJson(request, indent=None).encode()
        started: phone_confirmations_pb2.PhoneConfirmation = (
            await self.confirmations.StartPhoneConfirmation(
                phone_confirmations_pb2.StartPhoneConfirmationRequest(
                    method=method, request=content
                ),
                caller,
            )
        )
        return started

    async def confirmed(self, caller: Call, name: str) -> phone_confirmations_pb2.PhoneConfirmation:
        """The confirmation once it has ended."""
        request = phone_confirmations_pb2.GetPhoneConfirmationRequest(name=name)
        request.wait.FromSeconds(int(TIMEOUT_SECONDS))
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                found: phone_confirmations_pb2.PhoneConfirmation = (
                    await self.confirmations.GetPhoneConfirmation(request, caller)
                )
                if found.state not in (WAITING, DELIVERED):
                    return found

    def submitted(self, number: str) -> int:
        """How many requests were sent to a number."""
        sent = self.world.network._record.of("submitted")
        return sum(each["number"] == number for each in sent)


def nobody() -> Call:
    """A call without a token."""
    return cast("Call", FakeCall())


def by_token(token: str, *roles: int) -> Call:
    """A call by a token's holder."""
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    fingerprint = base64.urlsafe_b64decode(claims["cnf"]["x5t#S256"] + "=").hex()
    caller = Caller(
        claims["sub"],
        claims["org"],
        frozenset(roles or [Role.Value(f"ROLE_{role}") for role in claims["roles"]]),
        certificate=fingerprint,
    )
    return cast("Call", FakeCall(caller))
