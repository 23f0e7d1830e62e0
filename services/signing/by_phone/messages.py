"""Make the contract's messages of sign-ins and confirmations by phone."""

from __future__ import annotations

from datetime import datetime

from qagazsyz.common.v1 import confirmation_pb2
from qagazsyz.signing.v1 import mobile_signatures_pb2, phone_confirmations_pb2, phone_sign_ins_pb2
from services.runtime.clock import to_timestamp
from services.signing.by_phone.confirming import ActConfirmation
from services.signing.by_phone.signing_in import Progress
from services.signing.mobile.rules import MobileSignatureState


def sign_in_message(name: str, progress: Progress, now: datetime) -> phone_sign_ins_pb2.PhoneSignIn:
    """Return the message of a sign-in, with its token if it is given now."""
    message = phone_sign_ins_pb2.PhoneSignIn(
        name=name,
        verification_code=progress.sign_in.code,
        state=_state(progress.state),
        expire_time=to_timestamp(progress.sign_in.expire_time),
    )
    token = progress.token
    if token is not None:
        message.access_token, message.subject = token.access_token, token.subject
        message.token_expire_time.FromDatetime(now + token.lifetime)
    return message


def confirmation_message(
    confirmation: ActConfirmation,
) -> phone_confirmations_pb2.PhoneConfirmation:
    """Return the message of a confirmation; once it is signed, with what is sent with the call."""
    session = confirmation.session
    message = phone_confirmations_pb2.PhoneConfirmation(
        name=session.name,
        verification_code=session.code,
        display_text=confirmation.display_text,
        state=_state(session.state),
        outcome=mobile_signatures_pb2.MobileSignatureOutcome.Name(session.outcome),
        expire_time=to_timestamp(session.expire_time),
    )
    if session.state is MobileSignatureState.SIGNED:
        message.confirmation.CopyFrom(
            confirmation_pb2.Confirmation(
                challenge=confirmation.challenge, mobile_signature=session.name
            )
        )
    return message


def _state(state: MobileSignatureState) -> str:
    return mobile_signatures_pb2.MobileSignatureState.Name(state)
