"""BatchCheckCertificates: many certificates at once, those of the own authority in one look.

The own authority's are known by their fingerprint in the database, with no path
to build and nothing to parse; all others go to the validator. Whatever grows
with the number of certificates runs in a thread, or in parts of a few
milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity import store
from services.identity.certificates.rules import FRESH_FOR, Binding, fingerprint_of, judge
from services.identity.validation.interface import Judgement, OutsideAuthorities
from services.identity.x509.issuing import Usage
from services.runtime.clock import Clock, to_timestamp
from services.runtime.storage.database import Database

# Rows of one answer of the database: about a millisecond of the event loop.
LOOKED_UP_AT_ONCE = 250


class Checking:
    """What certificates are worth, whoever issued them."""

    def __init__(self, *, database: Database, outside: OutsideAuthorities, clock: Clock) -> None:
        self._database = database
        self._outside = outside
        self._clock = clock

    async def check(
        self, ders: Sequence[bytes], at: datetime | None
    ) -> pb.BatchCheckCertificatesResponse:
        """One check for each certificate, in order. at: None for now."""
        now = self._clock()
        at = at or now
        fingerprints = await asyncio.to_thread(lambda: [fingerprint_of(der) for der in ders])
        known = await self._known(list(dict.fromkeys(fingerprints)))
        outside = {
            fingerprint: der
            for fingerprint, der in zip(fingerprints, ders, strict=True)
            if fingerprint not in known or not known[fingerprint].own
        }
        judged = await self._outside.judge_many(outside, at=at) if outside else {}
        return await asyncio.to_thread(_response, fingerprints, known, judged, at, now)

    async def _known(self, fingerprints: Sequence[str]) -> dict[str, Binding]:
        parts = [
            fingerprints[start : start + LOOKED_UP_AT_ONCE]
            for start in range(0, len(fingerprints), LOOKED_UP_AT_ONCE)
        ]
        if not parts:
            return {}
        async with self._database.reading() as connection:
            found = [await store.get_bindings(connection, part) for part in parts]
        return {binding.fingerprint: binding for binding in chain.from_iterable(found)}


def _response(
    fingerprints: Sequence[str],
    known: Mapping[str, Binding],
    judged: Mapping[str, Judgement],
    at: datetime,
    now: datetime,
) -> pb.BatchCheckCertificatesResponse:
    fresh_until = to_timestamp(now + FRESH_FOR)
    response = pb.BatchCheckCertificatesResponse()
    for fingerprint in fingerprints:
        binding = known.get(fingerprint)
        if binding is not None and binding.own:
            # One that signs no documents is good at no time: its dates would say otherwise.
            signs = binding.usage == Usage.SIGN
            response.checks.add(
                status=judge(binding, at),
                subject=binding.subject,
                revoke_time=to_timestamp(binding.revoke_time),
                fresh_until=fresh_until,
                valid_from=to_timestamp(binding.not_before if signs else None),
                valid_until=to_timestamp(binding.not_after if signs else None),
            )
        else:
            response.checks.append(_outside_check(judged[fingerprint], binding, at, now))
    return response


def _outside_check(
    judgement: Judgement, binding: Binding | None, at: datetime, now: datetime
) -> pb.CertificateCheck:
    status, revoke_time = judgement.status, judgement.revoke_time
    if binding is not None and binding.revoke_time is not None:
        # Revoked here by its holder, whatever its authority says.
        if binding.revoked_at(at):
            status = Status.CERTIFICATE_STATUS_REVOKED
        revoke_time = min(revoke_time or binding.revoke_time, binding.revoke_time)
    return pb.CertificateCheck(
        status=status,
        subject=binding.subject if binding is not None else "",
        revoke_time=to_timestamp(revoke_time),
        # It may be revoked here at any moment.
        fresh_until=to_timestamp(min(judgement.fresh_until, now + FRESH_FOR)),
        valid_from=to_timestamp(judgement.valid_from),
        valid_until=to_timestamp(judgement.valid_until),
    )
