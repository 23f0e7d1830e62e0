"""VerificationService: is this signature valid, for one, for a batch, for batches without end.

All three are one path: the request's bytes go to the backend as they came, its
signers are resolved, its items scheduled, and the answer's bytes are put
together from the verdicts. Nothing here is done item by item.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from qagazsyz.common.v1.certificates_pb2 import CertificateRole
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
from services.signing.verification.response_encoding import (
    batch_of_stream_request,
    batch_verify_response,
    count_valid,
    stream_response,
    verify_response,
)
from services.signing.verification.scheduler import Scheduler
from services.signing.verification.signers import (
    NOT_JUDGED,
    RequiredRole,
    SignerResult,
    Signers,
    TrustPolicy,
    time_of,
)
from services.signing.verification.time_stamp import Stamp, StampStatus, VerifyTimeStamp
from signatures.algorithms import Verdict
from signatures.backend import Backend, Batch, MalformedRequest
from signatures.fields import MalformedFields

# The contract's limits.
ITEMS_LIMIT = 10_000
SIGNERS_LIMIT = 10_000
# What an item or a signer takes in memory beside its bytes, about: two bytes on the wire are one.
ENTRY_BYTES = 128
# Neither a time-stamp with its authorities' certificates nor any signature comes near this.
STAMPED_LIMIT_BYTES = 64 * 1024
# Smaller requests are decoded on the loop: a thread would take longer to start than that does.
DECODED_ON_LOOP_BYTES = 512 * 1024
# A stream's requests that are read and not yet answered: one is verified while another's answer
# is taken. A client that reads nothing makes the service hold these and no more.
STREAM_ANSWERS_HELD = 2
# The contract: a stream ends this long after its caller's token has expired.
STREAM_GRACE_SECONDS = 3_600.0

_BIN = re.compile(r"[0-9]{12}")
_ROLES = frozenset(CertificateRole.values()) - {CertificateRole.CERTIFICATE_ROLE_UNSPECIFIED}
# The contract: who may sign for an organization, where the request names no role.
_MAY_SIGN = frozenset(
    {CertificateRole.CERTIFICATE_ROLE_FIRST_HEAD, CertificateRole.CERTIFICATE_ROLE_MAY_SIGN}
)


class VerificationService:
    """The servicer of qagazsyz.signing.v1.VerificationService."""

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
            stamped = _stamped(request)
            batch = await _decoded(self._backend.parse_single, request)
            judged = await self._judge_single(batch, stamped)
            verdicts = await self._scheduler.verify(
                batch, size=len(request), time_remaining=call.time_remaining()
            )
        return verify_response(verdicts[0], judged.get(0, NOT_JUDGED))

    @wire
    async def BatchVerify(self, request: bytes, call: Call) -> bytes:
        answer = await self._batch(request, call)
        telemetry.annotate(items=answer.items, signers=answer.signers, valid=answer.valid)
        return answer.response

    async def StreamVerify(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> AsyncIterator[bytes]:
        ends = call.caller.expire_time + STREAM_GRACE_SECONDS
        stream = _Stream(requests, lambda request: self._stream_answer(request, call))
        sequence = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(ends - self._clock().timestamp()) as limit:
                        answer = await stream.next()
                except TimeoutError:
                    # One from inside the answer is a fault of ours, and says nothing of the token.
                    if not limit.expired():
                        raise
                    raise Unauthenticated("the token expired an hour ago") from None
                if answer is None:
                    break
                yield stream_response(sequence, answer)
                stream.taken()
                sequence += 1
        finally:
            telemetry.annotate(batches=sequence)
            stream.close()

    async def GetVerificationBackend(
        self,
        request: verification_pb2.GetVerificationBackendRequest,  # noqa: ARG002
        call: Call,  # noqa: ARG002
    ) -> verification_pb2.VerificationBackend:
        return verification_pb2.VerificationBackend(name=self._backend.name)

    async def _stream_answer(self, request: bytes, call: Call) -> bytes | status_pb2.Status:
        try:
            try:
                batch = batch_of_stream_request(request)
            except MalformedFields:
                raise _malformed() from None
            if batch is None:
                raise InvalidArgument("batch", "is required")
            # The batch is a copy, and either may be 20 MiB.
            del request
            return (await self._batch(batch, call, prefix="batch.")).response
        except DomainError as error:
            return status_of(error)

    async def _batch(self, request: bytes, call: Call, *, prefix: str = "") -> _BatchAnswer:
        with self._scheduler.admit(len(request)):
            batch = await _decoded(self._backend.parse_batch, request)
            if batch.item_count > ITEMS_LIMIT:
                raise InvalidArgument(f"{prefix}items", f"more than {ITEMS_LIMIT:,}")
            if batch.signer_count > SIGNERS_LIMIT:
                raise InvalidArgument(f"{prefix}signers", f"more than {SIGNERS_LIMIT:,}")
            policy, at, role = asked_of_signers(batch, prefix=prefix)
            entries = batch.item_count + batch.signer_count
            with self._scheduler.admit(entries * ENTRY_BYTES):
                judged = await self._signers.resolve(batch, policy, at, role)
                verdicts = await self._scheduler.verify(
                    batch, size=len(request), time_remaining=call.time_remaining()
                )
        return _BatchAnswer(
            batch_verify_response(verdicts, batch.signer_count, judged),
            batch.item_count,
            batch.signer_count,
            count_valid(verdicts),
        )

    async def _judge_single(
        self, batch: Batch, stamped: _Stamped | None
    ) -> dict[int, SignerResult]:
        policy, at, role = asked_of_signers(batch)
        if stamped is None:
            return await self._signers.resolve(batch, policy, at, role)
        if at is not None:
            raise InvalidArgument("time_stamp", "the time is either given or stamped")
        stamp = await self._stamp(stamped.time_stamp, stamped.signature)
        if stamp.status is StampStatus.VALID:
            return await self._signers.resolve(batch, policy, stamp.time, role)
        # At which time to judge the certificate is not known.
        invalid = stamp.status is StampStatus.INVALID
        verdict = Verdict.INVALID_TIME_STAMP if invalid else Verdict.INDETERMINATE
        await self._signers.leave_unjudged(batch, verdict)
        return {}

    async def _stamp(self, token: bytes, signature: bytes) -> Stamp:
        if len(token) > STAMPED_LIMIT_BYTES:
            return Stamp(StampStatus.INVALID)
        if len(signature) > STAMPED_LIMIT_BYTES:
            # It is a signature of no algorithm, which is the verdict then.
            return Stamp(StampStatus.UNKNOWN)
        try:
            return await self._verify_time_stamp(token, signature)
        except (Unavailable, DeadlineExceeded):
            return Stamp(StampStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Stamped:
    """A signature with the time-stamp over it."""

    time_stamp: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _BatchAnswer:
    """A BatchVerifyResponse's bytes, and what the trace says of it."""

    response: bytes
    items: int
    signers: int
    valid: int


class _Stream:
    """A stream's requests, answered in their order, a bounded number of them at once."""

    def __init__(
        self,
        requests: AsyncIterator[bytes],
        answer: Callable[[bytes], Coroutine[None, None, bytes | status_pb2.Status]],
    ) -> None:
        self._requests = requests
        self._answer = answer
        self._held = asyncio.Semaphore(STREAM_ANSWERS_HELD)
        self._answers: asyncio.Queue[asyncio.Task[bytes | status_pb2.Status] | None] = (
            asyncio.Queue()
        )
        self._tasks: set[asyncio.Task[bytes | status_pb2.Status]] = set()
        self._reader = asyncio.create_task(self._read())

    async def next(self) -> bytes | status_pb2.Status | None:
        """The next answer, or None behind the last one."""
        task = await self._answers.get()
        if task is None:
            await self._reader
            return None
        return await task

    def taken(self) -> None:
        """The client took an answer: another request may be read."""
        self._held.release()

    def close(self) -> None:
        """Ends what is under way."""
        self._reader.cancel()
        for task in self._tasks:
            task.cancel()

    async def _read(self) -> None:
        try:
            while True:
                # First the place, then the request: an unread one stays with the client.
                await self._held.acquire()
                try:
                    request = await anext(self._requests)
                except StopAsyncIteration:
                    return
                task = asyncio.create_task(self._answer(request))
                del request
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                self._answers.put_nowait(task)
        finally:
            self._answers.put_nowait(None)


def asked_of_signers(
    batch: Batch, *, prefix: str = ""
) -> tuple[TrustPolicy, datetime | None, RequiredRole | None]:
    """How a request wants its signers judged. Raises InvalidArgument."""
    try:
        policy = TrustPolicy(batch.trust_policy)
    except ValueError:
        raise InvalidArgument(f"{prefix}trust_policy", "no such policy") from None
    try:
        at = time_of(*batch.at) if batch.at is not None else None
    except ValueError:
        raise InvalidArgument(f"{prefix}at", "is no point in time") from None
    asked = batch.required_role
    if asked is None:
        return policy, at, None
    field = f"{prefix}required_role"
    if policy is TrustPolicy.SIGNATURE_ONLY:
        raise InvalidArgument(field, "no role is looked for where only the signature counts")
    if asked.bin and not _BIN.fullmatch(asked.bin):
        raise InvalidArgument(f"{field}.bin", "not twelve digits")
    if len(asked.roles) > len(_ROLES) or any(role not in _ROLES for role in asked.roles):
        raise InvalidArgument(f"{field}.roles", "no such role")
    return policy, at, RequiredRole(frozenset(asked.roles) or _MAY_SIGN, asked.bin)


def _stamped(request: bytes) -> _Stamped | None:
    """What a VerifyRequest has beside its batch of one: all else of it, its message above all,
    would be a second copy in memory. Raises InvalidArgument."""
    try:
        message = verification_pb2.VerifyRequest.FromString(request)
    except DecodeError:
        raise _malformed() from None
    for field in ("signer", "item"):
        if not message.HasField(field):
            raise InvalidArgument(field, "is required")
    if not message.time_stamp:
        return None
    return _Stamped(message.time_stamp, message.item.signature)


async def _decoded(parse: Callable[[bytes], Batch], request: bytes) -> Batch:
    try:
        if len(request) <= DECODED_ON_LOOP_BYTES:
            return parse(request)
        return await asyncio.get_running_loop().run_in_executor(None, parse, request)
    except MalformedRequest:
        raise _malformed() from None


def _malformed() -> InvalidArgument:
    return InvalidArgument("", "the bytes are no message of this method")
