"""Make the contract's messages of sessions."""

from __future__ import annotations

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from services.runtime.clock import to_timestamp
from services.signing.mobile.rules import MobileSignatureState, Session


def session_message(session: Session, display_text: str) -> pb.MobileSignature:
    """Return the message of a session; display_text: "" once it is erased."""
    message = pb.MobileSignature(
        name=session.name,
        subject=session.subject,
        digest=session.digest,
        display_text=display_text,
        purpose=pb.MobileSignaturePurpose.Name(session.purpose),
        verification_code=session.code,
        state=pb.MobileSignatureState.Name(session.state),
        outcome=pb.MobileSignatureOutcome.Name(session.outcome),
        signature=session.signature,
        certificate=session.certificate,
        create_time=to_timestamp(session.create_time),
        expire_time=to_timestamp(session.expire_time),
        end_time=to_timestamp(session.end_time),
        requester=session.requester,
    )
    if session.state is MobileSignatureState.SIGNED:
        message.algorithm = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363
    return message
