"""Signing in: who becomes what, and what signs nobody in."""

from __future__ import annotations

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2, tokens_pb2
from services.identity.tokens.challenges import CHALLENGE_LIFETIME, Challenges
from services.runtime.clock import system_randomness
from tests.unit.identity.conftest import PLATFORM, Identity, Role

SIGN, AUTHENTICATE = 1, 2
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
EXCHANGE = "TokenService/ExchangeToken"


@pytest.mark.parametrize("usage", [SIGN, AUTHENTICATE])
async def test_a_person_is_a_citizen(identity: Identity, usage: int) -> None:
    person = await identity.person()
    certificate, key = await identity.issue(person, usage=usage)
    token = await identity.sign_in(certificate.der, key)
    assert (token.subject, token.organization, list(token.roles)) == (
        person,
        "",
        [Role.ROLE_CITIZEN],
    )
    claims = jwt.decode(token.access_token, options={"verify_signature": False})
    assert claims["aud"] == "qagazsyz" and claims["exp"] - claims["iat"] == 600
    assert set(claims) == {"iss", "aud", "sub", "org", "roles", "iat", "exp", "jti"}


async def test_an_officer_is_an_officer_and_no_citizen(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    await identity.member(organization, person)
    certificate, key = await identity.issue(person)
    token = await identity.sign_in(certificate.der, key, organization)
    assert (token.organization, list(token.roles)) == (organization, [Role.ROLE_OFFICER])


async def test_who_is_no_member_is_refused(identity: Identity) -> None:
    organization, other = await identity.organization(), await identity.organization()
    person = await identity.person()
    await identity.member(other, person)
    certificate, key = await identity.issue(person)
    for place in (organization, identity.platform):
        request = await identity.exchange(certificate.der, key, place)
        assert await identity.refused(EXCHANGE, request) == DENIED


async def test_the_platforms_members_have_its_roles_beside_citizen(identity: Identity) -> None:
    operator = Credential.load(identity.data / "credentials" / "operator.pem")
    token = await identity.sign_in(operator.certificate, operator.private_key)
    assert list(token.roles) == [Role.ROLE_CITIZEN, Role.ROLE_OPERATOR]
    assert token.organization == ""


async def test_an_information_system_is_its_organizations_officer(identity: Identity) -> None:
    organization, other = await identity.organization(), await identity.organization()
    certificate, key = await identity.issue(organization, usage=AUTHENTICATE)
    token = await identity.sign_in(certificate.der, key)
    assert (token.organization, list(token.roles)) == (organization, [Role.ROLE_OFFICER])
    request = await identity.exchange(certificate.der, key, other)
    assert await identity.refused(EXCHANGE, request) == DENIED


async def test_a_seal_signs_nobody_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.organization())
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_only_a_services_own_credential_is_a_service(identity: Identity) -> None:
    credential = Credential.load(identity.data / "signing" / "credential.pem")
    token = await identity.sign_in(credential.certificate, credential.private_key)
    claims = jwt.decode(token.access_token, options={"verify_signature": False})
    assert (claims["aud"], claims["roles"]) == ("qagazsyz.internal", ["SERVICE"])
    # A system of the platform's own organization would come nearest.
    certificate, key = await identity.issue(identity.platform, usage=AUTHENTICATE)
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == DENIED


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


async def test_a_challenge_for_one_organization_is_none_for_another(identity: Identity) -> None:
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


async def test_a_signature_by_another_key_is_refused(identity: Identity) -> None:
    certificate, _ = await identity.issue(await identity.person())
    for key in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        request = await identity.exchange(certificate.der, key)
        assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


@pytest.mark.parametrize("algorithm", [0, 8, 14, 99, -1])
async def test_an_algorithm_that_is_not_the_keys_is_refused(
    identity: Identity, algorithm: int
) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    request.algorithm = algorithm  # type: ignore[assignment]
    code = await identity.refused(EXCHANGE, request)
    assert code == (UNAUTHENTICATED if algorithm else grpc.StatusCode.INVALID_ARGUMENT)


async def test_a_revoked_certificate_signs_nobody_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    await identity.call(
        "CertificateService/RevokeCertificate",
        certificates_pb2.RevokeCertificateRequest(name=certificate.name),
        identity.as_operator,
    )
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_an_expired_certificate_signs_nobody_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    identity.clock.move(days=366)
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_two_token_keys_overlap_in_the_key_set(identity: Identity) -> None:
    folder = identity.data / "identity" / "token-keys"
    old = next(folder.glob("*.pem"))
    certificate, key = await identity.issue(await identity.person())
    new = folder / "new.pem"
    new.touch(mode=0o600)
    new.write_bytes(old.read_bytes())
    answer = await identity.call("TokenService/GetKeySet", tokens_pb2.GetKeySetRequest())
    assert b'"new"' in answer.data and old.stem.encode() in answer.data
    token = await identity.sign_in(certificate.der, key)
    kid = jwt.get_unverified_header(token.access_token)["kid"]
    assert kid == old.stem, "a new key signs only once everybody knows it"
    identity.clock.move(minutes=11)
    token = await identity.sign_in(certificate.der, key)
    assert jwt.get_unverified_header(token.access_token)["kid"] == "new"


async def test_a_token_key_that_others_could_read_is_left_out_and_the_rest_serve(
    identity: Identity,
) -> None:
    folder = identity.data / "identity" / "token-keys"
    good = next(folder.glob("*.pem"))
    open_to_others, no_key = folder / "open.pem", folder / "none.pem"
    open_to_others.touch(mode=0o600)
    open_to_others.write_bytes(good.read_bytes())
    open_to_others.chmod(0o644)
    no_key.touch(mode=0o600)
    certificate, key = await identity.issue(await identity.person())
    token = await identity.sign_in(certificate.der, key)
    assert jwt.get_unverified_header(token.access_token)["kid"] == good.stem
    published = await identity.call("TokenService/GetKeySet", tokens_pb2.GetKeySetRequest())
    assert b'"open"' not in published.data
    open_to_others.chmod(0o600)
    published = await identity.call("TokenService/GetKeySet", tokens_pb2.GetKeySetRequest())
    assert b'"open"' in published.data
