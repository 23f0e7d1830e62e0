"""What this service asks identity: whether certificates hold, whether organizations exist."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import grpc

from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2
from services.runtime.clock import from_timestamp, to_timestamp
from services.runtime.errors import Unavailable
from services.runtime.peers import Peer
from services.runtime.server import Call
from services.signing.signers import CertificateCheck, Status


class Identity:
    """The identity service, as this one calls it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def check_certificates(
        self, certificates: Sequence[bytes], at: datetime | None
    ) -> list[CertificateCheck]:
        """Its answer on each, for a time or for now. Raises Unavailable or DeadlineExceeded."""
        try:
            response = await self._peer.call(
                "qagazsyz.identity.v1.CertificateService/BatchCheckCertificates",
                certificates_pb2.BatchCheckCertificatesRequest(
                    certificates=certificates, at=to_timestamp(at)
                ),
                certificates_pb2.BatchCheckCertificatesResponse,
            )
        except grpc.aio.AioRpcError as error:
            # Whatever the reason, nothing is known of these certificates.
            raise Unavailable("identity did not answer") from error
        if len(response.checks) != len(certificates):
            raise Unavailable("identity did not answer for each certificate")
        return [_check(answer) for answer in response.checks]

    async def organization_exists(self, name: str, call: Call) -> bool:
        """Whether there is an organization of this name. Raises Unavailable or DeadlineExceeded."""
        response = await self._peer.call(
            "qagazsyz.identity.v1.SubjectService/BatchGetSubjects",
            subjects_pb2.BatchGetSubjectsRequest(names=[name]),
            subjects_pb2.BatchGetSubjectsResponse,
            during=call,
        )
        return any(s.name == name and s.HasField("organization") for s in response.subjects)


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
    )
