"""Challenges of acts: each confirms one, and the same again for two minutes."""

from __future__ import annotations

from datetime import timedelta

import grpc
import jwt
import pytest

from qagazsyz.client import answer_challenge
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2, tokens_pb2
from services.identity.tokens.act_challenges import SAME_ACT, SIGNATURE_KEPT, ActChallenges
from tests.unit.identity.service import AUTHENTICATE, Identity

ACT, OTHER = bytes(32), b"\1" * 32
USE = "TokenService/UseConfirmation"


def use(challenge: bytes, act: bytes = ACT) -> tokens_pb2.UseConfirmationRequest:
    return tokens_pb2.UseConfirmationRequest(challenge=challenge, act=act)


async def challenge(identity: Identity) -> bytes:
    made = await identity.call("TokenService/CreateChallenge", tokens_pb2.CreateChallengeRequest())
    return bytes(made.challenge)


async def test_a_challenge_confirms_one_act(identity: Identity) -> None:
    made = await challenge(identity)
    await identity.call(USE, use(made), identity.as_service)
    code = await identity.refused(USE, use(made, OTHER), identity.as_service)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_the_same_act_may_be_repeated_for_two_minutes(identity: Identity) -> None:
    made = await challenge(identity)
    identity.clock.now += timedelta(seconds=100)
    await identity.call(USE, use(made), identity.as_service)
    # Meanwhile the challenge itself expires.
    identity.clock.now += SAME_ACT - timedelta(seconds=1)
    await identity.call(USE, use(made), identity.as_service)
    identity.clock.now += timedelta(seconds=2)
    code = await identity.refused(USE, use(made), identity.as_service)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_an_expired_or_foreign_challenge_confirms_nothing(identity: Identity) -> None:
    made = await challenge(identity)
    foreign = made.replace(b"\n\n", b"\nsubjects/x\n", 1)
    assert foreign != made
    code = await identity.refused(USE, use(foreign), identity.as_service)
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    identity.clock.now += timedelta(minutes=3)
    code = await identity.refused(USE, use(made), identity.as_service)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_challenge_serves_a_sign_in_or_an_act(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person(), usage=AUTHENTICATE)
    credential = Credential(certificate.der, key)
    for act_first in (True, False):
        made = tokens_pb2.Challenge(challenge=await challenge(identity))
        exchange = answer_challenge(credential, made)
        if act_first:
            await identity.call(USE, use(made.challenge), identity.as_service)
            code = await identity.refused("TokenService/ExchangeToken", exchange)
            assert code == grpc.StatusCode.UNAUTHENTICATED
        else:
            await identity.call("TokenService/ExchangeToken", exchange)
            code = await identity.refused(USE, use(made.challenge), identity.as_service)
            assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_only_services_that_confirm_acts_may_ask(identity: Identity) -> None:
    made = await challenge(identity)
    for token in (identity.as_operator, identity.as_citizen("subjects/x")):
        assert await identity.refused(USE, use(made), token) == grpc.StatusCode.PERMISSION_DENIED
    await identity.call(USE, use(made), identity.as_signing)


async def test_a_revoked_or_managed_certificate_confirms_nothing(identity: Identity) -> None:
    person = await identity.person()
    certificate, _ = await identity.issue(person)
    fingerprint = certificate.name.rpartition("/")[2]
    acts = ActChallenges(
        database=identity.database, challenges=identity.challenges, clock=identity.clock
    )
    assert await acts.find_certificate(person, fingerprint) == certificate.der
    assert await acts.find_certificate("subjects/other", fingerprint) is None
    await identity.revoke(certificate.name, identity.as_operator)
    assert await acts.find_certificate(person, fingerprint) is None


async def test_an_act_repeated_with_its_confirmation_gets_the_first_answer(
    identity: Identity,
) -> None:
    person, organization = await identity.person(), await identity.organization()
    first = await identity.member(organization, person)
    again = await identity.call(
        "SubjectService/AddMembership", identity.last_request, headers=identity.last_headers
    )
    assert again == first


@pytest.mark.parametrize("method", ["IssueCertificate"])
async def test_a_stolen_token_alone_makes_no_certificate(identity: Identity, method: str) -> None:
    person = await identity.person()
    certificate, key = await identity.issue(person)
    token = (await identity.sign_in(certificate.der, key)).access_token
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == person
    request = certificates_pb2.IssueCertificateRequest(subject=person, certificate_request=b"x")
    code = await identity.refused(
        f"CertificateService/{method}", request, headers=(("authorization", f"Bearer {token}"),)
    )
    assert code == grpc.StatusCode.UNAUTHENTICATED


KEEP, FIND = "TokenService/KeepMobileSignature", "TokenService/FindMobileSignature"
ALGORITHM = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363


def keep(
    challenge: bytes, act: bytes = ACT, signature: bytes = b"s"
) -> tokens_pb2.KeepMobileSignatureRequest:
    return tokens_pb2.KeepMobileSignatureRequest(
        name="mobileSignatures/a-1",
        challenge=challenge,
        act=act,
        algorithm=ALGORITHM,
        signature=signature,
    )


FOUND = tokens_pb2.FindMobileSignatureRequest(name="mobileSignatures/a-1")


async def test_a_mobile_signature_is_found_for_five_minutes(identity: Identity) -> None:
    made = await challenge(identity)
    await identity.call(KEEP, keep(made), identity.as_signing)
    # Once more, as another replica may bring it: the first one stays.
    await identity.call(KEEP, keep(made, signature=b"t"), identity.as_signing)
    found = await identity.call(FIND, FOUND, identity.as_service)
    assert (found.algorithm, found.signature) == (ALGORITHM, b"s")
    identity.clock.now += SIGNATURE_KEPT + timedelta(seconds=1)
    code = await identity.refused(FIND, FOUND, identity.as_service)
    assert code == grpc.StatusCode.NOT_FOUND


async def test_what_a_sim_signed_leaves_two_minutes_for_the_act(identity: Identity) -> None:
    """However long the person took: the challenge is used for the act once it is signed."""
    made = await challenge(identity)
    identity.clock.now += timedelta(seconds=115)
    await identity.call(KEEP, keep(made), identity.as_signing)
    identity.clock.now += SAME_ACT - timedelta(seconds=1)
    await identity.call(USE, use(made), identity.as_service)
    code = await identity.refused(USE, use(made, OTHER), identity.as_service)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


async def test_no_signature_is_kept_for_a_challenge_that_serves_another_act(
    identity: Identity,
) -> None:
    made = await challenge(identity)
    await identity.call(USE, use(made, OTHER), identity.as_service)
    code = await identity.refused(KEEP, keep(made), identity.as_signing)
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert await identity.refused(FIND, FOUND, identity.as_service) == grpc.StatusCode.NOT_FOUND


async def test_only_signing_keeps_mobile_signatures(identity: Identity) -> None:
    made = await challenge(identity)
    for token in (identity.as_operator, identity.as_service):
        code = await identity.refused(KEEP, keep(made), token)
        assert code == grpc.StatusCode.PERMISSION_DENIED
    named = keep(made)
    named.name = "mobileSignatures/A_1"
    code = await identity.refused(KEEP, named, identity.as_signing)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
