"""CertificateService: issuing, registering, revoking and judging certificates."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity import store
from services.identity.certificates.batch_check import Checking
from services.identity.certificates.managed_keys import key_fingerprint, key_fingerprints
from services.identity.certificates.messages import info_of
from services.identity.certificates.rules import (
    CERTIFICATE_LIMIT_BYTES,
    StoredCertificate,
    check_may_issue,
    check_may_read,
    check_may_revoke,
)
from services.identity.certificates.time_stamp_check import StampChecking
from services.identity.seed import stored
from services.identity.subjects.rules import Subject
from services.identity.subjects.servicer import check_subject_name
from services.identity.validation.interface import OutsideAuthorities
from services.identity.x509.inspection import NoCertificate, inspect, load
from services.identity.x509.issuing import (
    Holder,
    InvalidRequest,
    Issuer,
    Usage,
    certification_key,
)
from services.runtime import telemetry
from services.runtime.access import Caller, Role
from services.runtime.clock import Clock, Randomness, from_timestamp, to_timestamp
from services.runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from services.runtime.paging import decode_token, encode_token, page_size
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore

BATCH_LIMIT = 1_000
CHAIN_LIMIT = 8
CERTIFICATE_NAME = re.compile(r"(subjects/[0-9a-f-]{36})/certificates/([0-9a-f]{64})")


class CertificateService:
    """Certificates that bind subjects to keys."""

    def __init__(
        self,
        *,
        database: Database,
        idempotency: IdempotencyStore,
        issuer: Issuer,
        outside: OutsideAuthorities,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._idempotency = idempotency
        self._issuer = issuer
        self._outside = outside
        self._checking = Checking(database=database, outside=outside, clock=clock)
        self._stamps = StampChecking(database=database, outside=outside, clock=clock)
        self._clock = clock
        self._randomness = randomness

    async def IssueCertificate(
        self, request: pb.IssueCertificateRequest, call: Call
    ) -> pb.Certificate:
        subject_name = check_subject_name(request.subject, "subject")
        organization_name = request.organization
        if organization_name:
            check_subject_name(organization_name, "organization")
        if request.usage not in (0, Usage.SIGN, Usage.AUTHENTICATE):
            raise InvalidArgument("usage", "is none that is known")
        usage = Usage(request.usage or Usage.SIGN)
        now = self._clock()
        async with self._database.reading() as connection:
            subject, organization = await self._holder(
                connection, call.caller, subject_name, usage, organization_name, now
            )
        try:
            key, asks_to_sign = await asyncio.to_thread(
                certification_key, request.certificate_request
            )
        except InvalidRequest as error:
            raise InvalidArgument("certificate_request", str(error)) from None
        if usage is Usage.AUTHENTICATE and asks_to_sign:
            # So do those of the signing service, whose keys must sign nobody in.
            raise InvalidArgument("usage", "the request asks for a certificate that signs")
        if usage is not Usage.SIGN or subject.is_person:
            await self._check_not_held(key)
        certificate = await asyncio.to_thread(
            self._issuer.issue,
            holder=holder_of(subject, organization),
            key=key,
            usage=usage,
            now=now,
            randomness=self._randomness,
        )
        kept = stored(
            certificate,
            subject=subject_name,
            usage=usage,
            own=True,
            organization=organization_name,
            now=now,
        )

        async def work(connection: AsyncConnection) -> pb.Certificate:
            # Again: what a citizen renews may have been revoked meanwhile.
            await self._holder(connection, call.caller, subject_name, usage, organization_name, now)
            await store.add_certificate(connection, kept)
            return to_certificate(kept)

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=pb.Certificate
        )

    async def _check_not_held(self, key: Any) -> None:
        """Raises FailedPrecondition for a key of the signing service, which only seals."""
        fingerprint = key_fingerprint(
            key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        async with self._database.reading() as connection:
            if await store.is_held(connection, fingerprint):
                raise FailedPrecondition(
                    "KEY_IS_HELD",
                    "the signing service holds this key: it is certified as a seal only",
                )

    async def _holder(
        self,
        connection: AsyncConnection,
        caller: Caller,
        subject_name: str,
        usage: Usage,
        organization_name: str,
        now: datetime,
    ) -> tuple[Subject, Subject | None]:
        """The subject, and the organization that they are to sign for, where the caller may have
        this certificate issued."""
        found = await store.get_subjects(connection, {subject_name, organization_name} - {""})
        subject = found.get(subject_name)
        check_may_issue(
            caller,
            subject=subject_name,
            is_person=subject is not None and subject.is_person,
            renews=await store.holds_certificate(
                connection, subject_name, usage=usage, organization=organization_name, now=now
            ),
        )
        if subject is None:
            raise NotFound("there is no such subject")
        if organization_name:
            key = (organization_name, subject_name)
            if key not in await store.get_memberships(connection, [key]):
                raise FailedPrecondition(
                    "NOT_A_MEMBER", "the person is no member of the organization"
                )
        return subject, found.get(organization_name)

    async def RegisterCertificate(
        self, request: pb.RegisterCertificateRequest, call: Call
    ) -> pb.Certificate:
        name = check_subject_name(request.subject, "subject")
        caller = call.caller
        if len(request.der) > CERTIFICATE_LIMIT_BYTES:
            raise InvalidArgument("der", "too large for a certificate")
        if len(request.chain) > CHAIN_LIMIT:
            raise InvalidArgument("chain", f"more than {CHAIN_LIMIT}")
        now = self._clock()
        async with self._database.reading() as connection:
            subject = await store.get_subject(connection, name)
        theirs = subject is not None and (
            caller.has(Role.ROLE_OPERATOR)
            or (caller.has(Role.ROLE_REGISTRAR) and subject.is_person)
            or (caller.has(Role.ROLE_CITIZEN) and caller.subject == name)
        )
        if subject is None and caller.has(Role.ROLE_OPERATOR):
            raise NotFound("there is no such subject")
        if not theirs or subject is None:
            raise PermissionDenied()
        try:
            certificate, facts = await asyncio.to_thread(
                lambda: (load(request.der), inspect(request.der))
            )
        except NoCertificate:
            raise InvalidArgument("der", "not an X.509 certificate in DER") from None
        if (facts.iin or facts.bin) != subject.number:
            raise InvalidArgument("der", "does not carry the subject's number")
        judged = await self._outside.judge(request.der, list(request.chain), at=now)
        if judged.status not in (
            Status.CERTIFICATE_STATUS_GOOD,
            Status.CERTIFICATE_STATUS_WRONG_USAGE,
        ):
            raise FailedPrecondition(
                Status.Name(judged.status).removeprefix("CERTIFICATE_STATUS_"),
                "the certificate does not hold here",
            )
        kept = stored(certificate, subject=name, usage=facts.usage, own=False, now=now)

        async def work(connection: AsyncConnection) -> pb.Certificate:
            try:
                await store.add_certificate(connection, kept)
            except store.Taken:
                raise AlreadyExists("the certificate is registered", "der") from None
            return to_certificate(kept)

        return await self._idempotency.run_once(
            work, request=request, scope=caller.scope, response_type=pb.Certificate
        )

    async def GetCertificate(self, request: pb.GetCertificateRequest, call: Call) -> pb.Certificate:
        subject_name, fingerprint = certificate_key(request.name)
        async with self._database.reading() as connection:
            subject = await store.get_subject(connection, subject_name)
            found = await store.get_certificates(connection, [fingerprint])
        # Whether a person exists is not told either.
        check_may_read(
            call.caller, subject=subject_name, is_person=subject is None or subject.is_person
        )
        certificate = found.get(fingerprint)
        if certificate is None or certificate.subject != subject_name:
            raise NotFound("there is no such certificate")
        return await asyncio.to_thread(to_certificate, certificate)

    async def ListCertificates(
        self, request: pb.ListCertificatesRequest, call: Call
    ) -> pb.ListCertificatesResponse:
        name = check_subject_name(request.subject, "subject")
        size = page_size(request.page_size)
        of = f"ListCertificates {name}"
        last = decode_token(request.page_token, of=of, parts=1)
        async with self._database.reading() as connection:
            subject = await store.get_subject(connection, name)
            check_may_read(
                call.caller, subject=name, is_person=subject is None or subject.is_person
            )
            found = await store.list_certificates(
                connection, name, after=last[0] if last else None, limit=size + 1
            )
        return pb.ListCertificatesResponse(
            # It parses each: a thousand take tens of milliseconds.
            certificates=await asyncio.to_thread(
                lambda: [to_certificate(certificate) for certificate in found[:size]]
            ),
            next_page_token=(
                encode_token([found[size - 1].fingerprint], of=of) if len(found) > size else ""
            ),
        )

    async def RevokeCertificate(
        self, request: pb.RevokeCertificateRequest, call: Call
    ) -> pb.Certificate:
        subject_name, fingerprint = certificate_key(request.name)
        if request.reason not in pb.RevocationReason.values():
            raise InvalidArgument("reason", "is none of RFC 5280's")

        async def work(connection: AsyncConnection) -> pb.Certificate:
            subject = await store.get_subject(connection, subject_name)
            found = (await store.get_certificates(connection, [fingerprint])).get(fingerprint)
            if found is not None and found.subject != subject_name:
                found = None
            if found is None and call.caller.has(Role.ROLE_OPERATOR):
                raise NotFound("there is no such certificate")
            check_may_revoke(
                call.caller, found, is_person=subject is not None and subject.is_person
            )
            await store.revoke_certificate(
                connection, fingerprint, reason=int(request.reason), now=self._clock()
            )
            revoked = (await store.get_certificates(connection, [fingerprint]))[fingerprint]
            return to_certificate(revoked)

        return await self._database.run(work)

    async def BatchCheckCertificates(
        self,
        request: pb.BatchCheckCertificatesRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.BatchCheckCertificatesResponse:
        if len(request.certificates) > BATCH_LIMIT:
            raise InvalidArgument("certificates", f"more than {BATCH_LIMIT:,}")
        at = from_timestamp(request.at) if request.HasField("at") else None
        telemetry.annotate(certificates=len(request.certificates))
        return await self._checking.check(list(request.certificates), at)

    async def InspectCertificates(
        self,
        request: pb.InspectCertificatesRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.InspectCertificatesResponse:
        ders = list(request.certificates)
        if len(ders) > BATCH_LIMIT:
            raise InvalidArgument("certificates", f"more than {BATCH_LIMIT:,}")
        telemetry.annotate(certificates=len(ders))
        return await asyncio.to_thread(
            lambda: pb.InspectCertificatesResponse(
                certificates=[
                    info_of(der)
                    if len(der) <= CERTIFICATE_LIMIT_BYTES
                    else pb.CertificateInfo(well_formed=False)
                    for der in ders
                ]
            )
        )

    async def VerifyTimeStamps(
        self,
        request: pb.VerifyTimeStampsRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.VerifyTimeStampsResponse:
        if len(request.time_stamps) > BATCH_LIMIT:
            raise InvalidArgument("time_stamps", f"more than {BATCH_LIMIT:,}")
        for index, stamped in enumerate(request.time_stamps):
            if stamped.WhichOneof("imprint") is None:
                raise InvalidArgument(f"time_stamps[{index}].imprint", "is required")
        telemetry.annotate(time_stamps=len(request.time_stamps))
        checks = await self._stamps.check(request.time_stamps)
        return pb.VerifyTimeStampsResponse(checks=checks)

    async def HoldKeys(
        self,
        request: pb.HoldKeysRequest,
        call: Call,  # noqa: ARG002
    ) -> pb.HoldKeysResponse:
        if len(request.public_keys) > BATCH_LIMIT:
            raise InvalidArgument("public_keys", f"more than {BATCH_LIMIT:,}")
        telemetry.annotate(keys=len(request.public_keys))
        fingerprints = await asyncio.to_thread(key_fingerprints, request.public_keys)

        async def work(connection: AsyncConnection) -> pb.HoldKeysResponse:
            await store.hold_keys(connection, fingerprints, now=self._clock())
            return pb.HoldKeysResponse()

        return await self._database.run(work)


def holder_of(subject: Subject, organization: Subject | None) -> Holder:
    """Whom the certificate names."""
    if not subject.is_person:
        return Holder(
            common_name=subject.display_name,
            organization_name=subject.display_name,
            bin=subject.number,
        )
    return Holder(
        common_name=f"{subject.family_name} {subject.given_name}",
        surname=subject.family_name,
        patronymic=subject.patronymic,
        iin=subject.number,
        organization_name=organization.display_name if organization else "",
        bin=organization.number if organization else "",
    )


def certificate_key(name: str, field: str = "name") -> tuple[str, str]:
    """(subject, fingerprint) of a certificate's name. Raises InvalidArgument."""
    match = CERTIFICATE_NAME.fullmatch(name)
    if match is None:
        raise InvalidArgument(field, 'not of the form "subjects/{subject}/certificates/{hex}"')
    return match[1], match[2]


def to_certificate(certificate: StoredCertificate) -> pb.Certificate:
    """The contract's message. Takes about half a millisecond."""
    info = info_of(certificate.der)
    return pb.Certificate(
        name=certificate.name,
        der=certificate.der,
        serial_number=certificate.serial_number,
        issuer=info.issuer,
        not_before=to_timestamp(certificate.not_before),
        not_after=to_timestamp(certificate.not_after),
        revoke_time=to_timestamp(certificate.revoke_time),
        revocation_reason=certificate.revocation_reason,  # type: ignore[arg-type]
        info=info,
    )
