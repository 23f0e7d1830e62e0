"""Who is calling, and whether the method's access option lets them.

A token is a JWT signed with EdDSA by identity. Every service checks it itself
- signature by kid, issuer, audience, expiry - though the gateway has done so
already: what reaches a service over another way is checked all the same. The
option on each method of the contracts is the only source of who may call it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor

from qagazsyz.common.v1 import access_pb2
from services.runtime.errors import PermissionDenied, Unauthenticated

ISSUER = "qagazsyz"
# The gateway lets only the first in; services call each other with the second.
CALLER_AUDIENCE = "qagazsyz"
INTERNAL_AUDIENCE = "qagazsyz.internal"
# Clocks of two machines differ; tokens live ten minutes.
CLOCK_LEEWAY_SECONDS = 5
# A token names a key we do not know: ask identity again, at most this often.
KEY_REFRESH_SECONDS = 5.0
# Tokens whose signature was checked, so that it is checked once and not at every call.
CHECKED_TOKENS = 10_000
# Longer ones are no tokens of ours, and are not worth decoding.
TOKEN_LIMIT_BYTES = 4096

Role = access_pb2.Role


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a valid token."""

    subject: str
    organization: str
    roles: frozenset[int]
    token_id: str = ""
    expire_time: float = 0.0

    def has(self, *roles: int) -> bool:
        """Whether it holds any one of the roles."""
        return not self.roles.isdisjoint(roles)

    @property
    def is_service(self) -> bool:
        return Role.ROLE_SERVICE in self.roles

    @property
    def scope(self) -> str:
        """Whose a request_id is: the organization's, or the person's."""
        return self.organization or self.subject


class TokenVerifier:
    """Checks access tokens against identity's keys, which it fetches and keeps."""

    def __init__(
        self,
        fetch_keys: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fetch_keys = fetch_keys
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._checked: dict[str, Caller] = {}
        self._fetched_at = float("-inf")

    async def verify(self, token: str) -> Caller:
        """The token's holder. Raises Unauthenticated, always in the same words."""
        known = self._checked.get(token)
        if known is not None and self._now() < known.expire_time:
            return known
        refusal = Unauthenticated("the token is not valid")
        if len(token) > TOKEN_LIMIT_BYTES:
            raise refusal
        try:
            key = await self._key(str(jwt.get_unverified_header(token)["kid"]))
            if key is None:
                raise refusal
            # Times are checked below, by the clock that was passed in.
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                issuer=ISSUER,
                audience=(CALLER_AUDIENCE, INTERNAL_AUDIENCE),
                options={
                    "require": ["iss", "aud", "sub", "roles", "iat", "exp", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            caller = self._caller(claims)
        except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError):
            raise refusal from None
        if len(self._checked) >= CHECKED_TOKENS:
            self._checked.clear()
        self._checked[token] = caller
        return caller

    async def _key(self, kid: str) -> jwt.PyJWK | None:
        if kid not in self._keys and self._now() - self._fetched_at >= KEY_REFRESH_SECONDS:
            key_set = jwt.PyJWKSet.from_dict(dict(await self._fetch_keys()))
            self._keys = {str(key.key_id): key for key in key_set.keys}
            self._fetched_at = self._now()
        return self._keys.get(kid)

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        now = self._now()
        if not claims["iat"] - CLOCK_LEEWAY_SECONDS <= now < claims["exp"] + CLOCK_LEEWAY_SECONDS:
            raise ValueError("time")
        roles = frozenset(int(Role.Value(f"ROLE_{name}")) for name in claims["roles"])
        # A service's token serves inside only, and inside only services' do.
        if (Role.ROLE_SERVICE in roles) != (claims["aud"] == INTERNAL_AUDIENCE):
            raise ValueError("role and audience")
        return Caller(
            subject=claims["sub"],
            organization=claims.get("org", ""),
            roles=roles,
            token_id=claims["jti"],
            expire_time=float(claims["exp"]),
        )


def access_rule(method: MethodDescriptor) -> access_pb2.AccessRule | None:
    """The method's access option, or None where it bears none (and is refused to all)."""
    options: descriptor_pb2.MethodOptions = method.GetOptions()
    # protoc's own type stubs say less of extensions than they are.
    extension: Any = access_pb2.access
    if not options.HasExtension(extension):
        return None
    rule: access_pb2.AccessRule = options.Extensions[extension]
    return rule


def authorize(rule: access_pb2.AccessRule | None, caller: Caller | None) -> None:
    """Returns where the rule lets the caller pass, else raises."""
    if rule is None:
        raise PermissionDenied()
    if rule.open:
        return
    if caller is None:
        raise Unauthenticated("a token is needed")
    if Role.ROLE_ANY in rule.roles or caller.has(*rule.roles):
        return
    raise PermissionDenied()
