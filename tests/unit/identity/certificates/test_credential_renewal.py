"""The platform's own services renew their credentials, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qagazsyz.common.v1 import access_pb2
from qagazsyz.confirmations import HEADER
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2 as pb
from qagazsyz.identity.v1 import tokens_pb2
from services.identity.certificates.rules import (
    RENEWED_SIGNS_IN,
    StoredCertificate,
    check_may_renew,
)
from services.identity.events.event import REGISTRY, STOP_AFTER, IdentityEventBasis
from services.identity.events.event import IdentityEventKind as Kind
from services.identity.events.store import advance_place, get_last_number, read_events
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import Caller, Role
from services.runtime.clients import InternalTokens, ServiceClient
from services.runtime.credentials.renewal import RENEW, renew_credential
from services.runtime.errors import PermissionDenied
from services.runtime.secret_files import write_secret
from tests.builders import self_signed_credential
from tests.unit.identity.service import CONCURRENT, Identity, certificate_request

SERVICE = "services/signing"
METHOD = RENEW.removeprefix("qagazsyz.identity.v1.")
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
def first(identity: Identity) -> Credential:
    """The credential that `init` wrote."""
    return Credential.load(identity.credentials / "signing.pem")


async def renew(identity: Identity, current: Credential, folder: Path) -> Credential:
    """The credential that takes the place of the current one, as the service itself renews it."""
    path = folder / "credential.pem"
    path.unlink(missing_ok=True)
    write_secret(path, current.to_pem())
    tokens = InternalTokens(identity.channel, current)
    return await renew_credential(ServiceClient(identity.channel, tokens), tokens, path)


async def ask(
    identity: Identity,
    current: Credential,
    request: bytes,
    *,
    token: str = "",
    repeat: int = 1,
) -> pb.Certificate:
    """The answer to a call that the current credential confirms; token: instead of one got with
    it; repeat: how often the same call is made."""
    message = pb.RenewServiceCredentialRequest(certificate_request=request)
    tokens = InternalTokens(identity.channel, current)
    headers = dict(await tokens.headers(f"/{RENEW}", message))
    if token:
        headers["authorization"] = f"Bearer {token}"
    for _ in range(repeat):
        made: pb.Certificate = await identity.call(METHOD, message, headers=list(headers.items()))
    return made


async def refusal(identity: Identity, current: Credential, request: bytes) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(identity, current, request)
    return caught.value.code()


async def signs_in(identity: Identity, credential: Credential) -> bool:
    exchange = await identity.exchange(credential.certificate, credential.private_key)
    try:
        token = await identity.call("TokenService/ExchangeToken", exchange)
    except grpc.aio.AioRpcError as error:
        assert error.code() == UNAUTHENTICATED
        return False
    assert (token.subject, list(token.roles)) == (SERVICE, [access_pb2.ROLE_SERVICE])
    return True


def new_request() -> bytes:
    return certificate_request(ec.generate_private_key(ec.SECP256R1()))


async def listed(identity: Identity, token: str) -> list[pb.Certificate]:
    answer = await identity.call(
        "CertificateService/ListCertificates", pb.ListCertificatesRequest(subject=SERVICE), token
    )
    return list(answer.certificates)


# --- What a renewal gives -------------------------------------------------------------------------


async def test_the_old_credential_signs_in_for_a_day_and_the_new_one_for_a_year(
    identity: Identity, first: Credential, tmp_path: Path
) -> None:
    new = await renew(identity, first, tmp_path)
    assert await signs_in(identity, first)
    assert await signs_in(identity, new)
    identity.clock.now += RENEWED_SIGNS_IN - timedelta(seconds=1)
    assert await signs_in(identity, first)
    identity.clock.now += timedelta(seconds=1)
    assert not await signs_in(identity, first)
    assert await signs_in(identity, new)
    identity.clock.now += timedelta(days=363)
    assert await signs_in(identity, new)


async def test_name_and_usage_stay_whatever_the_request_says(
    identity: Identity, first: Credential
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    other = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "qagazsyz-registry")])
    request = x509.CertificateSigningRequestBuilder().subject_name(other)
    made = await ask(identity, first, request.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    assert made.name.startswith(f"{SERVICE}/certificates/")
    old, new = (x509.load_der_x509_certificate(der) for der in (first.certificate, made.der))
    assert new.subject == old.subject
    assert new.issuer == old.issuer
    for kind in (x509.ExtendedKeyUsage, x509.KeyUsage):
        ours = new.extensions.get_extension_for_class(kind)
        assert ours == old.extensions.get_extension_for_class(kind)
    assert await signs_in(identity, Credential(made.der, key))


async def test_the_same_call_twice_gives_one_certificate(
    identity: Identity, first: Credential
) -> None:
    await ask(identity, first, new_request(), repeat=2)
    assert len(await listed(identity, identity.as_operator)) == 2


async def test_two_replicas_that_renew_the_same_credential_both_sign_in(
    identity: Identity, first: Credential, tmp_path: Path
) -> None:
    mine = await renew(identity, first, tmp_path)
    identity.clock.now += timedelta(minutes=1)
    theirs = await renew(identity, first, tmp_path)
    # The second renewal prolongs nothing.
    identity.clock.now += RENEWED_SIGNS_IN - timedelta(minutes=1)
    assert not await signs_in(identity, first)
    assert await signs_in(identity, mine)
    assert await signs_in(identity, theirs)


async def test_replicas_that_renew_at_the_same_moment_each_get_a_certificate(
    identity: Identity, first: Credential
) -> None:
    made = await asyncio.gather(*(ask(identity, first, new_request()) for _ in range(CONCURRENT)))
    names = {certificate.name for certificate in made}
    listed_names = {each.name for each in await listed(identity, identity.as_operator)}
    assert len(names) == CONCURRENT
    assert names < listed_names
    assert len(listed_names) == CONCURRENT + 1


async def test_a_renewal_is_an_event_that_names_service_and_certificate(
    identity: Identity, first: Credential, tmp_path: Path
) -> None:
    async with identity.database.reading() as connection:
        last = await get_last_number(connection)
    new = await renew(identity, first, tmp_path)
    async with identity.database.reading() as connection:
        (event,) = await read_events(connection, after=last, limit=10)
    happening = event.happening
    assert (happening.kind, happening.basis) == (Kind.CERTIFIED, IdentityEventBasis.RENEWAL)
    assert (happening.subject, happening.officers) == (SERVICE, ())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(new.certificate)
    assert happening.fingerprint == digest.finalize()


# --- What is refused ------------------------------------------------------------------------------


async def test_a_key_that_has_a_certificate_is_refused(
    identity: Identity, first: Credential
) -> None:
    _, of_a_person = await identity.issue(await identity.person())
    for key in (first.private_key, of_a_person):
        assert await refusal(identity, first, certificate_request(key)) == FAILED_PRECONDITION
    assert await signs_in(identity, first)
    identity.clock.now += RENEWED_SIGNS_IN
    assert await signs_in(identity, first), "a refused renewal must not end the credential"


async def test_a_managed_key_and_a_request_to_sign_are_refused(
    identity: Identity, first: Credential
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    asks = certificate_request(key, signs=True)
    assert await refusal(identity, first, asks) == grpc.StatusCode.INVALID_ARGUMENT
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    hold = pb.HoldKeysRequest(public_keys=[spki])
    await identity.call("CertificateService/HoldKeys", hold, identity.as_signing)
    assert await refusal(identity, first, certificate_request(key)) == FAILED_PRECONDITION


async def test_a_credential_that_was_renewed_a_day_ago_renews_nothing(
    identity: Identity, first: Credential, tmp_path: Path
) -> None:
    await renew(identity, first, tmp_path)
    identity.clock.now += RENEWED_SIGNS_IN - timedelta(minutes=5)
    message = pb.RenewServiceCredentialRequest(certificate_request=new_request())
    tokens = InternalTokens(identity.channel, first)
    await tokens.get()
    # Its token lasts longer than itself.
    identity.clock.now += timedelta(minutes=5)
    headers = await tokens.headers(f"/{RENEW}", message)
    code = await identity.refused(METHOD, message, headers=list(headers.items()))
    assert code == UNAUTHENTICATED


async def test_a_revoked_credential_renews_nothing_with_the_token_that_it_has(
    identity: Identity, first: Credential
) -> None:
    tokens = InternalTokens(identity.channel, first)
    await tokens.get()
    (current,) = await listed(identity, identity.as_operator)
    await identity.revoke(current.name, identity.as_operator)
    message = pb.RenewServiceCredentialRequest(certificate_request=new_request())
    headers = await tokens.headers(f"/{RENEW}", message)
    code = await identity.refused(METHOD, message, headers=list(headers.items()))
    assert code == UNAUTHENTICATED
    assert not await signs_in(identity, first)


async def test_a_token_without_the_key_renews_nothing(
    identity: Identity, first: Credential
) -> None:
    stolen = await InternalTokens(identity.channel, first).get()
    message = pb.RenewServiceCredentialRequest(certificate_request=new_request())
    code = await identity.refused(METHOD, message, headers=[("authorization", f"Bearer {stolen}")])
    assert code == UNAUTHENTICATED
    # Nor with a confirmation by another key.
    headers = dict(await InternalTokens(identity.channel, first).headers(f"/{RENEW}", message))
    tokens = InternalTokens(identity.channel, replace(first, private_key=OTHER.private_key))
    tokens._token, tokens._renew_at = tokens_pb2.Token(subject=SERVICE), float("inf")
    forged = await tokens.headers(f"/{RENEW}", message)
    headers[HEADER] = forged[HEADER]
    assert await identity.refused(METHOD, message, headers=list(headers.items())) == UNAUTHENTICATED


async def test_only_services_may_call(identity: Identity) -> None:
    message = pb.RenewServiceCredentialRequest(certificate_request=new_request())
    person = await identity.person()
    for token in (
        identity.as_operator,
        identity.as_registrar,
        identity.as_auditor,
        identity.as_citizen(person),
        identity.as_officer(person),
        identity.token(Role.ROLE_SERVICE, subject="services/identity", internal=True),
    ):
        code = await identity.refused(METHOD, message, token)
        assert code == grpc.StatusCode.PERMISSION_DENIED


async def test_nothing_is_renewed_while_the_log_lacks_an_event_for_an_hour(
    identity: Identity, first: Credential, tmp_path: Path
) -> None:
    async with identity.database.transaction() as connection:
        await advance_place(connection, REGISTRY, await get_last_number(connection))
    new = await renew(identity, first, tmp_path)
    identity.clock.now += STOP_AFTER
    assert await refusal(identity, new, new_request()) == FAILED_PRECONDITION
    async with identity.database.transaction() as connection:
        await advance_place(connection, REGISTRY, await get_last_number(connection))
    await ask(identity, new, new_request())


# --- Whose credential -----------------------------------------------------------------------------


def stored(service: str, *, subject: str = "") -> StoredCertificate:
    return StoredCertificate.of(
        x509.load_der_x509_certificate(OTHER.certificate),
        subject=subject,
        service=service,
        usage=CertificateUsage.AUTHENTICATE,
        own=True,
        now=NOW,
    )


def calling(service: str, fingerprint: str) -> Caller:
    roles = frozenset({int(Role.ROLE_SERVICE)})
    return Caller(f"services/{service}", "", roles, certificate=fingerprint)


OTHER = self_signed_credential()
NOW = x509.load_der_x509_certificate(OTHER.certificate).not_valid_before_utc
MINE = stored("signing")


def test_a_service_renews_its_own_credential() -> None:
    assert check_may_renew(calling("signing", MINE.fingerprint), MINE, NOW) == MINE


@pytest.mark.parametrize(
    ("current", "caller"),
    [
        (None, calling("signing", MINE.fingerprint)),
        (MINE, calling("registry", MINE.fingerprint)),
        (MINE, calling("signing", "0" * 64)),
        (stored("", subject="subjects/x"), calling("signing", MINE.fingerprint)),
        (
            stored("", subject="subjects/x"),
            Caller("subjects/x", "", frozenset({1}), certificate=MINE.fingerprint),
        ),
        (replace(MINE, revoke_time=NOW), calling("signing", MINE.fingerprint)),
        (replace(MINE, sign_in_end_time=NOW), calling("signing", MINE.fingerprint)),
        (replace(MINE, not_after=NOW - timedelta(seconds=1)), calling("signing", MINE.fingerprint)),
    ],
    ids=[
        "unknown",
        "of another service",
        "not the one of the token",
        "of a subject",
        "by a subject",
        "revoked",
        "renewed and at its end",
        "expired",
    ],
)
def test_no_other_credential_is_renewed(current: StoredCertificate | None, caller: Caller) -> None:
    with pytest.raises(PermissionDenied):
        check_may_renew(caller, current, NOW)


# --- What operators do ----------------------------------------------------------------------------


async def test_operators_find_and_revoke_each_credential_at_once(
    identity: Identity, first: Credential, tmp_path: Path
) -> None:
    new = await renew(identity, first, tmp_path)
    found = {one.der: one for one in await listed(identity, identity.as_auditor)}
    assert set(found) == {first.certificate, new.certificate}
    assert found[first.certificate].sign_in_end_time.ToDatetime(identity.clock.now.tzinfo) == (
        identity.clock.now + RENEWED_SIGNS_IN
    )
    assert not found[new.certificate].HasField("sign_in_end_time")
    name = found[new.certificate].name
    assert (
        await identity.refused(
            "CertificateService/RevokeCertificate",
            pb.RevokeCertificateRequest(name=name),
            identity.as_registrar,
        )
        == grpc.StatusCode.PERMISSION_DENIED
    )
    revoked = await identity.revoke(name, identity.as_operator)
    assert revoked.HasField("revoke_time")
    assert not await signs_in(identity, new)
    assert await signs_in(identity, first), "each credential is revoked by itself"


async def test_citizens_do_not_see_services_credentials(identity: Identity) -> None:
    code = await identity.refused(
        "CertificateService/ListCertificates",
        pb.ListCertificatesRequest(subject=SERVICE),
        identity.as_citizen(await identity.person()),
    )
    assert code == grpc.StatusCode.PERMISSION_DENIED
