"""Ownership, beyond roles: others' resources are refused, whether or not they exist."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.identity.v1 import (
    certificates_pb2,
    certificates_pb2_grpc,
    subjects_pb2,
    subjects_pb2_grpc,
    tokens_pb2,
    tokens_pb2_grpc,
)
from qagazsyz.registry.v1 import consents_pb2, documents_pb2
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc
from testing.enrolment import Actor
from tests.integration.world import TIMEOUT_SECONDS, World, registration

PURPOSE = "mortgage-application"
UNASSIGNED = "00000000-0000-7000-8000-000000000000"


async def refused(call: Awaitable[Any]) -> str:
    """Await a call that must end PERMISSION_DENIED; return its message."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    return str(caught.value.details())


def look_up(subject: str, document_type: str) -> documents_pb2.LookUpDocumentsRequest:
    return documents_pb2.LookUpDocumentsRequest(
        subject=subject, document_type=document_type, purpose=PURPOSE, reason="a test"
    )


async def test_a_citizens_document_is_not_another_citizens(world: World) -> None:
    officer, citizen, other = await world.officer(), await world.citizen(), await world.citizen()
    document_type = await world.document_type(officer.organization)
    document = await world.register(officer, document_type, citizen.subject)
    get = documents_pb2.GetDocumentRequest(name=document.name)
    missing = documents_pb2.GetDocumentRequest(name=f"documents/{UNASSIGNED}")
    assert (await world.documents(citizen).GetDocument(get)).name == document.name
    assert await refused(world.documents(other).GetDocument(get)) == await refused(
        world.documents(other).GetDocument(missing)
    )
    download = documents_pb2.DownloadDocumentRequest(name=document.name)
    await refused(world.documents(other).DownloadDocument(download))
    receipt = documents_pb2.GetReceiptRequest(document=document.name)
    await refused(world.documents(other).GetReceipt(receipt))


async def test_another_organizations_officer_needs_consent_and_a_look_up(world: World) -> None:
    issuer, bank, citizen = await world.officer(), await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    document = await world.register(issuer, document_type, citizen.subject, b"content")
    get = documents_pb2.GetDocumentRequest(name=document.name)
    await refused(world.documents(bank).GetDocument(get))
    await refused(world.documents(bank).LookUpDocuments(look_up(citizen.subject, document_type)))
    await world.consent(citizen, bank.organization, document_type, PURPOSE)
    found = await world.documents(bank).LookUpDocuments(look_up(citizen.subject, document_type))
    assert [one.name for one in found.documents] == [document.name]
    await refused(world.documents(bank).GetDocument(get))
    body = await world.documents(bank).DownloadDocument(
        documents_pb2.DownloadDocumentRequest(name=document.name, access=found.access)
    )
    assert body.data == b"content"


async def test_an_access_record_serves_its_own_organization_only(world: World) -> None:
    issuer, bank, other = await world.officer(), await world.officer(), await world.officer()
    citizen = await world.citizen()
    document_type = await world.document_type(issuer.organization)
    document = await world.register(issuer, document_type, citizen.subject)
    await world.consent(citizen, bank.organization, document_type, PURPOSE)
    found = await world.documents(bank).LookUpDocuments(look_up(citizen.subject, document_type))
    get = documents_pb2.GetDocumentRequest(name=document.name, access=found.access)
    await refused(world.documents(other).GetDocument(get))


async def test_a_withdrawn_consent_stops_the_next_look_up(world: World) -> None:
    issuer, bank, citizen = await world.officer(), await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    await world.register(issuer, document_type, citizen.subject)
    consent = await world.consent(citizen, bank.organization, document_type, PURPOSE)
    question = look_up(citizen.subject, document_type)
    await world.documents(bank).LookUpDocuments(question)
    withdraw = consents_pb2.WithdrawConsentRequest(name=consent.name)
    await world.consents(citizen).WithdrawConsent(withdraw)
    await refused(world.documents(bank).LookUpDocuments(question))


async def test_a_refused_look_up_does_not_tell_whether_the_subject_exists(
    world: World,
) -> None:
    issuer, bank, citizen = await world.officer(), await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    await world.register(issuer, document_type, citizen.subject)
    stub = world.documents(bank)
    existing = await refused(stub.LookUpDocuments(look_up(citizen.subject, document_type)))
    missing = await refused(stub.LookUpDocuments(look_up(f"subjects/{UNASSIGNED}", document_type)))
    assert existing == missing


async def test_a_consent_is_its_givers_to_withdraw_and_its_receivers_to_see(world: World) -> None:
    issuer, bank, other = await world.officer(), await world.officer(), await world.officer()
    citizen, stranger = await world.citizen(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    consent = await world.consent(citizen, bank.organization, document_type, PURPOSE)
    get = consents_pb2.GetConsentRequest(name=consent.name)
    assert (await world.consents(bank).GetConsent(get)).name == consent.name
    await refused(world.consents(other).GetConsent(get))
    await refused(world.consents(stranger).GetConsent(get))
    await refused(
        world.consents(stranger).WithdrawConsent(
            consents_pb2.WithdrawConsentRequest(name=consent.name)
        )
    )
    ask = consents_pb2.ListAccessesRequest(subject=citizen.subject)
    await refused(world.consents(stranger).ListAccesses(ask))


async def test_only_an_organization_that_the_type_lists_issues_it(world: World) -> None:
    issuer, other, citizen = await world.officer(), await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    request = registration(other, document_type, citizen.subject)
    await refused(world.documents(other).RegisterDocument(request))


async def test_an_officer_revokes_only_their_organizations_documents(world: World) -> None:
    issuer, other, citizen = await world.officer(), await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    document = await world.register(issuer, document_type, citizen.subject)
    request = documents_pb2.RevokeDocumentRequest(name=document.name, reason="a mistake")
    await refused(world.documents(other).RevokeDocument(request))
    revoked = await world.documents(issuer).RevokeDocument(request)
    assert revoked.state == documents_pb2.DOCUMENT_STATE_REVOKED


def certificate_name(actor: Actor) -> str:
    fingerprint = hashlib.sha256(actor.credential.certificate).hexdigest()
    return f"{actor.subject}/certificates/{fingerprint}"


async def test_another_persons_certificates_are_refused(world: World) -> None:
    citizen, stranger, officer = (
        await world.citizen(),
        await world.citizen(),
        await world.officer(),
    )
    for actor in (stranger, officer):
        stub = certificates_pb2_grpc.CertificateServiceStub(world.client(actor).channel)
        name = certificate_name(citizen)
        await refused(stub.GetCertificate(certificates_pb2.GetCertificateRequest(name=name)))
        await refused(stub.RevokeCertificate(certificates_pb2.RevokeCertificateRequest(name=name)))
        listing = certificates_pb2.ListCertificatesRequest(subject=citizen.subject)
        await refused(stub.ListCertificates(listing))


async def test_a_person_is_read_by_themselves_and_by_no_officer(world: World) -> None:
    citizen, stranger, officer = (
        await world.citizen(),
        await world.citizen(),
        await world.officer(),
    )
    get = subjects_pb2.GetSubjectRequest(name=citizen.subject)
    own = subjects_pb2_grpc.SubjectServiceStub(world.client(citizen).channel)
    assert (await own.GetSubject(get)).name == citizen.subject
    for actor in (stranger, officer):
        await refused(
            subjects_pb2_grpc.SubjectServiceStub(world.client(actor).channel).GetSubject(get)
        )


async def test_a_key_is_used_by_its_organizations_officers_only(world: World) -> None:
    officer, other = await world.officer(), await world.officer()
    own = keys_pb2_grpc.KeyServiceStub(world.client(officer).channel)
    theirs = keys_pb2_grpc.KeyServiceStub(world.client(other).channel)
    key = await own.CreateKey(
        keys_pb2.CreateKeyRequest(
            key=keys_pb2.Key(
                organization=officer.organization,
                algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
            )
        ),
        timeout=TIMEOUT_SECONDS,
    )
    sign = keys_pb2.SignRequest(key=key.name, message=b"a statement")
    assert (await own.Sign(sign)).key_version == key.primary_version
    await refused(theirs.Sign(sign))
    await refused(theirs.RotateKey(keys_pb2.RotateKeyRequest(name=key.name)))
    version = keys_pb2.DestroyKeyVersionRequest(name=key.primary_version)
    await refused(theirs.DestroyKeyVersion(version))


async def test_a_managed_key_signs_no_challenge(world: World) -> None:
    officer = await world.officer()
    keys = keys_pb2_grpc.KeyServiceStub(world.client(officer).channel)
    key = await keys.CreateKey(
        keys_pb2.CreateKeyRequest(
            key=keys_pb2.Key(
                organization=officer.organization,
                algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
            )
        ),
        timeout=TIMEOUT_SECONDS,
    )
    challenge = await tokens_pb2_grpc.TokenServiceStub(
        world.client(officer).channel
    ).CreateChallenge(tokens_pb2.CreateChallengeRequest())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await keys.Sign(keys_pb2.SignRequest(key=key.name, message=challenge.challenge))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_only_members_sign_in_for_an_organization(
    world: World,
) -> None:
    citizen = await world.citizen()
    stranger = Actor(citizen.subject, citizen.credential, await world.organization())
    await refused(world.client(stranger).token())


async def test_a_challenge_serves_once(world: World) -> None:
    citizen = await world.citizen()
    stub = tokens_pb2_grpc.TokenServiceStub(world.client(citizen).channel)
    challenge = await stub.CreateChallenge(tokens_pb2.CreateChallengeRequest())
    algorithm, signature = citizen.credential.sign(challenge.challenge)
    exchange = tokens_pb2.ExchangeTokenRequest(
        challenge=challenge.challenge,
        certificate=citizen.credential.certificate,
        algorithm=algorithm,
        signature=signature,
    )
    await stub.ExchangeToken(exchange)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ExchangeToken(exchange)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
