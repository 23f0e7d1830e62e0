"""VerificationService: verify one signature, a batch, or a stream of batches.

All three take one path: the request's bytes go to the backend as they came, its signers are
resolved, its items scheduled, and the response's bytes are assembled from the verdicts. Nothing
here loops over items.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from google.rpc import status_pb2

from qagazsyz.signing.v1 import verification_pb2
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.errors import (
    DeadlineExceeded,
    DomainError,
    InvalidArgument,
    Unauthenticated,
    Unavailable,
)
from services.runtime.server import Call, wire
from services.runtime.status import status_of
from services.signing.verification.ordered_answers import OrderedAnswers
from services.signing.verification.requests import (
    StampedSignature,
    check_counts,
    find_stamped_signature,
    malformed,
    parse_trust,
)
from services.signing.verification.response_encoding import (
    batch_of_stream_request,
    batch_verify_response,
    count_valid,
    stream_response,
    verify_response,
)
from services.signing.verification.scheduler import Scheduler
from services.signing.verification.signers import Signers
from services.signing.verification.time_stamp import TimeStamp, TimeStampStatus, VerifyTimeStamp
from services.signing.verification.trust import NOT_CHECKED, SignerResult
from signatures.backend import Backend, Batch, MalformedRequest
from signatures.fields import MalformedFields

# About what an item or a signer takes in memory beside its bytes: an empty one is two on the wire.
ENTRY_BYTES = 128
# No time-stamp, with its authorities' certificates, and no signature is near this size.
STAMPED_LIMIT_BYTES = 64 * 1024
# Smaller requests are parsed on the loop: handing one to a thread takes longer than that.
PARSED_ON_LOOP_BYTES = 512 * 1024
# Answers of a stream under way or not yet taken: one is verified while the client reads another.
# A client that does not read makes the service hold these and no more.
STREAM_ANSWERS_LIMIT = 2
# The contract: a stream ends this long after its caller's token expired.
STREAM_GRACE_SECONDS = 3_600.0


class VerificationServicer:
    """Serves qagazsyz.signing.v1.VerificationService."""

    def __init__(
        self,
        *,
        backend: Backend,
        scheduler: Scheduler,
        signers: Signers,
        verify_time_stamp: VerifyTimeStamp,
        clock: Clock,
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._signers = signers
        self._verify_time_stamp = verify_time_stamp
        self._clock = clock

    @wire
    async def Verify(self, request: bytes, call: Call) -> bytes:
        with self._scheduler.admit(len(request) + ENTRY_BYTES):
            batch = await _parse(self._backend.parse_single, request)
            results = await self._resolve_single(batch, find_stamped_signature(request))
            verdicts = await self._scheduler.verify(
                batch, size=len(request), time_remaining=call.time_remaining()
            )
        return verify_response(verdicts[0], results.get(0, NOT_CHECKED))

    @wire
    async def BatchVerify(self, request: bytes, call: Call) -> bytes:
        answer = await self._batch(request, call)
        telemetry.annotate(items=answer.items, signers=answer.signers, valid=answer.valid)
        return answer.response

    async def StreamVerify(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncIterator[bytes]:
        ends = call.caller.expire_time + STREAM_GRACE_SECONDS
        answers = OrderedAnswers(
            requests,
            lambda request: self._stream_answer(request, call),
            limit=STREAM_ANSWERS_LIMIT,
        )
        sequence = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(ends - self._clock().timestamp()) as limit:
                        answer = await answers.next()
                except TimeoutError:
                    # A TimeoutError of the answer itself is a defect, not an expired token.
                    if not limit.expired():
                        raise
                    raise Unauthenticated("the token expired an hour ago") from None
                if answer is None:
                    break
                yield stream_response(sequence, answer)
                answers.taken()
                sequence += 1
        finally:
            telemetry.annotate(batches=sequence)
            answers.close()

    async def GetVerificationBackend(
        self, _request: verification_pb2.GetVerificationBackendRequest, _call: Call
    ) -> verification_pb2.VerificationBackend:
        return verification_pb2.VerificationBackend(name=self._backend.name)

    async def _stream_answer(self, request: bytes, call: Call) -> bytes | status_pb2.Status:
        try:
            try:
                batch = batch_of_stream_request(request)
            except MalformedFields:
                raise malformed() from None
            if batch is None:
                raise InvalidArgument("batch", "is required")
            # The batch is a copy, and either may be 20 MiB.
            del request
            return (await self._batch(batch, call, prefix="batch.")).response
        except DomainError as error:
            return status_of(error)

    async def _batch(self, request: bytes, call: Call, *, prefix: str = "") -> _BatchAnswer:
        with self._scheduler.admit(len(request)) as admission:
            batch = await _parse(self._backend.parse_batch, request)
            check_counts(batch, prefix=prefix)
            trust = parse_trust(batch, prefix=prefix)
            admission.grow((batch.item_count + batch.signer_count) * ENTRY_BYTES)
            results = await self._signers.resolve(batch, trust.policy, trust.at, trust.role)
            verdicts = await self._scheduler.verify(
                batch, size=len(request), time_remaining=call.time_remaining()
            )
        return _BatchAnswer(
            batch_verify_response(verdicts, batch.signer_count, results),
            batch.item_count,
            batch.signer_count,
            count_valid(verdicts),
        )

    async def _resolve_single(
        self, batch: Batch, stamped: StampedSignature | None
    ) -> dict[int, SignerResult]:
        trust = parse_trust(batch)
        if stamped is None:
            return await self._signers.resolve(batch, trust.policy, trust.at, trust.role)
        if trust.at is not None:
            raise InvalidArgument("time_stamp", "not together with at: both give the time")
        stamp = await self._verify_stamp(stamped)
        if stamp.status is TimeStampStatus.VALID:
            return await self._signers.resolve(batch, trust.policy, stamp.time, trust.role)
        # The time to check the certificate at is unknown, so it is not checked.
        await self._signers.resolve_as(batch, stamp.verdict)
        return {}

    async def _verify_stamp(self, stamped: StampedSignature) -> TimeStamp:
        if len(stamped.token) > STAMPED_LIMIT_BYTES:
            return TimeStamp(TimeStampStatus.MALFORMED)
        if len(stamped.signature) > STAMPED_LIMIT_BYTES:
            # No algorithm has such signatures: the verdict will be MALFORMED_SIGNATURE.
            return TimeStamp(TimeStampStatus.UNKNOWN)
        try:
            return await self._verify_time_stamp(stamped.token, stamped.signature)
        except (Unavailable, DeadlineExceeded):
            return TimeStamp(TimeStampStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _BatchAnswer:
    """A BatchVerifyResponse's bytes, and the attributes of its span."""

    response: bytes
    items: int
    signers: int
    valid: int


async def _parse(parse: Callable[[bytes], Batch], request: bytes) -> Batch:
    try:
        if len(request) <= PARSED_ON_LOOP_BYTES:
            return parse(request)
        return await asyncio.get_running_loop().run_in_executor(None, parse, request)
    except MalformedRequest:
        raise malformed() from None
