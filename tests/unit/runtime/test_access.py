"""Tokens that are valid and those that are not, the cache of tokens, and access rules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from qagazsyz.common.v1 import access_pb2
from services.runtime.access import (
    CLOCK_LEEWAY_SECONDS,
    INTERNAL_AUDIENCE,
    KEY_REFRESH_SECONDS,
    KEYS_FRESH_SECONDS,
    KEYS_STALE_SECONDS,
    TOKEN_LIMIT_BYTES,
    Caller,
    Role,
    TokenVerifier,
    access_rule,
    authorize,
)
from services.runtime.descriptors import service_descriptors
from services.runtime.errors import PermissionDenied, Unauthenticated, Unavailable
from tests.clock import Clock
from tests.confirming import CERTIFICATE
from tests.unit.runtime.tokens import KEY, KID, LIFETIME_SECONDS, NOW, fetch_keys, key_set, token

START = datetime.fromtimestamp(NOW, UTC)


class Identity:
    """The key set that identity publishes, and how often it was fetched."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.fetched = 0
        self.is_away = False

    async def fetch(self) -> Mapping[str, Any]:
        if self.is_away:
            raise Unavailable("identity is away")
        self.fetched += 1
        await asyncio.sleep(0)
        return key_set(*self.kids)


def verifier_of(identity: Identity, clock: Clock, **options: int) -> TokenVerifier:
    return TokenVerifier(identity.fetch, now=lambda: clock().timestamp(), **options)


async def test_a_valid_token_says_who_calls() -> None:
    caller = await TokenVerifier(fetch_keys, now=lambda: NOW).verify(
        token(org="subjects/o", roles=["OFFICER"], jti="j")
    )
    assert caller == Caller(
        subject="subjects/a",
        organization="subjects/o",
        roles=frozenset({Role.ROLE_OFFICER}),
        token_id="j",
        certificate=CERTIFICATE,
        expire_time=NOW + LIFETIME_SECONDS,
    )


@pytest.mark.parametrize(
    "bearer",
    [
        "",
        "nonsense",
        "a.b.c",
        token(aud="another"),
        token(iss="another"),
        token(exp=int(NOW) - CLOCK_LEEWAY_SECONDS),
        token(iat=int(NOW) + CLOCK_LEEWAY_SECONDS + 1),
        token(key=ed25519.Ed25519PrivateKey.generate()),
        token(kid="another"),
        token(roles=["SERVICE"]),
        token(roles=["CITIZEN"], aud=INTERNAL_AUDIENCE),
        token(roles=["KING"]),
        token(roles=None),
        token(sub=None),
        token(exp="soon"),
        token(exp=int(NOW) + LIFETIME_SECONDS + 1),
        token(exp=int(NOW) + 10 * 365 * 86_400),
        token(padding="x" * TOKEN_LIMIT_BYTES),
        jwt.encode({"sub": "subjects/a"}, "", algorithm="none", headers={"kid": "k"}),
        jwt.encode({"sub": "subjects/a"}, KEY, algorithm="EdDSA"),
    ],
)
async def test_an_invalid_token_is_refused_in_the_same_words_whatever_is_wrong(bearer: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await TokenVerifier(fetch_keys, now=lambda: NOW).verify(bearer)
    assert refused.value.message == "the token is not valid"


@pytest.mark.parametrize(
    "bearer",
    [token(exp=int(NOW) - CLOCK_LEEWAY_SECONDS + 1), token(iat=int(NOW) + CLOCK_LEEWAY_SECONDS)],
)
async def test_clocks_may_differ_by_the_leeway(bearer: str) -> None:
    caller = await TokenVerifier(fetch_keys, now=lambda: NOW).verify(bearer)
    assert caller.subject == "subjects/a"


async def test_a_token_that_was_valid_is_refused_once_it_has_expired() -> None:
    clock = Clock(START)
    verifier = verifier_of(Identity(KID), clock)
    await verifier.verify(token())
    clock.move(seconds=LIFETIME_SECONDS + CLOCK_LEEWAY_SECONDS)
    with pytest.raises(Unauthenticated):
        await verifier.verify(token())


async def test_keys_are_fetched_again_for_an_unknown_key_but_not_at_each_token() -> None:
    clock, identity = Clock(START), Identity("old")
    verifier = verifier_of(identity, clock)
    await verifier.verify(token(kid="old"))
    identity.kids = ("old", "new")
    for jti in "abc":
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(kid="new", jti=jti))
    assert identity.fetched == 1
    clock.move(seconds=KEY_REFRESH_SECONDS)
    await verifier.verify(token(kid="new"))
    assert identity.fetched == 2


async def test_a_full_cache_drops_the_least_recently_used_token_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[str] = []
    decode = jwt.decode

    def counted(bearer: str, *arguments: Any, **options: Any) -> Any:
        decoded.append(bearer)
        return decode(bearer, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    verifier = verifier_of(Identity(KID), Clock(START), cache_size=3)
    first, second, third, fourth = (token(jti=jti) for jti in "1234")
    for each in (first, second, third, first, fourth):
        await verifier.verify(each)
    decoded.clear()
    for each in (first, third, fourth):
        await verifier.verify(each)
    assert decoded == []
    await verifier.verify(second)
    assert decoded == [second]


async def test_a_key_that_was_taken_away_is_gone_within_a_minute_with_its_tokens() -> None:
    clock, identity = Clock(START), Identity("stolen", KID)
    verifier = verifier_of(identity, clock)
    seen, new = token(kid="stolen", jti="seen"), token(kid="stolen", jti="new")
    await verifier.verify(seen)
    identity.kids = (KID,)
    clock.move(seconds=KEYS_FRESH_SECONDS)
    for bearer in (seen, new):
        with pytest.raises(Unauthenticated):
            await verifier.verify(bearer)
    await verifier.verify(token())


async def test_the_last_key_set_serves_while_identity_is_away_but_not_for_ever() -> None:
    clock, identity = Clock(START), Identity(KID)
    verifier = verifier_of(identity, clock)
    await verifier.verify(token())
    identity.is_away = True
    clock.move(seconds=KEYS_FRESH_SECONDS)
    await verifier.verify(token())
    clock.move(seconds=KEYS_STALE_SECONDS - KEYS_FRESH_SECONDS)
    with pytest.raises(Unavailable):
        await verifier.verify(token(iat=int(NOW) + 600, exp=int(NOW) + 1_200))


async def test_calls_that_find_the_keys_old_fetch_them_once() -> None:
    identity = Identity(KID)
    verifier = verifier_of(identity, Clock(START))
    await asyncio.gather(*(verifier.verify(token(jti=str(number))) for number in range(20)))
    assert identity.fetched == 1


CITIZEN = Caller("subjects/a", "", frozenset({Role.ROLE_CITIZEN}))
OFFICER = Caller("subjects/a", "subjects/o", frozenset({Role.ROLE_OFFICER}))


def rule(*roles: access_pb2.Role, is_open: bool = False) -> access_pb2.AccessRule:
    return access_pb2.AccessRule(open=is_open, roles=roles)


@pytest.mark.parametrize(
    ("access", "caller"),
    [
        (rule(is_open=True), None),
        (rule(is_open=True), CITIZEN),
        (rule(Role.ROLE_ANY), OFFICER),
        (rule(Role.ROLE_CITIZEN, Role.ROLE_OFFICER), OFFICER),
    ],
)
def test_a_rule_admits_the_roles_that_it_names(
    access: access_pb2.AccessRule, caller: Caller | None
) -> None:
    authorize(access, caller)


@pytest.mark.parametrize(
    ("access", "caller", "error"),
    [
        (None, CITIZEN, PermissionDenied),
        (None, None, PermissionDenied),
        (rule(), CITIZEN, PermissionDenied),
        (rule(Role.ROLE_OFFICER), CITIZEN, PermissionDenied),
        (rule(Role.ROLE_SERVICE), OFFICER, PermissionDenied),
        (rule(Role.ROLE_ANY), None, Unauthenticated),
        (rule(Role.ROLE_OFFICER), None, Unauthenticated),
    ],
)
def test_a_rule_refuses_all_others(
    access: access_pb2.AccessRule | None, caller: Caller | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        authorize(access, caller)


def test_request_ids_are_the_organizations_or_the_persons() -> None:
    assert (OFFICER.scope, CITIZEN.scope) == ("subjects/o", "subjects/a")


def test_every_method_of_the_contracts_says_who_may_call_it() -> None:
    bare = [
        method.full_name
        for service in service_descriptors().values()
        for method in service.methods
        if access_rule(method) is None
    ]
    assert bare == []
