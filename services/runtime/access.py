"""Authenticate callers by their token, and authorize them by the method's access option.

A token is a JWT (RFC 7519) that identity signs with EdDSA. Each service checks signature, issuer,
audience and expiry itself although the gateway has done so: calls may reach it another way. The
access option of each method in the contracts is the only source of who may call it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cachetools import TLRUCache
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor

from qagazsyz.common.v1 import access_pb2
from services.runtime.concurrency.single_flight import SingleFlight
from services.runtime.errors import PermissionDenied, Unauthenticated, Unavailable

ISSUER = "qagazsyz"
# The gateway accepts only the first; services call each other with the second.
CALLER_AUDIENCE = "qagazsyz"
INTERNAL_AUDIENCE = "qagazsyz.internal"
# The clocks of two machines differ by less; tokens live ten minutes.
CLOCK_LEEWAY_SECONDS = 5
# Identity's tokens live so long: one that claims more was not made by it.
TOKEN_LIFETIME_SECONDS = 600
# The key set is fetched anew this often: a key that was taken away is gone within it, and with it
# every token that it signed.
KEYS_FRESH_SECONDS = 60.0
# Where identity cannot be reached, its last key set serves on for as long as a token lives.
KEYS_STALE_SECONDS = float(TOKEN_LIFETIME_SECONDS)
# How often a token that names an unknown key may make us fetch identity's keys again.
KEY_REFRESH_SECONDS = 5.0
# Tokens that are remembered as valid, so that a signature is checked once and not at every call.
CHECKED_TOKENS = 10_000
# Our tokens are shorter; a longer one is refused undecoded.
TOKEN_LIMIT_BYTES = 4096

Role = access_pb2.Role
# Looked up once: protobuf looks a name up in Python, and each call asks for these.
_ANY, _SERVICE = Role.ROLE_ANY, Role.ROLE_SERVICE


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a valid token."""

    subject: str
    organization: str
    roles: frozenset[int]
    token_id: str = ""
    expire_time: float = 0.0
    # Lower-case hex SHA-256 of the certificate that the token was got with.
    certificate: str = ""

    def has(self, *roles: int) -> bool:
        """Return whether the caller has one of the roles."""
        return not self.roles.isdisjoint(roles)

    @property
    def is_service(self) -> bool:
        return _SERVICE in self.roles

    @property
    def service(self) -> str:
        """Which of the platform's own services it is, "registry"; "" for any other caller."""
        return self.subject.removeprefix("services/") if self.is_service else ""

    @property
    def scope(self) -> str:
        """The owner of the caller's request_ids: the organization, or the person."""
        return self.organization or self.subject


class TokenVerifier:
    """Verifies access tokens with identity's keys, which it fetches and caches.

    Valid tokens are cached until they expire, at most cache_size of them. If the cache is full, the
    least recently used token goes and is verified again when it comes back: a caller with many
    tokens cannot make everybody else's be verified anew.
    """

    def __init__(
        self,
        fetch_keys: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        now: Callable[[], float] = time.time,
        cache_size: int = CHECKED_TOKENS,
    ) -> None:
        self._fetch_keys = fetch_keys
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        # By token: its key's id, and its holder.
        self._checked: TLRUCache[str, tuple[str, Caller]] = TLRUCache(
            cache_size, ttu=lambda _token, checked, _now: checked[1].expire_time, timer=now
        )
        self._fetches: SingleFlight[None, None] = SingleFlight()
        self._fetched_at = float("-inf")
        self._renew_at = float("-inf")

    async def verify(self, token: str) -> Caller:
        """Return the token's holder. Raises Unauthenticated, always in the same words, and
        Unavailable if the keys cannot be had."""
        if self._now() >= self._renew_at:
            await self._renew_keys()
        known = self._checked.get(token)
        if known is not None and known[0] in self._keys:
            return known[1]
        refusal = Unauthenticated("the token is not valid")
        if len(token) > TOKEN_LIMIT_BYTES:
            raise refusal
        try:
            kid = str(jwt.get_unverified_header(token)["kid"])
            key = await self._key(kid)
            if key is None:
                raise refusal
            # _caller checks the times, because PyJWT only knows the system's clock.
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
        self._checked[token] = (kid, caller)
        return caller

    async def _key(self, kid: str) -> jwt.PyJWK | None:
        if kid not in self._keys and self._now() - self._fetched_at >= KEY_REFRESH_SECONDS:
            await self._fetches.do(None, self._fetch)
        return self._keys.get(kid)

    async def _renew_keys(self) -> None:
        try:
            await self._fetches.do(None, self._fetch)
        except Unavailable:
            if self._now() - self._fetched_at >= KEYS_STALE_SECONDS:
                raise
            self._renew_at = self._now() + KEY_REFRESH_SECONDS

    async def _fetch(self) -> None:
        key_set = jwt.PyJWKSet.from_dict(dict(await self._fetch_keys()))
        self._keys = {str(key.key_id): key for key in key_set.keys}
        self._fetched_at = self._now()
        self._renew_at = self._fetched_at + KEYS_FRESH_SECONDS

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        now = self._now()
        if not claims["iat"] - CLOCK_LEEWAY_SECONDS <= now < claims["exp"] + CLOCK_LEEWAY_SECONDS:
            raise ValueError("time")
        if claims["exp"] - claims["iat"] > TOKEN_LIFETIME_SECONDS:
            raise ValueError("lifetime")
        roles = frozenset(int(Role.Value(f"ROLE_{name}")) for name in claims["roles"])
        # Services, and only they, have tokens of the internal audience.
        if (Role.ROLE_SERVICE in roles) != (claims["aud"] == INTERNAL_AUDIENCE):
            raise ValueError("role and audience")
        return Caller(
            subject=claims["sub"],
            organization=claims.get("org", ""),
            roles=roles,
            token_id=claims["jti"],
            expire_time=float(claims["exp"]),
            certificate=_fingerprint(claims),
        )


def _fingerprint(claims: Mapping[str, Any]) -> str:
    """Return the fingerprint of the holder's certificate (RFC 7800, RFC 8705), "" if the token
    names none. Raises ValueError."""
    confirmed = claims.get("cnf")
    if confirmed is None:
        return ""
    digest = base64.urlsafe_b64decode(confirmed["x5t#S256"] + "=")
    if len(digest) != 32:
        raise ValueError("fingerprint")
    return digest.hex()


def access_rule(method: MethodDescriptor) -> access_pb2.AccessRule | None:
    """Return the method's access option, or None if it has none, which authorize refuses."""
    options: descriptor_pb2.MethodOptions = method.GetOptions()
    # The type stubs of protoc do not say what type an extension has.
    extension: Any = access_pb2.access
    if not options.HasExtension(extension):
        return None
    rule: access_pb2.AccessRule = options.Extensions[extension]
    return rule


def authorize(rule: access_pb2.AccessRule | None, caller: Caller | None) -> None:
    """Return if the rule admits the caller. Raises Unauthenticated or PermissionDenied."""
    if rule is None:
        raise PermissionDenied()
    if rule.open:
        return
    if caller is None:
        raise Unauthenticated("a token is needed")
    if _ANY in rule.roles:
        return
    if caller.has(*rule.roles) and (not caller.is_service or caller.service in rule.services):
        return
    raise PermissionDenied()
