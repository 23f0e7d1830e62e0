"""Who the signers of a batch are, and whether they are to be trusted.

Key versions are looked up in our own database, once: a version's public key
never changes. Certificates are judged by identity, whose answers serve for as
long as it says. What cannot be found out is told apart from what is refused,
and neither is ever read as good.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from services.runtime.clock import Clock
from services.signing.keys.rules import is_version_name
from services.signing.verification.certificate_cache import ASKED_AT_ONCE, Inquiry, within_time
from signatures.algorithms import Verdict
from signatures.backend import Batch

# No certificate that an authority issues is near this size; an answer is known without asking.
CERTIFICATE_LIMIT_BYTES = 64 * 1024
# About 20 MB; the batches of ten seconds with all signers distinct.
KEPT_CHECKS = 50_000
# About 10 MB. What a certificate says of its holder never changes.
KEPT_HOLDERS = 20_000
# About 5 MB of RSA keys.
KEPT_KEYS = 10_000

# Numbers of Signer's fields, as Batch.named_signers gives them.
CERTIFICATE_FIELD = 2
KEY_VERSION_FIELD = 3

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


# What another time may change.
_BY_TIME = frozenset({Status.GOOD, Status.REVOKED, Status.EXPIRED, Status.NOT_YET_VALID})


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
    # Where set, the answer tells about other times too.
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def status_at(self, at: datetime) -> Status | None:
        """The status at another time, or None where this answer does not tell."""
        if self.status not in _BY_TIME:
            return self.status
        if self.valid_from is None or self.valid_until is None:
            return None
        if self.revoke_time is not None and at >= self.revoke_time:
            return Status.REVOKED
        if at < self.valid_from:
            return Status.NOT_YET_VALID
        if at > self.valid_until:
            return Status.EXPIRED
        return Status.GOOD


@dataclass(frozen=True, slots=True)
class Holder:
    """What a certificate says of its holder, as far as a role may be asked for."""

    bin: str = ""
    roles: frozenset[int] = frozenset()
    known: bool = True


@dataclass(frozen=True, slots=True)
class RequiredRole:
    """Who every signer has to be: the holder of one of the roles, of that organization if any."""

    roles: frozenset[int]
    bin: str = ""

    def is_held_by(self, holder: Holder) -> bool:
        """Whether the certificate says so."""
        return not self.roles.isdisjoint(holder.roles) and self.bin in ("", holder.bin)


NOT_JUDGED = SignerResult()
_NO_CHECK = CertificateCheck(Status.UNKNOWN)
_TOO_LARGE = CertificateCheck(Status.MALFORMED)
_NO_HOLDER = Holder(known=False)

CheckCertificates = Callable[
    [Sequence[bytes], datetime | None], Awaitable[Sequence[CertificateCheck]]
]
InspectCertificates = Callable[[Sequence[bytes]], Awaitable[Sequence[Holder]]]
FindPublicKeys = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]


class Signers:
    """Gives the signers of a batch their keys and the trust that the policy asks for."""

    def __init__(
        self,
        *,
        check_certificates: CheckCertificates,
        inspect_certificates: InspectCertificates,
        find_public_keys: FindPublicKeys,
        clock: Clock,
    ) -> None:
        """The first two are asked about ASKED_AT_ONCE at most, answer in order, and raise
        Unavailable or DeadlineExceeded; the third finds those that there are, by name."""
        self._check_certificates = check_certificates
        self._checks: Inquiry[CertificateCheck] = Inquiry(
            lambda certificates: check_certificates(certificates, None),
            is_fresh=lambda check: check.fresh_until is not None and clock() < check.fresh_until,
            no_answer=_NO_CHECK,
            kept=KEPT_CHECKS,
        )
        self._holders: Inquiry[Holder] = Inquiry(
            inspect_certificates,
            is_fresh=lambda holder: holder.known,
            no_answer=_NO_HOLDER,
            kept=KEPT_HOLDERS,
        )
        self._find_public_keys = find_public_keys
        self._keys: dict[str, bytes] = {}

    async def resolve(
        self,
        batch: Batch,
        policy: TrustPolicy,
        at: datetime | None = None,
        role: RequiredRole | None = None,
    ) -> dict[int, SignerResult]:
        """What the answer says of each signer that was judged; the batch knows keys and trust.

        at: the time to judge certificates at, or None for now. role: what signers must hold;
        not with SIGNATURE_ONLY.
        """
        named = batch.named_signers()
        await self._give_keys(
            batch, [(i, value) for i, f, value in named if f == KEY_VERSION_FIELD]
        )
        if policy is TrustPolicy.SIGNATURE_ONLY:
            return {}
        certificates = {index: der for index, f, der in named if f == CERTIFICATE_FIELD}
        results = await self._judge(certificates, at)
        worth = {
            index: _worth(result.status)
            for index, result in results.items()
            if result.status is not Status.GOOD
        }
        if role is not None:
            worth |= await self._missing(role, certificates, worth, batch.signer_count)
        if policy is TrustPolicy.CERTIFICATE:
            for index in range(batch.signer_count):
                if index not in results:
                    results[index] = SignerResult(Status.UNTRUSTED)
                    worth[index] = Verdict.UNTRUSTED_SIGNER
        for index, verdict in worth.items():
            batch.set_trust(index, verdict)
        return results

    async def leave_unjudged(self, batch: Batch, verdict: Verdict) -> None:
        """Gives every signer its key, and their signatures that hold this verdict."""
        await self.resolve(batch, TrustPolicy.SIGNATURE_ONLY)
        for index in range(batch.signer_count):
            batch.set_trust(index, verdict)

    async def _judge(
        self, certificates: Mapping[int, bytes], at: datetime | None
    ) -> dict[int, SignerResult]:
        small = {i: der for i, der in certificates.items() if len(der) <= CERTIFICATE_LIMIT_BYTES}
        checks = dict(zip(small, await self._checks.about(list(small.values())), strict=True))
        if at is not None:
            checks = await self._at(small, checks, at)
        found = {index: checks.get(index, _TOO_LARGE) for index in certificates}
        return {index: SignerResult(check.status, check.subject) for index, check in found.items()}

    async def _at(
        self,
        certificates: Mapping[int, bytes],
        checks: Mapping[int, CertificateCheck],
        at: datetime,
    ) -> dict[int, CertificateCheck]:
        """The answers for another time. Where those of now do not tell, identity is asked again:
        it names the first thing that it finds, which may hide more. Such answers are not kept."""
        statuses = {index: check.status_at(at) for index, check in checks.items()}
        unclear = list({certificates[i]: None for i, status in statuses.items() if status is None})
        asked: dict[bytes, CertificateCheck] = {}
        for start in range(0, len(unclear), ASKED_AT_ONCE):
            part = unclear[start : start + ASKED_AT_ONCE]
            answers = await within_time(self._check_certificates(part, at))
            asked |= zip(part, answers or [_NO_CHECK] * len(part), strict=True)
        return {
            index: asked[certificates[index]] if status is None else replace(check, status=status)
            for (index, check), status in zip(checks.items(), statuses.values(), strict=True)
        }

    async def _missing(
        self,
        role: RequiredRole,
        certificates: Mapping[int, bytes],
        worth: Mapping[int, Verdict],
        signer_count: int,
    ) -> dict[int, Verdict]:
        """Those who are not shown to hold the role, untrusted ones left out: they are worse."""
        shown = {
            index: der
            for index, der in certificates.items()
            if worth.get(index) is not Verdict.UNTRUSTED_SIGNER
        }
        holders = await self._holders.about(list(shown.values()))
        missing = dict.fromkeys(
            (index for index in range(signer_count) if index not in certificates),
            Verdict.MISSING_ROLE,
        )
        for index, holder in zip(shown, holders, strict=True):
            if not holder.known:
                missing[index] = Verdict.INDETERMINATE
            elif not role.is_held_by(holder):
                missing[index] = Verdict.MISSING_ROLE
        return missing

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
            while len(self._keys) > KEPT_KEYS:
                del self._keys[next(iter(self._keys))]
        for index, name in names:
            batch.set_key(index, found.get(name))


def _worth(status: Status) -> Verdict:
    """What a signature that holds is worth where its certificate is not good."""
    return Verdict.INDETERMINATE if status is Status.UNKNOWN else Verdict.UNTRUSTED_SIGNER


def time_of(seconds: int, nanos: int) -> datetime:
    """The time of a Timestamp's parts, to the microsecond. Raises ValueError out of its range."""
    if not 0 <= nanos < 1_000_000_000:
        raise ValueError("nanos")
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise ValueError("seconds") from None
