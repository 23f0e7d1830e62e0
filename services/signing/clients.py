"""What this service asks identity about: certificates, time-stamps, organizations; and tells it:
the keys held here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2
from services.runtime.clients import ServiceClient
from services.runtime.clock import from_timestamp, to_timestamp
from services.runtime.errors import Unavailable
from services.runtime.server import Call
from services.signing.verification.signers import CertificateCheck, Holder, Status
from services.signing.verification.time_stamp import Stamp, StampStatus

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Message)

# The contract's limit.
HOLD_KEYS_LIMIT = 1_000


class Identity:
    """The identity service, as this one calls it."""

    def __init__(self, peer: ServiceClient) -> None:
        self._peer = peer

    async def check_certificates(
        self, certificates: Sequence[bytes], at: datetime | None
    ) -> list[CertificateCheck]:
        """Its answer on each, for a time or for now. Raises Unavailable or DeadlineExceeded."""
        response = await self._ask(
            "BatchCheckCertificates",
            certificates_pb2.BatchCheckCertificatesRequest(
                certificates=certificates, at=to_timestamp(at)
            ),
            certificates_pb2.BatchCheckCertificatesResponse,
        )
        if len(response.checks) != len(certificates):
            raise Unavailable("identity did not answer for each certificate")
        return [_check(answer) for answer in response.checks]

    async def inspect_certificates(self, certificates: Sequence[bytes]) -> list[Holder]:
        """What each says of its holder. Raises Unavailable or DeadlineExceeded."""
        response = await self._ask(
            "InspectCertificates",
            certificates_pb2.InspectCertificatesRequest(certificates=certificates),
            certificates_pb2.InspectCertificatesResponse,
        )
        if len(response.certificates) != len(certificates):
            raise Unavailable("identity did not answer for each certificate")
        return [Holder(info.bin, frozenset(info.roles)) for info in response.certificates]

    async def verify_time_stamp(self, token: bytes, data: bytes) -> Stamp:
        """What a time-stamp over the data is worth. Raises Unavailable or DeadlineExceeded."""
        stamped = certificates_pb2.StampedData(token=token, data=data)
        response = await self._ask(
            "VerifyTimeStamps",
            certificates_pb2.VerifyTimeStampsRequest(time_stamps=[stamped]),
            certificates_pb2.VerifyTimeStampsResponse,
        )
        if len(response.checks) != 1:
            raise Unavailable("identity did not answer")
        (check,) = response.checks
        if check.status == certificates_pb2.TIME_STAMP_STATUS_VALID and check.HasField("time"):
            return Stamp(StampStatus.VALID, from_timestamp(check.time))
        unknown = certificates_pb2.TIME_STAMP_STATUS_UNKNOWN
        if check.status in (unknown, certificates_pb2.TIME_STAMP_STATUS_UNSPECIFIED):
            return Stamp(StampStatus.UNKNOWN)
        return Stamp(StampStatus.INVALID)

    async def organization_exists(self, name: str, call: Call) -> bool:
        """Whether there is an organization of this name. Raises Unavailable or DeadlineExceeded."""
        response = await self._peer.call(
            "qagazsyz.identity.v1.SubjectService/BatchGetSubjects",
            subjects_pb2.BatchGetSubjectsRequest(names=[name]),
            subjects_pb2.BatchGetSubjectsResponse,
            during=call,
        )
        return any(s.name == name and s.HasField("organization") for s in response.subjects)

    async def hold_keys(self, public_keys: Sequence[bytes], call: Call | None = None) -> None:
        """Has these sign nobody in: SubjectPublicKeyInfo, at most HOLD_KEYS_LIMIT.

        Once it returns, identity has kept them. Raises Unavailable or DeadlineExceeded.
        """
        await self._ask(
            "HoldKeys",
            certificates_pb2.HoldKeysRequest(public_keys=public_keys),
            certificates_pb2.HoldKeysResponse,
            during=call,
        )

    async def _ask(
        self, method: str, request: Message, response_type: type[R], during: Call | None = None
    ) -> R:
        try:
            return await self._peer.call(
                f"qagazsyz.identity.v1.CertificateService/{method}",
                request,
                response_type,
                during=during,
            )
        except grpc.aio.AioRpcError as error:
            # Whatever the reason, nothing is known of these certificates, and no key is held.
            log.warning("identity refused", extra={"rpc.method": method, "code": error.code().name})
            raise Unavailable("identity did not answer") from error


def _check(answer: certificates_pb2.CertificateCheck) -> CertificateCheck:
    try:
        status = Status(answer.status)
    except ValueError:
        status = Status.UNKNOWN
    return CertificateCheck(
        # An answer that says nothing is no answer.
        status=status if status is not Status.UNSPECIFIED else Status.UNKNOWN,
        subject=answer.subject,
        revoke_time=from_timestamp(answer.revoke_time) if answer.HasField("revoke_time") else None,
        fresh_until=from_timestamp(answer.fresh_until) if answer.HasField("fresh_until") else None,
        valid_from=from_timestamp(answer.valid_from) if answer.HasField("valid_from") else None,
        valid_until=from_timestamp(answer.valid_until) if answer.HasField("valid_until") else None,
    )
