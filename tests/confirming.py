"""Confirmed calls in unit tests: one credential confirms everybody's acts.

The signature over each act is real and is verified; only the search for the caller's certificate
finds the tests' own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import jwt
from google.protobuf.message import Message

from qagazsyz.confirmations import HEADER, confirm
from services.runtime.acts.confirmations import (
    Confirmations,
    FindCertificate,
    UseChallenge,
)
from signatures.x509 import is_signed_by_certificate
from tests.builders import self_signed_credential

CREDENTIAL = self_signed_credential()
# What a token that is got with it names.
CERTIFICATE = hashlib.sha256(CREDENTIAL.certificate).hexdigest()
# The same as the token's claim cnf writes it.
CONFIRMED_BY = base64.urlsafe_b64encode(bytes.fromhex(CERTIFICATE)).rstrip(b"=").decode()
CHALLENGE = b"qagazsyz sign-in v1\nqagazsyz.example\n\n"


def confirmations(
    use_challenge: UseChallenge | None = None,
    *,
    of_any_certificate: bool = False,
    of_services: FindCertificate | None = None,
    mobile: Mapping[str, tuple[int, bytes]] | None = None,
) -> Confirmations:
    """Return a check of confirmations by CREDENTIAL, of any challenge if use_challenge is unset.

    of_any_certificate: it confirms for tokens that name other certificates too. of_services: finds
    the certificates of the platform's own services, which confirm with their own. mobile: the
    algorithm and signature of each mobile signature.
    """

    async def find_certificate(subject: str, fingerprint: str) -> bytes | None:
        if of_services is not None and subject.startswith("services/"):
            return await of_services(subject, fingerprint)
        is_known = of_any_certificate or fingerprint == CERTIFICATE
        return CREDENTIAL.certificate if is_known else None

    async def any_challenge(_challenge: bytes, _act: bytes) -> bool:
        return True

    async def find_signature(name: str) -> tuple[int, bytes] | None:
        return (mobile or {}).get(name)

    return Confirmations(
        find_certificate,
        is_signed_by_certificate,
        use_challenge or any_challenge,
        find_signature,
    )


def confirmation(
    method: str, request: Message, token: str, challenge: bytes = CHALLENGE
) -> tuple[str, str]:
    """Return the header that confirms a call of "/package.Service/Method" by the token's holder."""
    claims = jwt.decode(token, options={"verify_signature": False})
    value = confirm(
        CREDENTIAL,
        method=method,
        subject=claims["sub"],
        organization=claims["org"],
        challenge=challenge,
        request=request,
    )
    return HEADER, value
