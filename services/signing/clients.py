"""Identity, as the signing service calls it: certificates, time-stamps, organizations, and the
announcement of managed keys."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2
from services.runtime.access import Role
from services.runtime.clients import ServiceClient
from services.runtime.clock import from_timestamp, to_timestamp
from services.runtime.concurrency.halves import ask_in_halves
from services.runtime.errors import Unavailable
from services.runtime.server import Call
from services.signing.verification.time_stamp import TimeStamp, TimeStampStatus
from services.signing.verification.trust import CertificateStatus, CheckedCertificate, HolderRoles

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Message)
A = TypeVar("A")


class IdentityClient:
    """Calls identity. Every method raises Unavailable or DeadlineExceeded."""

    def __init__(self, peer: ServiceClient) -> None:
        self._peer = peer

    async def check_certificates(
        self, certificates: Sequence[bytes], at: datetime | None
    ) -> list[CheckedCertificate]:
        """Check certificates (DER, at most 1,000) for a time, or for now; answer in order. One that
        identity fails over is UNKNOWN."""

        async def check(part: Sequence[bytes]) -> list[CheckedCertificate]:
            response = await self._call(
                "BatchCheckCertificates",
                certificates_pb2.BatchCheckCertificatesRequest(
                    certificates=part, at=to_timestamp(at)
                ),
                certificates_pb2.BatchCheckCertificatesResponse,
            )
            if len(response.checks) != len(part):
                raise Unavailable("identity did not answer for each certificate")
            return [_checked(each) for each in response.checks]

        unknown = CheckedCertificate(CertificateStatus.UNKNOWN)
        return await self._in_halves("BatchCheckCertificates", check, certificates, unknown)

    async def inspect_certificates(self, certificates: Sequence[bytes]) -> list[HolderRoles]:
        """Read the organization and roles of certificates (DER, at most 1,000), in order; they are
        not known of one that identity fails over."""

        async def inspect(part: Sequence[bytes]) -> list[HolderRoles]:
            response = await self._call(
                "InspectCertificates",
                certificates_pb2.InspectCertificatesRequest(certificates=part),
                certificates_pb2.InspectCertificatesResponse,
            )
            if len(response.certificates) != len(part):
                raise Unavailable("identity did not answer for each certificate")
            return [
                HolderRoles(each.bin, frozenset(each.roles), on_sim=each.on_sim)
                for each in response.certificates
            ]

        unknown = HolderRoles(known=False)
        return await self._in_halves("InspectCertificates", inspect, certificates, unknown)

    async def verify_time_stamp(self, token: bytes, data: bytes) -> TimeStamp:
        """Verify a time-stamp token over the data."""
        stamped = certificates_pb2.StampedData(token=token, data=data)
        response = await self._ask(
            "VerifyTimeStamps",
            certificates_pb2.VerifyTimeStampsRequest(time_stamps=[stamped]),
            certificates_pb2.VerifyTimeStampsResponse,
        )
        if len(response.checks) != 1:
            raise Unavailable("identity did not answer")
        return _time_stamp(response.checks[0])

    async def organization_exists(self, name: str, call: Call) -> bool:
        """Return whether an organization has this name."""
        response = await self._peer.call(
            "qagazsyz.identity.v1.SubjectService/BatchGetSubjects",
            subjects_pb2.BatchGetSubjectsRequest(names=[name]),
            subjects_pb2.BatchGetSubjectsResponse,
            during=call,
        )
        return any(s.name == name and s.HasField("organization") for s in response.subjects)

    async def find_officers(
        self, organization: str, people: Sequence[str], call: Call
    ) -> frozenset[str]:
        """Return those of the people who are officers of the organization now."""
        names = [f"{organization}/memberships/{each.removeprefix('subjects/')}" for each in people]
        response = await self._peer.call(
            "qagazsyz.identity.v1.SubjectService/BatchGetMemberships",
            subjects_pb2.BatchGetMembershipsRequest(names=names),
            subjects_pb2.BatchGetMembershipsResponse,
            during=call,
        )
        return frozenset(
            person
            for person, membership in zip(people, response.memberships, strict=True)
            if membership.name and membership.role == Role.ROLE_OFFICER
        )

    async def announce_keys(self, public_keys: Sequence[bytes], call: Call | None = None) -> None:
        """Make identity refuse sign-ins with these keys (SubjectPublicKeyInfo, at most 1,000).

        When it returns, identity has stored them.
        """
        await self._ask(
            "HoldKeys",
            certificates_pb2.HoldKeysRequest(public_keys=public_keys),
            certificates_pb2.HoldKeysResponse,
            during=call,
        )

    async def _call(
        self, method: str, request: Message, response_type: type[R], during: Call | None = None
    ) -> R:
        """Raises grpc.aio.AioRpcError for a refusal."""
        return await self._peer.call(
            f"qagazsyz.identity.v1.CertificateService/{method}",
            request,
            response_type,
            during=during,
        )

    async def _ask(
        self, method: str, request: Message, response_type: type[R], during: Call | None = None
    ) -> R:
        """Raises Unavailable for a refusal."""
        try:
            return await self._call(method, request, response_type, during)
        except grpc.aio.AioRpcError as error:
            raise _refused(method, error) from error

    async def _in_halves(
        self,
        method: str,
        ask: Callable[[Sequence[bytes]], Awaitable[Sequence[A]]],
        certificates: Sequence[bytes],
        unknown: A,
    ) -> list[A]:
        """Return an answer for each certificate, unknown for one that identity fails over. Raises
        Unavailable for any other refusal."""
        try:
            return await ask_in_halves(ask, certificates, failed=lambda _error: unknown)
        except grpc.aio.AioRpcError as error:
            raise _refused(method, error) from error


def _refused(method: str, error: grpc.aio.AioRpcError) -> Unavailable:
    # A refusal is a defect between our own services. Whatever it was, these certificates were not
    # checked and no key was announced.
    log.warning("identity refused", extra={"rpc.method": method, "code": error.code().name})
    return Unavailable("identity did not answer")


def _checked(check: certificates_pb2.CertificateCheck) -> CheckedCertificate:
    try:
        status = CertificateStatus(check.status)
    except ValueError:
        status = CertificateStatus.UNKNOWN
    if status is CertificateStatus.UNSPECIFIED:
        # Not an answer, so not a status to show a caller.
        status = CertificateStatus.UNKNOWN
    return CheckedCertificate(
        status=status,
        subject=check.subject,
        revoke_time=from_timestamp(check.revoke_time) if check.HasField("revoke_time") else None,
        fresh_until=from_timestamp(check.fresh_until) if check.HasField("fresh_until") else None,
        valid_from=from_timestamp(check.valid_from) if check.HasField("valid_from") else None,
        valid_until=from_timestamp(check.valid_until) if check.HasField("valid_until") else None,
    )


def _time_stamp(check: certificates_pb2.TimeStampCheck) -> TimeStamp:
    try:
        status = TimeStampStatus(check.status)
    except ValueError:
        # A status newer than this service: whatever it says, not VALID.
        return TimeStamp(TimeStampStatus.MALFORMED)
    if status is not TimeStampStatus.VALID:
        return TimeStamp(status)
    if not check.HasField("time"):
        return TimeStamp(TimeStampStatus.MALFORMED)
    return TimeStamp(status, from_timestamp(check.time))
