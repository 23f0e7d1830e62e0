"""A challenge serves once, for a moment, for one platform and one organization."""

from __future__ import annotations

import grpc
import pytest

from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import tokens_pb2
from services.identity.tokens.challenges import CHALLENGE_LIFETIME, Challenges
from services.runtime.clock import system_randomness
from tests.unit.identity.service import PLATFORM, Identity

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
EXCHANGE = "TokenService/ExchangeToken"


async def test_a_challenge_serves_once(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    await identity.call(EXCHANGE, request)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_a_challenge_expires(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    identity.clock.move(seconds=CHALLENGE_LIFETIME.total_seconds())
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


@pytest.mark.parametrize(
    "challenges",
    [
        Challenges(b"x" * 32, PLATFORM, system_randomness),
        Challenges(b"k" * 32, "another.platform.example", system_randomness),
    ],
    ids=["another key", "another platform"],
)
async def test_a_challenge_that_is_not_ours_is_refused(
    identity: Identity, challenges: Challenges
) -> None:
    certificate, key = await identity.issue(await identity.person())
    challenge, _ = challenges.create("", identity.clock())
    algorithm, signature = Credential(certificate.der, key).sign(challenge)
    request = tokens_pb2.ExchangeTokenRequest(
        challenge=challenge,
        certificate=certificate.der,
        algorithm=algorithm,
        signature=signature,
    )
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_a_challenge_serves_for_its_own_organization_only(
    identity: Identity,
) -> None:
    person = await identity.person()
    mine, other = await identity.organization(), await identity.organization()
    await identity.member(mine, person)
    await identity.member(other, person)
    certificate, key = await identity.issue(person)
    request = await identity.exchange(certificate.der, key, mine)
    swapped = request.challenge.replace(mine.encode(), other.encode())
    request.challenge = swapped
    request.signature = Credential(certificate.der, key).sign(swapped)[1]
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED
