"""VerifyTimeStamps: whether time-stamps are valid, and whether their signers may stamp the time.

A token of the own authority is checked by its signer's certificate in the database; one of an
external authority by a path that is valid at the token's time, and by the path's revocation as it
is known now. Tokens made before an authority's revocation stay valid if the reason does not suggest
key compromise (RFC 3161, section 4); without a reason, all of its tokens are refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from functools import partial

from services.identity.certificates import store
from services.identity.certificates.rules import StoredCertificate
from services.identity.validation.interface import Chain, ExternalValidator, Finding, Refused
from services.identity.x509.hash_oids import Hasher, TooMuchToHash
from services.identity.x509.inspection import fingerprint_of, has_expired
from services.identity.x509.limits import CLOCK_SKEW
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.time_stamp_tokens import (
    MalformedTimeStamp,
    TimeStamp,
    may_stamp,
    read_token,
)
from services.identity.x509.unforeseen import log_unforeseen
from services.runtime.clock import Clock
from services.runtime.concurrency.worker_pool import WorkerPool
from services.runtime.storage.database import Database


class TimeStampStatus(IntEnum):
    """TimeStampStatus of the contract."""

    VALID = 1
    MALFORMED = 2
    WRONG_IMPRINT = 3
    INVALID_SIGNATURE = 4
    UNTRUSTED = 5
    UNKNOWN = 6


@dataclass(frozen=True, slots=True)
class StampedData:
    """A token (DER), and what it should be over: the data, or if that is None, its digest."""

    token: bytes
    data: bytes | None
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class TimeStampCheck:
    """A token's status; its signer's certificate (DER), if that was found; its content, if the
    signature is valid and the signer may stamp the time."""

    status: TimeStampStatus
    signer: bytes | None = None
    stamp: TimeStamp | None = None


class TimeStampVerifier:
    """Verifies time-stamps of any authority."""

    def __init__(self, *, database: Database, external: ExternalValidator, clock: Clock) -> None:
        self._database = database
        self._external = external
        self._clock = clock

    async def verify(
        self, stamped: Sequence[StampedData], pool: WorkerPool
    ) -> list[TimeStampCheck]:
        """Return a check for each time-stamp, in order. pool: where to read and verify them."""
        hasher = Hasher()
        read = await pool.map(partial(_read, hasher=hasher), stamped)
        registered = await self._find_registered(read)
        stampers = await self._external.find_stampers()
        checks = await pool.map(
            partial(_verify_signature, registered=registered, stampers=stampers, hasher=hasher),
            read,
        )
        return await self._check_trust(checks, registered)

    async def _find_registered(
        self, read: Sequence[TimeStamp | TimeStampStatus]
    ) -> Mapping[str, StoredCertificate]:
        """Return the certificates in the database that signers may have, by fingerprint."""
        fingerprints = {
            fingerprint
            for stamp in read
            if isinstance(stamp, TimeStamp)
            for fingerprint in stamp.signer_fingerprints
        }
        if not fingerprints:
            return {}
        async with self._database.reading() as connection:
            return await store.get_certificates(connection, fingerprints)

    async def _check_trust(
        self, checks: Sequence[TimeStampCheck], registered: Mapping[str, StoredCertificate]
    ) -> list[TimeStampCheck]:
        """Set the status of tokens whose signature is verified: by signer, so that one signer's
        tokens share a path and a look-up of its revocation."""
        now = self._clock()
        indices: dict[bytes, list[int]] = {}
        for index, check in enumerate(checks):
            if check.stamp is not None and check.signer is not None:
                indices.setdefault(check.signer, []).append(index)
        result = list(checks)

        async def check_signer(der: bytes) -> None:
            signer = _Signer(der, registered.get(fingerprint_of(der)), self._external)
            for index in indices[der]:
                stamp = checks[index].stamp
                assert stamp is not None  # noqa: S101 - only such indices are listed
                result[index] = replace(checks[index], status=await signer.status(stamp, now))

        await asyncio.gather(*(check_signer(der) for der in indices))
        return result


class _Signer:
    """Decides whether one signer could be trusted at the times of its tokens."""

    def __init__(
        self, der: bytes, registered: StoredCertificate | None, external: ExternalValidator
    ) -> None:
        self._der = der
        self._registered = registered
        self._external = external
        # The path of the last token; it serves for others of its time.
        self._chain: Chain | None = None
        self._findings: Sequence[Finding] = ()

    async def status(self, stamp: TimeStamp, now: datetime) -> TimeStampStatus:
        """Return VALID, UNTRUSTED or UNKNOWN."""
        if stamp.time > now + CLOCK_SKEW:
            return TimeStampStatus.UNTRUSTED
        registered = self._registered
        if registered is not None and _is_distrusted(registered, stamp.time):
            return TimeStampStatus.UNTRUSTED
        if registered is not None and registered.own:
            is_valid = registered.not_before <= stamp.time and not has_expired(
                registered.not_after, stamp.time
            )
            return TimeStampStatus.VALID if is_valid else TimeStampStatus.UNTRUSTED
        if self._chain is None or not self._chain.covers(stamp.time):
            await self._find_chain(stamp)
        if self._chain is None:
            return TimeStampStatus.UNTRUSTED
        return _external_status(self._findings, stamp.time)

    async def _find_chain(self, stamp: TimeStamp) -> None:
        """Find the path at the token's time, if need be through certificates in the token, and
        look up its revocation: once, even if the authority does not answer."""
        found = await self._external.find_chain(self._der, [], at=stamp.time)
        others = [der for der in stamp.certificates if der != self._der]
        if isinstance(found, Refused) and others:
            found = await self._external.find_chain(self._der, others, at=stamp.time)
        self._chain = found if isinstance(found, Chain) else None
        if self._chain is not None:
            self._findings = await self._external.find_revocations(self._chain)


def _external_status(findings: Sequence[Finding], time: datetime) -> TimeStampStatus:
    """Return the status by the findings of a path that is valid at the time, the leaf's first."""
    leaf, *authorities = findings
    if any(finding.revoked is not None for finding in authorities):
        return TimeStampStatus.UNTRUSTED
    revoked = leaf.revoked
    if revoked is not None and not _stays_valid(revoked.time, revoked.reason, time):
        return TimeStampStatus.UNTRUSTED
    known = all(finding.is_known_at(time) for finding in findings)
    return TimeStampStatus.VALID if known else TimeStampStatus.UNKNOWN


def _is_distrusted(registered: StoredCertificate, time: datetime) -> bool:
    """Return whether the certificate was revoked here in a way that affects tokens of that time."""
    return registered.revoke_time is not None and not _stays_valid(
        registered.revoke_time, registered.revocation_reason, time
    )


def _stays_valid(revoke_time: datetime, reason: RevocationReason, time: datetime) -> bool:
    """Return whether a token of that time survives the signer's revocation (RFC 3161, 4)."""
    return reason.keeps_key_trusted and time < revoke_time


def _read(one: StampedData, hasher: Hasher) -> TimeStamp | TimeStampStatus:
    """Return the token if it is over what it should be over, else its status."""
    try:
        stamp = read_token(one.token)
        is_over = stamp.is_over(hasher, data=one.data, digest=one.digest)
    except MalformedTimeStamp:
        return TimeStampStatus.MALFORMED
    except TooMuchToHash:
        return TimeStampStatus.UNKNOWN
    except Exception as error:
        log_unforeseen("a time-stamp", one.token, error)
        return TimeStampStatus.MALFORMED
    return stamp if is_over else TimeStampStatus.WRONG_IMPRINT


def _verify_signature(
    stamp: TimeStamp | TimeStampStatus,
    registered: Mapping[str, StoredCertificate],
    stampers: Sequence[bytes],
    hasher: Hasher,
) -> TimeStampCheck:
    """Return a token's check as far as its signature and its signer's certificate decide it: for
    one that is well signed UNTRUSTED with the stamp, until trust is checked."""
    if isinstance(stamp, TimeStampStatus):
        return TimeStampCheck(stamp)
    try:
        return _check_signer(stamp, registered, stampers, hasher)
    except TooMuchToHash:
        return TimeStampCheck(TimeStampStatus.UNKNOWN)
    except Exception as error:
        # Whatever a library makes of it, it is this token's alone.
        log_unforeseen("a time-stamp's signature", b"".join(stamp.certificates), error)
        return TimeStampCheck(TimeStampStatus.MALFORMED)


def _check_signer(
    stamp: TimeStamp,
    registered: Mapping[str, StoredCertificate],
    stampers: Sequence[bytes],
    hasher: Hasher,
) -> TimeStampCheck:
    """Raises TooMuchToHash."""
    # A token without certificates may be by an authority that is registered here, or in the trust
    # folder.
    known = [registered[name].der for name in stamp.signer_fingerprints if name in registered]
    candidates = dict.fromkeys([*stamp.certificates, *known, *stampers])
    signer = next((der for der in candidates if stamp.names(der, hasher)), None)
    if signer is None:
        return TimeStampCheck(TimeStampStatus.UNTRUSTED)
    if not stamp.is_signed_by(signer, hasher):
        return TimeStampCheck(TimeStampStatus.INVALID_SIGNATURE, signer)
    if not may_stamp(signer):
        return TimeStampCheck(TimeStampStatus.UNTRUSTED, signer)
    return TimeStampCheck(TimeStampStatus.UNTRUSTED, signer, stamp)
