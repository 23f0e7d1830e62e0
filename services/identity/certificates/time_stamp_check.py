"""VerifyTimeStamps: whether time-stamps hold, and whether whoever made them may stamp the time.

A token of the own authority is judged by its certificate's fingerprint in the
database, one of an outside authority by a path that holds at the token's time
and by what is known of the path's revocation now. An authority that was revoked
since made good tokens before, if it was for a reason that leaves its key its own
(RFC 3161, section 4); with no such reason all of its tokens are worth nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity import store
from services.identity.certificates.messages import info_of
from services.identity.certificates.rules import StoredCertificate, fingerprint_of
from services.identity.validation.interface import OutsideAuthorities
from services.identity.validation.ocsp_client import SKEW
from services.identity.validation.paths import Chain, Refused
from services.identity.validation.revocation import Finding
from services.identity.x509 import time_stamp_tokens
from services.identity.x509.time_stamp_tokens import MalformedTimeStamp, TimeStamp, may_stamp
from services.runtime.clock import Clock
from services.runtime.storage.database import Database

VALID = pb.TIME_STAMP_STATUS_VALID
MALFORMED = pb.TIME_STAMP_STATUS_MALFORMED
WRONG_IMPRINT = pb.TIME_STAMP_STATUS_WRONG_IMPRINT
INVALID_SIGNATURE = pb.TIME_STAMP_STATUS_INVALID_SIGNATURE
UNTRUSTED = pb.TIME_STAMP_STATUS_UNTRUSTED
UNKNOWN = pb.TIME_STAMP_STATUS_UNKNOWN

# Data of one request that are hashed with Streebog, in Python: two seconds. For more, callers send
# the digest.
STREEBOG_LIMIT_BYTES = 1024 * 1024
# Tokens that one turn in a thread verifies: half a second at most, after which a call that nobody
# waits for any more ends.
VERIFIED_AT_ONCE = 32

# affiliationChanged, superseded, cessationOfOperation. A reason that is not given is none of them.
_KEY_STAYED_ITS_OWN = frozenset({3, 4, 5})


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token's check, and who made it (a certificate, DER) where only trust is open."""

    check: pb.TimeStampCheck
    signer: bytes | None = None


class StampChecking:
    """What time-stamps are worth, whoever made them."""

    def __init__(self, *, database: Database, outside: OutsideAuthorities, clock: Clock) -> None:
        self._database = database
        self._outside = outside
        self._clock = clock

    async def check(self, asked: Sequence[pb.StampedData]) -> list[pb.TimeStampCheck]:
        """One check for each, in order."""
        read = await asyncio.to_thread(_read_all, asked)
        stamps = [stamp for stamp in read if isinstance(stamp, TimeStamp)]
        own = await self._stored({name for stamp in stamps for name in stamp.named})
        checks: list[pb.TimeStampCheck] = []
        # Tokens of one authority need one path, and its revocation is asked about once.
        by_signer: dict[bytes, list[tuple[pb.TimeStampCheck, TimeStamp]]] = {}
        for start in range(0, len(read), VERIFIED_AT_ONCE):
            part = read[start : start + VERIFIED_AT_ONCE]
            for stamp, verified in zip(
                part, await asyncio.to_thread(_verified, part, own), strict=True
            ):
                checks.append(verified.check)
                if isinstance(stamp, TimeStamp) and verified.signer is not None:
                    by_signer.setdefault(verified.signer, []).append((verified.check, stamp))
        now = self._clock()

        async def judge(
            signer: bytes, signed: Sequence[tuple[pb.TimeStampCheck, TimeStamp]]
        ) -> None:
            stored = own.get(fingerprint_of(signer))
            chain: Chain | Refused | None = None
            findings: Sequence[Finding | None] = ()
            for check, stamp in signed:
                if stamp.time > now + SKEW:
                    status = UNTRUSTED
                elif stored is not None and stored.own:
                    status = _by_own(stored, stamp.time)
                elif stored is not None and _taken_back(stored, stamp.time):
                    status = UNTRUSTED
                else:
                    if not isinstance(chain, Chain) or not chain.covers(stamp.time):
                        chain = await self._chain(stamp, signer)
                        # Asked about once: whoever does not answer is not waited for again.
                        if isinstance(chain, Chain):
                            findings = await self._outside.revocation(chain)
                    found = isinstance(chain, Chain)
                    status = _by_outside(findings, stamp.time) if found else UNTRUSTED
                _set(check, status, stamp)

        await asyncio.gather(*(judge(signer, signed) for signer, signed in by_signer.items()))
        return checks

    async def _stored(self, fingerprints: set[str]) -> Mapping[str, StoredCertificate]:
        if not fingerprints:
            return {}
        async with self._database.reading() as connection:
            return await store.get_certificates(connection, fingerprints)

    async def _chain(self, stamp: TimeStamp, signer: bytes) -> Chain | Refused:
        """The signer's path at the token's time, through what is trusted here or came along."""
        found = await self._outside.chain(signer, [], at=stamp.time)
        others = [der for der in stamp.certificates if der != signer]
        if isinstance(found, Refused) and others:
            return await self._outside.chain(signer, others, at=stamp.time)
        return found


def _by_outside(findings: Sequence[Finding | None], time: datetime) -> pb.TimeStampStatus:
    """findings: of a path that holds at the time, the leaf's first."""
    leaf, *authorities = findings
    if any(finding is not None and finding.revoked is not None for finding in authorities):
        return UNTRUSTED
    revoked = None if leaf is None else leaf.revoked
    if revoked is not None and not _was_good(revoked.time, revoked.reason, time):
        return UNTRUSTED
    known = all(finding is None or finding.known for finding in findings)
    return VALID if known else UNKNOWN


def _was_good(revoke_time: datetime, reason: int, time: datetime) -> bool:
    """Whether a token of that time is worth something still. reason: RFC 5280, section 5.3.1."""
    return reason in _KEY_STAYED_ITS_OWN and time < revoke_time


def _taken_back(stored: StoredCertificate, time: datetime) -> bool:
    # The contract's numbers are RFC 5280's, plus one.
    return stored.revoke_time is not None and not _was_good(
        stored.revoke_time, stored.revocation_reason - 1, time
    )


def _by_own(stored: StoredCertificate, time: datetime) -> pb.TimeStampStatus:
    in_time = stored.not_before <= time < stored.not_after + timedelta(seconds=1)
    return VALID if in_time and not _taken_back(stored, time) else UNTRUSTED


def _read_all(asked: Sequence[pb.StampedData]) -> list[TimeStamp | pb.TimeStampStatus]:
    """The tokens that are over what they should be over; of others why they are not."""
    read: list[TimeStamp | pb.TimeStampStatus] = []
    slowly_hashed = 0
    for one in asked:
        try:
            stamp = time_stamp_tokens.read(one.token)
        except MalformedTimeStamp:
            read.append(MALFORMED)
            continue
        if one.HasField("data") and stamp.hashes_in_python:
            slowly_hashed += len(one.data)
            if slowly_hashed > STREEBOG_LIMIT_BYTES:
                read.append(UNKNOWN)
                continue
        if one.HasField("data"):
            over = stamp.is_over(data=one.data)
        else:
            over = stamp.is_over(digest_=one.digest)
        read.append(stamp if over else WRONG_IMPRINT)
    return read


def _verified(
    read: Sequence[TimeStamp | pb.TimeStampStatus], own: Mapping[str, StoredCertificate]
) -> list[_Verified]:
    return [
        _verified_one(stamp, own)
        if isinstance(stamp, TimeStamp)
        else _Verified(pb.TimeStampCheck(status=stamp))
        for stamp in read
    ]


def _verified_one(stamp: TimeStamp, own: Mapping[str, StoredCertificate]) -> _Verified:
    # One that was made without certificates may be of an authority that is known here.
    known = [own[name].der for name in stamp.named if name in own]
    candidates = dict.fromkeys([*stamp.certificates, *known])
    signer = next((der for der in candidates if stamp.names(der)), None)
    if signer is None:
        return _Verified(pb.TimeStampCheck(status=UNTRUSTED))
    info = info_of(signer)
    if not stamp.holds(signer):
        return _Verified(pb.TimeStampCheck(status=INVALID_SIGNATURE, authority=info))
    check = pb.TimeStampCheck(status=UNTRUSTED, authority=info)
    return _Verified(check, signer if may_stamp(signer) else None)


def _set(check: pb.TimeStampCheck, status: pb.TimeStampStatus, stamp: TimeStamp) -> None:
    check.status = status
    check.policy = stamp.policy
    check.serial_number = f"{stamp.serial_number:x}"
    if status == VALID:
        check.time.FromDatetime(stamp.time)
