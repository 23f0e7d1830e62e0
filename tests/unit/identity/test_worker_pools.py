"""The pools of identity: what callers have inspected delays no sign-in and no other work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.worker_pools import INSPECTION
from tests.unit.identity.chains import AUTHORITY, Profile, make
from tests.unit.identity.service import Identity

CHECK = "CertificateService/BatchCheckCertificates"
INSPECT = "CertificateService/InspectCertificates"
UNIT = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x")
LARGE = make(Profile(name=x509.Name([UNIT] * 3_800)), make(AUTHORITY)).der


@pytest.fixture
async def blocked() -> AsyncIterator[None]:
    """The pool of callers' inspections is busy."""
    gate, entered = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        gate.wait()

    call = asyncio.ensure_future(INSPECTION.run(work))
    await asyncio.to_thread(entered.wait)
    yield
    gate.set()
    await call


async def inspect(identity: Identity, token: str, *ders: bytes) -> pb.InspectCertificatesResponse:
    request = pb.InspectCertificatesRequest(certificates=ders)
    answer: pb.InspectCertificatesResponse = await identity.call(INSPECT, request, token)
    return answer


@pytest.mark.usefixtures("blocked")
async def test_inspections_delay_neither_sign_ins_nor_services(identity: Identity) -> None:
    made, key = await identity.issue(await identity.person())
    assert (await identity.sign_in(made.der, key)).access_token
    checked = await identity.call(
        CHECK, pb.BatchCheckCertificatesRequest(certificates=[made.der]), identity.as_registrar
    )
    assert [one.status for one in checked.checks] == [Status.CERTIFICATE_STATUS_GOOD]
    assert (await inspect(identity, identity.as_signing, made.der)).certificates[0].well_formed


@pytest.mark.usefixtures("blocked")
async def test_inspections_wait_in_their_own_pool(identity: Identity) -> None:
    call = asyncio.ensure_future(inspect(identity, identity.as_citizen("subjects/x"), LARGE))
    made, key = await identity.issue(await identity.person())
    await identity.sign_in(made.der, key)
    assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_certificate_of_thousands_of_parts_is_its_own_answer(identity: Identity) -> None:
    made, _ = await identity.issue(await identity.person())
    found = await inspect(identity, identity.as_citizen("subjects/x"), LARGE, made.der)
    assert [one.well_formed for one in found.certificates] == [False, True]
    checked = await identity.call(
        CHECK,
        pb.BatchCheckCertificatesRequest(certificates=[LARGE, made.der]),
        identity.as_citizen("subjects/x"),
    )
    assert [one.status for one in checked.checks] == [
        Status.CERTIFICATE_STATUS_MALFORMED,
        Status.CERTIFICATE_STATUS_GOOD,
    ]
