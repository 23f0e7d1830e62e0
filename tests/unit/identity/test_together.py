"""Calls that arrive at once, and calls that are repeated."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter

import grpc
import pytest

from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2
from services.identity.seed import import_seed
from tests.unit.identity.conftest import Identity, certificate_request
from tests.unit.identity.test_certificates import asking

EXISTS = grpc.StatusCode.ALREADY_EXISTS
AT_ONCE = 8


async def outcomes(*calls: object) -> Counter[str]:
    """How many of the calls ended how."""
    results = await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[call-overload]
    return Counter(
        result.code().name if isinstance(result, grpc.aio.AioRpcError) else "OK"
        for result in results
    )


def creation(iin: str, request_id: str = "") -> subjects_pb2.CreateSubjectRequest:
    person = subjects_pb2.Person(iin=iin, given_name="Әлия", family_name="Құрманова")
    return subjects_pb2.CreateSubjectRequest(
        subject=subjects_pb2.Subject(person=person), request_id=request_id
    )


async def test_one_of_many_who_take_a_number_at_once_gets_it(identity: Identity) -> None:
    request = creation(identity.iin())
    found = await outcomes(
        *(
            identity.call("SubjectService/CreateSubject", request, identity.as_operator)
            for _ in range(AT_ONCE)
        )
    )
    assert found == {"OK": 1, "ALREADY_EXISTS": AT_ONCE - 1}


async def test_a_request_sent_many_times_at_once_has_one_effect(identity: Identity) -> None:
    request = creation(identity.iin(), str(uuid.uuid4()))
    made = await asyncio.gather(
        *(
            identity.call("SubjectService/CreateSubject", request, identity.as_operator)
            for _ in range(AT_ONCE)
        )
    )
    assert len({subject.name for subject in made}) == 1


async def test_one_of_many_exchanges_of_a_challenge_succeeds(identity: Identity) -> None:
    certificate, key = await identity.issue(await identity.person())
    request = await identity.exchange(certificate.der, key)
    found = await outcomes(
        *(identity.call("TokenService/ExchangeToken", request) for _ in range(AT_ONCE))
    )
    assert found == {"OK": 1, "UNAUTHENTICATED": AT_ONCE - 1}


async def test_a_refused_sign_in_leaves_the_challenge_unused(identity: Identity) -> None:
    person, organization = await identity.person(), await identity.organization()
    certificate, key = await identity.issue(person)
    request = await identity.exchange(certificate.der, key, organization)
    code = await identity.refused("TokenService/ExchangeToken", request)
    assert code == grpc.StatusCode.PERMISSION_DENIED
    await identity.member(organization, person)
    await identity.call("TokenService/ExchangeToken", request)


async def test_a_request_id_is_the_callers_own(identity: Identity) -> None:
    request = creation(identity.iin(), str(uuid.uuid4()))
    await identity.call("SubjectService/CreateSubject", request, identity.as_operator)
    code = await identity.refused("SubjectService/CreateSubject", request, identity.as_registrar)
    assert code == EXISTS, "another's answer is not given away: the number is simply taken"


@pytest.mark.parametrize("request_id", ["1", "x" * 36, "{12345678-1234-5678-1234-567812345678}"])
async def test_a_request_id_is_a_uuid(identity: Identity, request_id: str) -> None:
    code = await identity.refused(
        "SubjectService/CreateSubject", creation(identity.iin(), request_id), identity.as_operator
    )
    assert code == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_repeated_issue_with_another_key_already_exists(identity: Identity) -> None:
    request = asking(await identity.person(), request_id=str(uuid.uuid4()))
    method = "CertificateService/IssueCertificate"
    await identity.call(method, request, identity.as_operator)
    other = certificates_pb2.IssueCertificateRequest()
    other.CopyFrom(request)
    other.certificate_request = asking(request.subject).certificate_request
    assert await identity.refused(method, other, identity.as_operator) == EXISTS


async def test_revoking_twice_keeps_the_first_time_and_reason(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    method = "CertificateService/RevokeCertificate"
    first = await identity.call(
        method,
        certificates_pb2.RevokeCertificateRequest(
            name=made.name, reason=certificates_pb2.REVOCATION_REASON_KEY_COMPROMISE
        ),
        identity.as_operator,
    )
    identity.clock.move(minutes=1)
    again = await identity.call(
        method,
        certificates_pb2.RevokeCertificateRequest(name=made.name),
        identity.as_operator,
    )
    assert again == first


async def test_a_citizen_who_is_revoked_meanwhile_renews_nothing(identity: Identity) -> None:
    person = await identity.person()
    held, _ = await identity.issue(person)
    revocation = certificates_pb2.RevokeCertificateRequest(name=held.name)
    request = asking(person)
    _, renewed = await asyncio.gather(
        identity.call(
            "CertificateService/RevokeCertificate", revocation, identity.as_citizen(person)
        ),
        outcomes(
            *(
                identity.call(
                    "CertificateService/IssueCertificate", request, identity.as_citizen(person)
                )
                for _ in range(AT_ONCE)
            )
        ),
    )
    assert set(renewed) <= {"OK", "PERMISSION_DENIED"}
    # Those that were issued are held now; once they are revoked nothing can be renewed.
    listed = await identity.call(
        "CertificateService/ListCertificates",
        certificates_pb2.ListCertificatesRequest(subject=person),
        identity.as_operator,
    )
    for certificate in listed.certificates:
        await identity.call(
            "CertificateService/RevokeCertificate",
            certificates_pb2.RevokeCertificateRequest(name=certificate.name),
            identity.as_operator,
        )
    code = await identity.refused(
        "CertificateService/IssueCertificate", request, identity.as_citizen(person)
    )
    assert code == grpc.StatusCode.PERMISSION_DENIED


async def test_the_seed_is_imported_once_however_often_it_is_brought(identity: Identity) -> None:
    seed = json.loads((identity.data / "identity" / "seed.json").read_bytes())
    await asyncio.gather(*(import_seed(identity.database, seed) for _ in range(3)))
    listed = await identity.call(
        "SubjectService/ListSubjects", subjects_pb2.ListSubjectsRequest(), identity.as_auditor
    )
    assert len(listed.subjects) == 2, "the platform's organization and its first operator"


async def test_a_persons_request_that_asks_to_sign_gets_nothing_that_only_signs_in(
    identity: Identity,
) -> None:
    _, key = await identity.issue(await identity.person())
    request = certificates_pb2.IssueCertificateRequest(
        subject=await identity.person(),
        certificate_request=certificate_request(key, signs=True),
        usage=certificates_pb2.CERTIFICATE_USAGE_AUTHENTICATE,
    )
    code = await identity.refused(
        "CertificateService/IssueCertificate", request, identity.as_operator
    )
    assert code == grpc.StatusCode.INVALID_ARGUMENT
