"""Who signs in as what, and which certificates cannot sign in."""

from __future__ import annotations

import base64
import hashlib

import grpc
import jwt
import pytest

from qagazsyz.credentials import Credential
from qagazsyz.identity.v1.certificates_pb2 import CertificateUsage
from tests.unit.identity.service import AUTHENTICATE, SIGN, Identity, Role

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
EXCHANGE = "TokenService/ExchangeToken"


@pytest.mark.parametrize("usage", [SIGN, AUTHENTICATE])
async def test_a_person_is_a_citizen(identity: Identity, usage: CertificateUsage) -> None:
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
    assert set(claims) == {"iss", "aud", "sub", "org", "roles", "iat", "exp", "jti", "cnf"}
    digest = base64.urlsafe_b64encode(hashlib.sha256(certificate.der).digest())
    assert claims["cnf"] == {"x5t#S256": digest.rstrip(b"=").decode()}


async def test_an_officer_is_an_officer_and_no_citizen(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    await identity.member(organization, person)
    certificate, key = await identity.issue(person)
    token = await identity.sign_in(certificate.der, key, organization)
    assert (token.organization, list(token.roles)) == (organization, [Role.ROLE_OFFICER])


async def test_a_person_is_refused_for_an_organization_of_others(identity: Identity) -> None:
    organization, other = await identity.organization(), await identity.organization()
    person = await identity.person()
    await identity.member(other, person)
    certificate, key = await identity.issue(person)
    for place in (organization, identity.platform):
        request = await identity.exchange(certificate.der, key, place)
        assert await identity.refused(EXCHANGE, request) == DENIED


async def test_the_platforms_members_have_its_roles_beside_citizen(identity: Identity) -> None:
    operator = Credential.load(identity.credentials / "operator.pem")
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


async def test_a_seal_does_not_sign_in(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.organization())
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == UNAUTHENTICATED


async def test_only_a_services_own_credential_is_a_service(identity: Identity) -> None:
    credential = Credential.load(identity.credentials / "signing.pem")
    token = await identity.sign_in(credential.certificate, credential.private_key)
    claims = jwt.decode(token.access_token, options={"verify_signature": False})
    assert (claims["aud"], claims["roles"]) == ("qagazsyz.internal", ["SERVICE"])
    # A system of the platform's own organization would come nearest.
    certificate, key = await identity.issue(identity.platform, usage=AUTHENTICATE)
    request = await identity.exchange(certificate.der, key)
    assert await identity.refused(EXCHANGE, request) == DENIED
