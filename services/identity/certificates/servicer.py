"""CertificateService: certificates that bind subjects to keys, RPC in, RPC out."""

from __future__ import annotations

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates import store
from services.identity.certificates.batch_check import BatchCheck
from services.identity.certificates.certification import Certification
from services.identity.certificates.credential_renewal import CredentialRenewal
from services.identity.certificates.dual_control import listed_subject
from services.identity.certificates.issuance import Issuance, Order
from services.identity.certificates.managed_keys import key_fingerprints
from services.identity.certificates.messages import (
    to_application,
    to_certificate,
    to_certificate_checks,
    to_info,
    to_result,
    to_time_stamp_checks,
)
from services.identity.certificates.registration import Candidate, Registration
from services.identity.certificates.requests import (
    application_key,
    certificate_key,
    check_holder_name,
    to_candidate,
    to_order,
    to_reason,
    to_stamped_data,
)
from services.identity.certificates.rules import (
    check_may_read,
    check_may_revoke,
    happening_to,
)
from services.identity.certificates.time_stamp_check import TimeStampVerifier
from services.identity.events.event import IdentityEventBasis, IdentityEventKind
from services.identity.events.recorder import EventRecorder
from services.identity.subjects.dual_control import LAPSES_AFTER
from services.identity.subjects.requests import check_batch
from services.identity.subjects.store import get_subject
from services.identity.validation.interface import ExternalValidator
from services.identity.worker_pools import JUDGING, inspection_pool
from services.identity.x509.issuing import CertificateAuthority
from services.runtime import telemetry
from services.runtime.clock import Clock, Randomness, from_timestamp
from services.runtime.errors import NotFound
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore


class CertificateServicer:
    """Issues, registers, revokes and checks certificates."""

    def __init__(
        self,
        *,
        database: Database,
        idempotency: IdempotencyStore,
        authority: CertificateAuthority,
        external: ExternalValidator,
        events: EventRecorder,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._idempotency = idempotency
        self._events = events
        self._clock = clock
        issuance = Issuance(authority=authority, clock=clock, randomness=randomness)
        self._renewal = CredentialRenewal(
            database=database, issuance=issuance, events=events, clock=clock
        )
        self._certification = Certification(
            database=database,
            issuance=issuance,
            registration=Registration(external=external, clock=clock),
            events=events,
            clock=clock,
            randomness=randomness,
        )
        self._batch_check = BatchCheck(database=database, external=external, clock=clock)
        self._time_stamps = TimeStampVerifier(database=database, external=external, clock=clock)

    async def IssueCertificate(
        self, request: pb.IssueCertificateRequest, call: Call
    ) -> pb.Certificate:
        return await self._certify(request, to_order(request), call)

    async def RegisterCertificate(
        self, request: pb.RegisterCertificateRequest, call: Call
    ) -> pb.Certificate:
        return await self._certify(request, to_candidate(request), call)

    async def _certify(
        self, request: Message, act: Order | Candidate, call: Call
    ) -> pb.Certificate:
        if (kept := await self._kept(request, call)) is not None:
            return kept
        draft = await self._certification.prepare(act, call.caller)

        async def work(connection: AsyncConnection) -> pb.Certificate:
            return to_result(await self._certification.commit(connection, draft, call.caller))

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=pb.Certificate
        )

    async def ApproveCertificate(
        self, request: pb.ApproveCertificateRequest, call: Call
    ) -> pb.Certificate:
        subject, application_id = application_key(request.name)
        if (kept := await self._kept(request, call)) is not None:
            return kept
        draft = await self._certification.prepare_approval(subject, application_id, call.caller)

        async def work(connection: AsyncConnection) -> pb.Certificate:
            approved = await self._certification.commit_approval(
                connection, draft, application_id, call.caller
            )
            return to_certificate(approved)

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=pb.Certificate
        )

    async def _kept(self, request: Message, call: Call) -> pb.Certificate | None:
        """Return the answer to a request that is repeated: what it did forbids it to be prepared
        again. Raises AlreadyExists."""
        async with self._database.reading() as connection:
            return await self._idempotency.find(
                connection, request=request, scope=call.caller.scope, response_type=pb.Certificate
            )

    async def RejectCertificate(
        self, request: pb.RejectCertificateRequest, call: Call
    ) -> pb.Certificate:
        subject, application_id = application_key(request.name)

        async def work(connection: AsyncConnection) -> pb.Certificate:
            return to_application(
                await self._certification.reject(connection, subject, application_id, call.caller)
            )

        return await self._database.run(work)

    async def ListCertificateRequests(
        self, request: pb.ListCertificateRequestsRequest, call: Call
    ) -> pb.ListCertificateRequestsResponse:
        page = call.page(request)
        async with self._database.reading() as connection:
            found = await store.list_pending(
                connection,
                subject=listed_subject(call.caller),
                since=self._clock() - LAPSES_AFTER,
                after=page.after,
                limit=page.limit,
            )
        shown, next_page_token = page.cut(found, key=lambda application: application.id)
        return pb.ListCertificateRequestsResponse(
            certificates=[to_application(application) for application in shown],
            next_page_token=next_page_token,
        )

    async def GetCertificate(self, request: pb.GetCertificateRequest, call: Call) -> pb.Certificate:
        subject_name, fingerprint = certificate_key(request.name)
        async with self._database.reading() as connection:
            subject = await get_subject(connection, subject_name)
            certificate = await store.get_certificate(connection, subject_name, fingerprint)
        # A subject that does not exist is treated as a person, so that neither is told.
        check_may_read(
            call.caller, subject=subject_name, is_person=subject is None or subject.is_person
        )
        if certificate is None:
            raise NotFound("the certificate does not exist")
        pool = inspection_pool(is_service=call.caller.is_service)
        return await pool.run(to_certificate, certificate)

    async def ListCertificates(
        self, request: pb.ListCertificatesRequest, call: Call
    ) -> pb.ListCertificatesResponse:
        name = check_holder_name(request.subject, "subject")
        page = call.page(request, name)
        async with self._database.reading() as connection:
            subject = await get_subject(connection, name)
            check_may_read(
                call.caller, subject=name, is_person=subject is None or subject.is_person
            )
            found = await store.list_certificates(
                connection, name, after=page.after, limit=page.limit
            )
        shown, next_page_token = page.cut(found, key=lambda certificate: certificate.fingerprint)
        pool = inspection_pool(is_service=call.caller.is_service)
        return pb.ListCertificatesResponse(
            certificates=await pool.map(to_certificate, shown), next_page_token=next_page_token
        )

    async def RevokeCertificate(
        self, request: pb.RevokeCertificateRequest, call: Call
    ) -> pb.Certificate:
        subject_name, fingerprint = certificate_key(request.name)
        reason = to_reason(request)

        async def work(connection: AsyncConnection) -> pb.Certificate:
            subject = await get_subject(connection, subject_name)
            found = await store.get_certificate(connection, subject_name, fingerprint)
            is_person = subject is not None and subject.is_person
            certificate = check_may_revoke(call.caller, found, is_person=is_person)
            if await store.revoke_certificate(
                connection, fingerprint, reason=reason, now=self._clock()
            ):
                happening = happening_to(
                    certificate,
                    IdentityEventKind.CERTIFICATE_REVOKED,
                    IdentityEventBasis.ALONE,
                    call.caller.subject,
                )
                await self._events.record(connection, happening)
            revoked = await store.get_certificate(connection, subject_name, fingerprint)
            assert revoked is not None  # noqa: S101 - it was there in this transaction
            return to_certificate(revoked)

        return await self._database.run(work)

    async def BatchCheckCertificates(
        self, request: pb.BatchCheckCertificatesRequest, _call: Call
    ) -> pb.BatchCheckCertificatesResponse:
        check_batch(request.certificates, "certificates")
        at = from_timestamp(request.at) if request.HasField("at") else None
        telemetry.annotate(certificates=len(request.certificates))
        checks = await self._batch_check.check(list(request.certificates), at)
        return await JUDGING.run(to_certificate_checks, checks)

    async def InspectCertificates(
        self, request: pb.InspectCertificatesRequest, call: Call
    ) -> pb.InspectCertificatesResponse:
        ders = list(request.certificates)
        check_batch(ders, "certificates")
        telemetry.annotate(certificates=len(ders))
        pool = inspection_pool(is_service=call.caller.is_service)
        infos = await pool.map(to_info, ders)
        return await pool.run(pb.InspectCertificatesResponse, certificates=infos)

    async def VerifyTimeStamps(
        self, request: pb.VerifyTimeStampsRequest, call: Call
    ) -> pb.VerifyTimeStampsResponse:
        stamped = to_stamped_data(request)
        telemetry.annotate(time_stamps=len(stamped))
        pool = inspection_pool(is_service=call.caller.is_service)
        checks = await self._time_stamps.verify(stamped, pool)
        signers = list({check.signer for check in checks if check.signer is not None})
        infos = dict(zip(signers, await pool.map(to_info, signers), strict=True))
        return await pool.run(to_time_stamp_checks, checks, infos)

    async def HoldKeys(self, request: pb.HoldKeysRequest, _call: Call) -> pb.HoldKeysResponse:
        check_batch(request.public_keys, "public_keys")
        telemetry.annotate(keys=len(request.public_keys))
        fingerprints = await JUDGING.run(key_fingerprints, request.public_keys)

        async def work(connection: AsyncConnection) -> pb.HoldKeysResponse:
            await store.add_managed_keys(connection, fingerprints, now=self._clock())
            return pb.HoldKeysResponse()

        return await self._database.run(work)

    async def RenewServiceCredential(
        self, request: pb.RenewServiceCredentialRequest, call: Call
    ) -> pb.Certificate:
        if (kept := await self._kept(request, call)) is not None:
            return kept
        caller = call.caller
        renewed = await self._renewal.prepare(request.certificate_request, caller)

        async def work(connection: AsyncConnection) -> pb.Certificate:
            return to_certificate(await self._renewal.commit(connection, renewed, caller))

        return await self._idempotency.run_once(
            work, request=request, scope=caller.scope, response_type=pb.Certificate
        )
