"""Who the signers of a batch are, and whether their certificates are to be trusted.

Key versions are looked up in our own database, once: a version's public key
never changes. Certificates are judged by identity, all those of a batch that
are not known in one call, and its answers are kept by the certificate's SHA-256
for as long as identity says; whoever asks for a certificate that is being asked
for already waits for the same answer. What cannot be found out is told apart
from what is refused, and neither is ever read as good.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from cryptography import x509

from services.runtime.clock import Clock
from services.runtime.errors import DeadlineExceeded, Unavailable
from services.signing.keystore import is_version_name
from signatures.algorithms import Verdict
from signatures.backend import Batch

# Certificates that identity takes in one call.
CHECK_AT_ONCE = 1_000
# No certificate that an authority issues is near this size; an answer is known without asking.
CERTIFICATE_LIMIT_BYTES = 64 * 1024
# A verdict that comes later is of less use than INDETERMINATE now.
CHECK_TIMEOUT_SECONDS = 3.0
# About 20 MB; the batches of ten seconds with all signers distinct.
KEPT_CHECKS = 50_000
# About 5 MB of RSA keys.
KEPT_KEYS = 10_000

# Numbers of Signer's fields, as Batch.named_signers gives them.
CERTIFICATE_FIELD = 2
KEY_VERSION_FIELD = 3


class TrustPolicy(IntEnum):
    """How signers are judged; the contract's numbers."""

    UNSPECIFIED = 0
    CERTIFICATE = 1
    SIGNATURE_ONLY = 2


class Status(IntEnum):
    """What is known of a certificate; the contract's numbers."""

    UNSPECIFIED = 0
    GOOD = 1
    REVOKED = 2
    EXPIRED = 3
    NOT_YET_VALID = 4
    UNTRUSTED = 5
    MALFORMED = 6
    UNKNOWN = 7
    WRONG_USAGE = 8


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# At another time it may be good.
_NOT_GOOD_BY_TIME = frozenset({Status.REVOKED, Status.EXPIRED, Status.NOT_YET_VALID})


@dataclass(frozen=True, slots=True)
class SignerResult:
    """What the answer says of a signer."""

    status: Status = Status.UNSPECIFIED
    subject: str = ""


@dataclass(frozen=True, slots=True)
class CertificateCheck:
    """Identity's answer on one certificate."""

    status: Status
    subject: str = ""
    revoke_time: datetime | None = None
    fresh_until: datetime | None = None


NOT_JUDGED = SignerResult()
_UNREACHABLE = CertificateCheck(Status.UNKNOWN)
_TOO_LARGE = CertificateCheck(Status.MALFORMED)

CheckCertificates = Callable[
    [Sequence[bytes], datetime | None], Awaitable[Sequence[CertificateCheck]]
]
FindPublicKeys = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]


class Signers:
    """Gives the signers of a batch their keys and the trust that the policy asks for."""

    def __init__(
        self,
        *,
        check_certificates: CheckCertificates,
        find_public_keys: FindPublicKeys,
        clock: Clock,
    ) -> None:
        """check_certificates: at most CHECK_AT_ONCE, for a time or for now, answers in order;
        raises Unavailable or DeadlineExceeded. find_public_keys: those that there are, by name.
        """
        self._checks = _Checks(check_certificates, clock)
        self._find_public_keys = find_public_keys
        self._keys: dict[str, bytes] = {}

    async def resolve(
        self, batch: Batch, policy: TrustPolicy, at: datetime | None
    ) -> dict[int, SignerResult]:
        """What the answer says of each signer that was judged; the batch knows keys and trust.

        at: the time to judge certificates at, or None for now.
        """
        named = batch.named_signers()
        await self._give_keys(
            batch, [(index, value) for index, field, value in named if field == KEY_VERSION_FIELD]
        )
        if policy is TrustPolicy.SIGNATURE_ONLY:
            return {}
        results: dict[int, SignerResult] = {}
        certificates = [
            (index, value) for index, field, value in named if field == CERTIFICATE_FIELD
        ]
        ders = [der for _, der in certificates]
        checks = await self._checks.of(ders)
        if at is not None:
            checks = await self._checks.at(ders, checks, at)
        for (index, _), check in zip(certificates, checks, strict=True):
            results[index] = SignerResult(check.status, check.subject)
            if check.status is not Status.GOOD:
                batch.set_trust(index, _worth(check.status))
        if policy is TrustPolicy.CERTIFICATE:
            for index in range(batch.signer_count):
                if index not in results:
                    results[index] = SignerResult(Status.UNTRUSTED)
                    batch.set_trust(index, Verdict.UNTRUSTED_SIGNER)
        return results

    async def _give_keys(self, batch: Batch, asked: Sequence[tuple[int, bytes]]) -> None:
        if not asked:
            return
        names = [(index, value.decode()) for index, value in asked]
        found = {name: self._keys[name] for _, name in names if name in self._keys}
        missing = {name for _, name in names if name not in found and is_version_name(name)}
        if missing:
            new = await self._find_public_keys(sorted(missing))
            found |= new
            self._keys |= new
            _forget_oldest(self._keys, KEPT_KEYS)
        for index, name in names:
            batch.set_key(index, found.get(name))


def _worth(status: Status) -> Verdict:
    """What a signature that holds is worth where its certificate is not good."""
    return Verdict.INDETERMINATE if status is Status.UNKNOWN else Verdict.UNTRUSTED_SIGNER


def status_at(certificate: bytes, revoke_time: datetime | None, at: datetime) -> Status:
    """The status at another time of a certificate that is good now, by its own dates."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        not_before, not_after = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    except ValueError:
        return Status.MALFORMED
    if revoke_time is not None and at >= revoke_time:
        return Status.REVOKED
    if at < not_before:
        return Status.NOT_YET_VALID
    if at > not_after:
        return Status.EXPIRED
    return Status.GOOD


class _Checks:
    """Identity's answers, kept while they are fresh."""

    def __init__(self, ask: CheckCertificates, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._kept: dict[bytes, CertificateCheck] = {}
        self._asking: dict[bytes, asyncio.Task[Mapping[bytes, CertificateCheck]]] = {}

    async def of(self, certificates: Sequence[bytes]) -> list[CertificateCheck]:
        """One answer for each, UNKNOWN where identity could not be reached."""
        if not certificates:
            return []
        digests = [hashlib.sha256(der).digest() for der in certificates]
        now = self._clock()
        known: dict[bytes, CertificateCheck] = {}
        missing: dict[bytes, bytes] = {}
        waiting: set[asyncio.Task[Mapping[bytes, CertificateCheck]]] = set()
        for digest, der in zip(digests, certificates, strict=True):
            kept = self._kept.get(digest)
            if kept is not None and kept.fresh_until is not None and now < kept.fresh_until:
                known[digest] = kept
            elif digest in self._asking:
                waiting.add(self._asking[digest])
            elif len(der) > CERTIFICATE_LIMIT_BYTES:
                known[digest] = _TOO_LARGE
            else:
                missing[digest] = der
        waiting |= self._start_asking(missing)
        for task in waiting:
            # Others may wait for the same answer: a caller that gives up must not end it.
            known |= await asyncio.shield(task)
        return [known[digest] for digest in digests]

    async def at(
        self, certificates: Sequence[bytes], checks: Sequence[CertificateCheck], at: datetime
    ) -> list[CertificateCheck]:
        """The answers for another time, from those of now.

        Of a certificate that is good now the chain and the usage hold, and its own dates tell the
        rest. One that is not by its time alone may hide more behind that (identity tells the first
        thing that it finds): identity is asked again, for that time, and the answer is not kept.
        """
        # Certificates are parsed for this.
        found = await asyncio.get_running_loop().run_in_executor(
            None,
            lambda: [
                replace(check, status=status_at(der, check.revoke_time, at))
                if check.status is Status.GOOD
                else check
                for der, check in zip(certificates, checks, strict=True)
            ],
        )
        unclear = {
            der: check
            for der, check in zip(certificates, checks, strict=True)
            if check.status in _NOT_GOOD_BY_TIME
        }
        ders = list(unclear)
        for start in range(0, len(ders), CHECK_AT_ONCE):
            part = ders[start : start + CHECK_AT_ONCE]
            unclear |= zip(part, await self._ask_in_time(part, at), strict=True)
        return [unclear.get(der, check) for der, check in zip(certificates, found, strict=True)]

    async def _ask_in_time(
        self, certificates: Sequence[bytes], at: datetime | None
    ) -> Sequence[CertificateCheck]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                return await self._ask(certificates, at)
        except (Unavailable, DeadlineExceeded, TimeoutError):
            return [_UNREACHABLE] * len(certificates)

    def _start_asking(
        self, missing: Mapping[bytes, bytes]
    ) -> set[asyncio.Task[Mapping[bytes, CertificateCheck]]]:
        tasks = set()
        digests = list(missing)
        for start in range(0, len(digests), CHECK_AT_ONCE):
            part = {digest: missing[digest] for digest in digests[start : start + CHECK_AT_ONCE]}
            task = asyncio.create_task(self._answers(part))
            self._asking |= dict.fromkeys(part, task)
            tasks.add(task)
        return tasks

    async def _answers(
        self, certificates: Mapping[bytes, bytes]
    ) -> Mapping[bytes, CertificateCheck]:
        try:
            checks = await self._ask_in_time(list(certificates.values()), None)
            answers = dict(zip(certificates, checks, strict=True))
        finally:
            for digest in certificates:
                del self._asking[digest]
        for digest, check in answers.items():
            # Deleted first, so that the oldest answers stand first.
            self._kept.pop(digest, None)
            if check.fresh_until is not None:
                self._kept[digest] = check
        _forget_oldest(self._kept, KEPT_CHECKS)
        return answers


def _forget_oldest(kept: dict[bytes, CertificateCheck] | dict[str, bytes], limit: int) -> None:
    while len(kept) > limit:
        del kept[next(iter(kept))]  # type: ignore[arg-type]


def time_of(seconds: int, nanos: int) -> datetime:
    """The time of a Timestamp's parts, to the microsecond. Raises ValueError out of its range."""
    if not 0 <= nanos < 1_000_000_000:
        raise ValueError("nanos")
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise ValueError("seconds") from None
