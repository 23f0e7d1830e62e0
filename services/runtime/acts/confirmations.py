"""Check that a caller has confirmed an act (common/v1/confirmation.proto).

A method whose access rule has `confirm` runs only with the caller's own signature over exactly this
call, made with the key of the certificate that the token was got with: in the confirmation itself,
or, where that key is on a SIM, kept by identity under the name that the confirmation gives. A
stolen token alone makes none. Each challenge confirms one act, which identity keeps account of.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from qagazsyz.confirmations import HEADER, act_text, read_header
from services.runtime.access import Caller
from services.runtime.concurrency.worker_pool import SIGNATURES
from services.runtime.errors import Unauthenticated

# An RSA signature of 4,096 bits, a challenge and their frame have a third of it.
HEADER_LIMIT = 4096

# The DER of the certificate with this fingerprint, of this subject, if it is valid now.
FindCertificate = Callable[[str, str], Awaitable[bytes | None]]
# Whether the certificate's key signed: certificate (DER), algorithm, message, signature.
IsSigned = Callable[[bytes, int, bytes, bytes], bool]
# Use the challenge up for the act (SHA-256); return whether it serves.
UseChallenge = Callable[[bytes, bytes], Awaitable[bool]]
# The algorithm and signature of "mobileSignatures/{id}", which a phone made for an act.
FindSignature = Callable[[str], Awaitable[tuple[int, bytes] | None]]


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Checks confirmations, with what it needs of identity."""

    find_certificate: FindCertificate
    is_signed: IsSigned
    use_challenge: UseChallenge
    find_signature: FindSignature

    async def check(
        self, metadata: Mapping[str, str], *, method: str, caller: Caller, request: Message
    ) -> str:
        """Return the act's id, a UUID: the same for the same confirmation, for no other.

        method: "/package.Service/Method". Raises Unauthenticated with the reason
        CONFIRMATION_REQUIRED or CONFIRMATION_INVALID, and Unavailable.
        """
        header = metadata.get(HEADER, "")
        if not header:
            raise Unauthenticated("the call has to be confirmed", "CONFIRMATION_REQUIRED")
        refusal = Unauthenticated("the confirmation is not valid", "CONFIRMATION_INVALID")
        if len(header) > HEADER_LIMIT or not caller.certificate:
            raise refusal
        try:
            confirmation = read_header(header)
            text = act_text(
                method=method,
                subject=caller.subject,
                organization=caller.organization,
                challenge=confirmation.challenge,
                request=request,
            )
        except (ValueError, TypeError):
            raise refusal from None
        signed = int(confirmation.algorithm), confirmation.signature
        if confirmation.mobile_signature:
            # One or the other: which of two would hold is no question to leave open.
            found = (
                None if any(signed) else await self.find_signature(confirmation.mobile_signature)
            )
            if found is None:
                raise refusal
            signed = found
        certificate = await self.find_certificate(caller.subject, caller.certificate)
        is_signed = certificate is not None and await SIGNATURES.run(
            self.is_signed, certificate, signed[0], text, signed[1]
        )
        if not is_signed:
            raise refusal
        act = hashlib.sha256(text).digest()
        if not await self.use_challenge(confirmation.challenge, act):
            raise refusal
        return str(uuid.UUID(bytes=act[:16]))
