"""Access tokens: JSON Web Tokens signed with EdDSA."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import jwt

from services.identity.tokens.keys import TokenKey, base64url
from services.identity.tokens.rules import Grant
from services.runtime.access import ISSUER, TOKEN_LIFETIME_SECONDS, Role

TOKEN_LIFETIME = timedelta(seconds=TOKEN_LIFETIME_SECONDS)


def sign_token(granted: Grant, *, key: TokenKey, token_id: str, now: datetime) -> str:
    """Return the signed token."""
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
        # RFC 7800 and RFC 8705, section 3.1: acts are confirmed by this certificate's key.
        "cnf": {"x5t#S256": base64url(bytes.fromhex(granted.certificate))},
    }
    return jwt.encode(claims, key.key, algorithm="EdDSA", headers={"kid": key.kid})
