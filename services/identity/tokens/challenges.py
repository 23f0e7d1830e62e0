"""Sign-in: challenges that need no storage, and the claims of access tokens.

A challenge is text that says what it is for and carries its own MAC, so that
the service gives out as many as it is asked for and remembers only those that
were used, until they expire. Whoever signs one has signed nothing else: no
document begins with its first line, and the keys that the signing service holds
sign no message that does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qagazsyz.signed_texts import SIGN_IN
from services.identity.certificates.rules import StoredCertificate
from services.identity.subjects.rules import Membership, Subject
from services.identity.x509.issuing import Usage
from services.runtime.access import CALLER_AUDIENCE, INTERNAL_AUDIENCE, ISSUER, Role
from services.runtime.clock import Randomness
from services.runtime.errors import PermissionDenied, Unauthenticated

CHALLENGE_LIFETIME = timedelta(minutes=2)
TOKEN_LIFETIME = timedelta(minutes=10)
NONCE_BYTES = 24


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge of ours that has not expired."""

    organization: str
    expire_time: datetime
    # What it is remembered by once it was used.
    digest: str


class Challenges:
    """Makes and recognizes the challenges of one platform."""

    def __init__(self, key: bytes, platform: str, randomness: Randomness) -> None:
        self._key = key
        self._platform = platform
        self._randomness = randomness

    def create(self, organization: str, now: datetime) -> tuple[bytes, datetime]:
        """What is to be signed, and until when."""
        expire_time = (now + CHALLENGE_LIFETIME).replace(microsecond=0)
        nonce = base64.urlsafe_b64encode(self._randomness(NONCE_BYTES)).decode()
        lines = [
            SIGN_IN,
            self._platform,
            organization,
            expire_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            nonce,
        ]
        text = "\n".join(lines)
        return f"{text}\n{self._mac(text)}\n".encode(), expire_time

    def check(self, challenge: bytes, now: datetime) -> Challenge:
        """What the challenge says. Raises Unauthenticated where it is not ours or has expired."""
        refusal = Unauthenticated("the challenge does not hold")
        try:
            text, mac = challenge.decode("ascii").removesuffix("\n").rsplit("\n", 1)
            first, platform, organization, expires, _nonce = text.split("\n")
            expire_time = datetime.strptime(expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise refusal from None
        known = hmac.compare_digest(self._mac(text), mac) and challenge.endswith(b"\n")
        if not known or (first, platform) != (SIGN_IN, self._platform) or now >= expire_time:
            raise refusal
        return Challenge(organization, expire_time, hashlib.sha256(challenge).hexdigest())

    def _mac(self, text: str) -> str:
        mac = hmac.digest(self._key, text.encode(), "sha256")
        return base64.urlsafe_b64encode(mac).decode()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says of its holder."""

    subject: str
    organization: str
    roles: tuple[int, ...]
    audience: str = CALLER_AUDIENCE


def grant(
    *,
    certificate: StoredCertificate,
    holder: Subject | None,
    organization: str,
    memberships: Mapping[str, Membership],
    platform: str,
) -> Grant:
    """Who signs in with a certificate that holds, for the organization that the challenge names.

    memberships: the holder's, by organization. Raises Unauthenticated for a certificate that
    signs nobody in, PermissionDenied for an organization whose member the holder is not.
    """
    if certificate.service:
        if organization:
            raise PermissionDenied()
        name = f"services/{certificate.service}"
        return Grant(name, "", (Role.ROLE_SERVICE,), INTERNAL_AUDIENCE)
    if holder is None:
        raise Unauthenticated("the certificate signs nobody in")
    if not holder.is_person:
        # A seal signs documents, and the time-stamping authority tokens; an information system's
        # key signs in and nothing else.
        if certificate.usage != Usage.AUTHENTICATE:
            raise Unauthenticated("the certificate signs nobody in")
        if organization not in ("", holder.name) or holder.name == platform:
            raise PermissionDenied()
        return Grant(holder.name, holder.name, (Role.ROLE_OFFICER,))
    if organization and organization != platform:
        membership = memberships.get(organization)
        if membership is None or membership.role != Role.ROLE_OFFICER:
            raise PermissionDenied()
        return Grant(holder.name, organization, (Role.ROLE_OFFICER,))
    roles = [int(Role.ROLE_CITIZEN)]
    own = memberships.get(platform)
    if own is not None:
        roles.append(own.role)
    elif organization:
        raise PermissionDenied()
    return Grant(holder.name, "", tuple(roles))


def encode(
    granted: Grant, *, key: Ed25519PrivateKey, kid: str, token_id: str, now: datetime
) -> str:
    """The access token, a JWT signed with EdDSA."""
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": granted.audience,
        "sub": granted.subject,
        "org": granted.organization,
        "roles": [Role.Name(role).removeprefix("ROLE_") for role in granted.roles],
        "iat": issued,
        "exp": issued + int(TOKEN_LIFETIME.total_seconds()),
        "jti": token_id,
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})
