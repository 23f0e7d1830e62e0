"""Sign in by phone, confirm acts by it, and have documents signed on it.

The private key is on the SIM. Its holder compares a verification code of four digits with the one
on the phone's screen, and says yes there: every function that asks a phone is given what shows them
the code. A token that was got by phone cannot be renewed without asking again, so it ends after its
ten minutes.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from qagazsyz.identity.v1 import tokens_pb2
from qagazsyz.signing.v1 import (
    mobile_signatures_pb2,
    mobile_signatures_pb2_grpc,
    phone_confirmations_pb2,
    phone_confirmations_pb2_grpc,
    phone_sign_ins_pb2,
    phone_sign_ins_pb2_grpc,
)

State = mobile_signatures_pb2.MobileSignatureState
Outcome = mobile_signatures_pb2.MobileSignatureOutcome
OPEN = (State.MOBILE_SIGNATURE_STATE_WAITING, State.MOBILE_SIGNATURE_STATE_DELIVERED)

# Each call waits for a change at most so long, less than the gateway's deadline of a call.
WAIT = Duration(seconds=20)
CALL_TIMEOUT_SECONDS = 28.0

# Shows the person the code that their phone shows too.
ShowCode = Callable[[str], None]


class PhoneRefused(Exception):
    """The phone signed nothing: its person refused, it was out of reach, or its time is over."""


class PhoneSignInEnded(Exception):
    """The token that was got by phone has ended, or was refused: sign in again."""


@dataclass(frozen=True, slots=True, repr=False)
class PhoneCredential:
    """A token that was got by phone, in place of a credential of one's own."""

    access_token: str
    # "subjects/{subject}": its holder, and the organization that they act for, or "".
    subject: str
    organization: str
    # Seconds since the epoch.
    ends_at: float
    show_code: ShowCode

    @classmethod
    def from_json(cls, text: bytes, show_code: ShowCode) -> PhoneCredential:
        """Read what to_json wrote. Raises ValueError."""
        try:
            members = json.loads(text)
            return cls(
                access_token=str(members["access_token"]),
                subject=str(members["subject"]),
                organization=str(members["organization"]),
                ends_at=float(members["ends_at"]),
                show_code=show_code,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("not a sign-in by phone") from error

    def to_json(self) -> bytes:
        """Return what a file of mode 0600 may hold, until it ends."""
        members = {
            "access_token": self.access_token,
            "subject": self.subject,
            "organization": self.organization,
            "ends_at": self.ends_at,
        }
        return json.dumps(members).encode()

    def token(self) -> tokens_pb2.Token:
        """Return the token. Raises PhoneSignInEnded."""
        left = self.ends_at - time.time()
        if left <= 0:
            raise PhoneSignInEnded("the sign-in by phone has ended: sign in again")
        token = tokens_pb2.Token(
            access_token=self.access_token, subject=self.subject, organization=self.organization
        )
        token.expires_in.FromNanoseconds(int(left * 1e9))
        return token


# Signing in


def sign_in(
    channel: grpc.Channel, number: str, iin: str, show_code: ShowCode, organization: str = ""
) -> PhoneCredential:
    """Sign in by the phone of a number, whose holder has the IIN; return once its SIM has signed.

    channel: without a token. organization: act as an officer of it. Raises grpc.RpcError, and
    PhoneRefused: after two minutes, also for a number and an IIN that do not belong together.
    """
    stub = phone_sign_ins_pb2_grpc.PhoneSignInServiceStub(channel)
    signing = stub.StartPhoneSignIn(
        _start_sign_in(number, iin, organization), timeout=CALL_TIMEOUT_SECONDS
    )
    show_code(signing.verification_code)
    while signing.state in OPEN:
        signing = stub.GetPhoneSignIn(_get_sign_in(signing), timeout=CALL_TIMEOUT_SECONDS)
    return _signed_in(signing, organization, show_code)


async def sign_in_async(
    channel: grpc.aio.Channel, number: str, iin: str, show_code: ShowCode, organization: str = ""
) -> PhoneCredential:
    """Do what sign_in does, with asyncio."""
    stub: Any = phone_sign_ins_pb2_grpc.PhoneSignInServiceStub(channel)
    signing = await stub.StartPhoneSignIn(
        _start_sign_in(number, iin, organization), timeout=CALL_TIMEOUT_SECONDS
    )
    show_code(signing.verification_code)
    while signing.state in OPEN:
        signing = await stub.GetPhoneSignIn(_get_sign_in(signing), timeout=CALL_TIMEOUT_SECONDS)
    return _signed_in(signing, organization, show_code)


def _start_sign_in(
    number: str, iin: str, organization: str
) -> phone_sign_ins_pb2.StartPhoneSignInRequest:
    return phone_sign_ins_pb2.StartPhoneSignInRequest(
        number=number, iin=iin, organization=organization
    )


def _get_sign_in(
    signing: phone_sign_ins_pb2.PhoneSignIn,
) -> phone_sign_ins_pb2.GetPhoneSignInRequest:
    return phone_sign_ins_pb2.GetPhoneSignInRequest(name=signing.name, wait=WAIT)


def _signed_in(
    signing: phone_sign_ins_pb2.PhoneSignIn, organization: str, show_code: ShowCode
) -> PhoneCredential:
    if not signing.access_token:
        raise PhoneRefused("the phone did not sign in")
    return PhoneCredential(
        access_token=signing.access_token,
        subject=signing.subject,
        organization=organization,
        ends_at=signing.token_expire_time.ToNanoseconds() / 1e9,
        show_code=show_code,
    )


# Confirming acts


class PhoneSource:
    """The token of a PhoneCredential, and confirmations by its phone, with asyncio."""

    def __init__(self, channel: grpc.aio.Channel, credential: PhoneCredential) -> None:
        """channel: signed in with the credential."""
        self._confirmations: Any = phone_confirmations_pb2_grpc.PhoneConfirmationServiceStub(
            channel
        )
        self._credential = credential

    async def token(self) -> tokens_pb2.Token:
        """Return the token. Raises PhoneSignInEnded."""
        return self._credential.token()

    def forget(self, _access_token: str) -> None:
        """Do nothing: there is no other token to get without asking the phone."""

    async def confirm(self, method: str, request: Message) -> str:
        """Return the header that confirms a call, once the phone has signed. Raises grpc.RpcError
        and PhoneRefused."""
        asked = await self._confirmations.StartPhoneConfirmation(
            _start_confirmation(method, request), timeout=CALL_TIMEOUT_SECONDS
        )
        self._credential.show_code(asked.verification_code)
        while asked.state in OPEN:
            asked = await self._confirmations.GetPhoneConfirmation(
                _get_confirmation(asked), timeout=CALL_TIMEOUT_SECONDS
            )
        return _header(asked)


class BlockingPhoneSource:
    """The same without asyncio."""

    def __init__(self, channel: grpc.Channel, credential: PhoneCredential) -> None:
        """channel: bare; the token is added here."""
        self._confirmations = phone_confirmations_pb2_grpc.PhoneConfirmationServiceStub(channel)
        self._credential = credential

    def token(self) -> tokens_pb2.Token:
        """Return the token. Raises PhoneSignInEnded."""
        return self._credential.token()

    def forget(self) -> None:
        """Do nothing: there is no other token to get without asking the phone."""

    def confirm(self, method: str, request: Message) -> str:
        """Return the header that confirms a call, once the phone has signed. Raises grpc.RpcError
        and PhoneRefused."""
        metadata = (("authorization", f"Bearer {self.token().access_token}"),)
        asked = self._confirmations.StartPhoneConfirmation(
            _start_confirmation(method, request), timeout=CALL_TIMEOUT_SECONDS, metadata=metadata
        )
        self._credential.show_code(asked.verification_code)
        while asked.state in OPEN:
            asked = self._confirmations.GetPhoneConfirmation(
                _get_confirmation(asked), timeout=CALL_TIMEOUT_SECONDS, metadata=metadata
            )
        return _header(asked)


def _start_confirmation(
    method: str, request: Message
) -> phone_confirmations_pb2.StartPhoneConfirmationRequest:
    content = json_format.MessageToJson(request, indent=None, ensure_ascii=False)
    return phone_confirmations_pb2.StartPhoneConfirmationRequest(
        method=method, request=content.encode()
    )


def _get_confirmation(
    asked: phone_confirmations_pb2.PhoneConfirmation,
) -> phone_confirmations_pb2.GetPhoneConfirmationRequest:
    return phone_confirmations_pb2.GetPhoneConfirmationRequest(name=asked.name, wait=WAIT)


def _header(asked: phone_confirmations_pb2.PhoneConfirmation) -> str:
    if asked.state != State.MOBILE_SIGNATURE_STATE_SIGNED:
        raise _refused(asked.state, asked.outcome)
    value = asked.confirmation.SerializeToString()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


# Signing documents


def sign_on_phone(
    channel: grpc.Channel,
    request: mobile_signatures_pb2.CreateMobileSignatureRequest,
    show_code: ShowCode,
) -> mobile_signatures_pb2.MobileSignature:
    """Have a phone sign; return the signature. Raises grpc.RpcError and PhoneRefused.

    channel: signed in as the person whose phone it is, or an organization that may ask phones.
    """
    stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
    asked = stub.CreateMobileSignature(request, timeout=CALL_TIMEOUT_SECONDS)
    show_code(asked.verification_code)
    asked = wait_for_end(channel, asked)
    if asked.state != State.MOBILE_SIGNATURE_STATE_SIGNED:
        raise _refused(asked.state, asked.outcome)
    return asked


def wait_for_end(
    channel: grpc.Channel, asked: mobile_signatures_pb2.MobileSignature
) -> mobile_signatures_pb2.MobileSignature:
    """Return a mobile signature once it has ended, however it has. Raises grpc.RpcError.

    channel: signed in as who asked, or who is asked.
    """
    stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
    while asked.state in OPEN:
        get = mobile_signatures_pb2.GetMobileSignatureRequest(name=asked.name, wait=WAIT)
        asked = stub.GetMobileSignature(get, timeout=CALL_TIMEOUT_SECONDS)
    return asked


def _refused(state: Any, outcome: Any) -> PhoneRefused:
    """Return the error of what ended without a signature: its state, and why where that is
    known."""
    known = outcome != Outcome.MOBILE_SIGNATURE_OUTCOME_UNSPECIFIED
    word = Outcome.Name(outcome) if known else State.Name(state)
    return PhoneRefused(f"the phone did not sign: {word.split('_', 3)[3]}")
