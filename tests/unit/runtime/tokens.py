"""Access tokens for tests: signed by a key of the tests' own, as identity would sign them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519

from services.runtime.access import CALLER_AUDIENCE, ISSUER
from tests.confirming import CONFIRMED_BY

NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
KEY = ed25519.Ed25519PrivateKey.generate()
KID = "k"
LIFETIME_SECONDS = 600


def token(key: ed25519.Ed25519PrivateKey = KEY, *, kid: str = KID, **changes: Any) -> str:
    """A citizen's token, valid at NOW but for the claims that are changed."""
    claims = {
        "iss": ISSUER,
        "aud": CALLER_AUDIENCE,
        "sub": "subjects/a",
        "org": "",
        "roles": ["CITIZEN"],
        "iat": int(NOW),
        "exp": int(NOW) + LIFETIME_SECONDS,
        "jti": "t",
        "cnf": {"x5t#S256": CONFIRMED_BY},
    } | changes
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})


def key_set(*kids: str) -> Mapping[str, Any]:
    """A JSON Web Key Set in which KEY stands under each of the ids."""
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key()))
    return {"keys": [jwk | {"kid": kid, "alg": "EdDSA"} for kid in kids]}


async def fetch_keys() -> Mapping[str, Any]:
    """What TokenVerifier fetches: identity's key set, with KEY as its only key."""
    return key_set(KID)
