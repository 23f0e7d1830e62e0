"""Judges certificates of outside authorities: path, usage, revocation, in that order.

Paths are looked for in one thread of their own, some certificates at a time, so
that neither the event loop nor a small request waits for a big one. What was
found is kept by the certificate's SHA-256: its chain for as long as the trust
store stays the same, what is known of its revocation for as long as that is
fresh. A certificate that is known costs two looks into dictionaries.

Nothing waits for the network longer than a moment: what is not known by then is
UNKNOWN, and is found out for whoever asks next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TypeVar

from cryptography.x509.oid import ExtendedKeyUsageOID

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.certificates.rules import CERTIFICATE_LIMIT_BYTES, FRESH_FOR
from services.identity.validation.interface import Judgement
from services.identity.validation.paths import Chain, Link, Paths, Refused
from services.identity.validation.revocation import Fetch, Finding, Revocations
from services.identity.validation.trust_store import TrustFolder, TrustStore
from services.identity.x509.inspection import NoCertificate, load, purposes_of
from services.runtime.clock import Clock, Randomness

# Certificates that one turn of the thread judges: about 30 ms, after which others have theirs.
JUDGED_AT_ONCE = 32
# Kept ones that are looked up before the loop does something else: about a millisecond.
LOOKED_UP_AT_ONCE = 250
CHAINS_KEPT = 50_000
# Those who ask wait three seconds.
LOOK_UP_SECONDS = 2.0
RENEWAL_SECONDS = 30.0

_OCSP_SIGNING = ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Judged:
    """A certificate's path, or why there is none."""

    found: Chain | Refused
    # A refusal is for its time only.
    until: datetime


class Validator:
    """Whom the trust folder trusts, judged. Used from one event loop."""

    def __init__(
        self,
        *,
        folder: TrustFolder,
        fetch: Fetch,
        clock: Clock,
        randomness: Randomness,
        policies: frozenset[str] = frozenset(),
    ) -> None:
        """policies: dotted OIDs of which a path must hold one; any path where there are none."""
        self._folder = folder
        self._clock = clock
        self._policies = policies
        self._thread = ThreadPoolExecutor(1, "paths")
        self._store = TrustStore()
        self._paths = Paths(self._store)
        self._kept: dict[str, _Judged] = {}
        self._revocations = Revocations(
            fetch=fetch, find_responder=self._responder, clock=clock, randomness=randomness
        )

    async def judge(self, der: bytes, chain: list[bytes], *, at: datetime) -> Judgement:
        """What the certificate is worth, WRONG_USAGE being the last of its faults."""
        await self._look_at_folder()
        judged = await self._run(lambda: self._find(der, at, chain))
        if isinstance(judged.found, Refused):
            return self._refusal(judged.found)
        findings = await self._findings([judged.found])
        judgement = self._weighed(judged.found, findings, at)
        if judgement.status == Status.CERTIFICATE_STATUS_GOOD and not judged.found.signs:
            return Judgement(Status.CERTIFICATE_STATUS_WRONG_USAGE, judgement.fresh_until)
        return judgement

    async def judge_many(
        self, certificates: Mapping[str, bytes], *, at: datetime
    ) -> dict[str, Judgement]:
        """What each is worth for documents. One that signs none is WRONG_USAGE at once."""
        await self._look_at_folder()
        judged: dict[str, _Judged] = {}
        new: list[tuple[str, bytes]] = []
        for some in _parts(certificates.items(), LOOKED_UP_AT_ONCE):
            for fingerprint, der in some:
                kept = self._kept_for(fingerprint, at)
                if kept is None:
                    new.append((fingerprint, der))
                else:
                    judged[fingerprint] = kept
            await asyncio.sleep(0)
        store = self._store
        for some in _parts(new, JUDGED_AT_ONCE):
            found = await self._run(partial(self._find_all, [der for _, der in some], at))
            for (fingerprint, _), one in zip(some, found, strict=True):
                judged[fingerprint] = one
                if self._store is store:
                    self._keep(fingerprint, one)
        chains = [
            one.found for one in judged.values() if isinstance(one.found, Chain) and one.found.signs
        ]
        findings = await self._findings(chains)
        answers = {}
        for part in _parts(judged.items(), LOOKED_UP_AT_ONCE):
            for fingerprint, one in part:
                answers[fingerprint] = self._answer(one, findings, at)
            await asyncio.sleep(0)
        return answers

    async def chain(self, der: bytes, chain: Sequence[bytes], *, at: datetime) -> Chain | Refused:
        """The certificate's path at a time, revocation aside."""
        await self._look_at_folder()
        return (await self._run(lambda: self._find(der, at, chain))).found

    async def revocation(self, chain: Chain) -> list[Finding | None]:
        """What is known of each link, the leaf first; None where nobody need ask."""
        findings = await self._findings([chain])
        return [findings[link.fingerprint] if _asked(link) else None for link in chain.links]

    async def renew(self) -> None:
        """Fetch the revocation lists that are about to run out."""
        await self._revocations.renew()

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(
        self, judged: _Judged, findings: Mapping[bytes, Finding], at: datetime
    ) -> Judgement:
        if isinstance(judged.found, Refused):
            return self._refusal(judged.found)
        if not judged.found.signs:
            return Judgement(Status.CERTIFICATE_STATUS_WRONG_USAGE, self._clock() + FRESH_FOR)
        return self._weighed(judged.found, findings, at)

    def _refusal(self, refused: Refused) -> Judgement:
        return Judgement(refused.status, self._clock() + FRESH_FOR)

    def _weighed(self, chain: Chain, findings: Mapping[bytes, Finding], at: datetime) -> Judgement:
        """What a chain is worth by what is known of its links' revocation."""
        leaf, *authorities = chain.links
        asked = [findings[link.fingerprint] for link in authorities if _asked(link)]
        own = findings[leaf.fingerprint]
        fresh_until = min(finding.fresh_until for finding in (own, *asked))
        if any(finding.revoked is not None for finding in asked):
            # An authority that was revoked vouches for nothing, whenever it was.
            return Judgement(Status.CERTIFICATE_STATUS_UNTRUSTED, fresh_until)
        revoke_time = None if own.revoked is None else own.revoked.time
        revoked = revoke_time is not None and revoke_time <= at
        if not own.known or any(not finding.known for finding in asked):
            # Revoked now is certain; whether it was good before is not.
            return (
                Judgement(Status.CERTIFICATE_STATUS_REVOKED, fresh_until, revoke_time)
                if revoked
                else Judgement(Status.CERTIFICATE_STATUS_UNKNOWN, fresh_until)
            )
        return Judgement(
            Status.CERTIFICATE_STATUS_REVOKED if revoked else Status.CERTIFICATE_STATUS_GOOD,
            fresh_until,
            revoke_time,
            chain.valid_from,
            chain.valid_until,
        )

    async def _findings(self, chains: Sequence[Chain]) -> dict[bytes, Finding]:
        """What is known of each link that is to be asked about; what comes too late is unknown."""
        now = self._clock()
        findings: dict[bytes, Finding] = {}
        tasks: dict[bytes, asyncio.Task[Finding]] = {}
        for some in _parts(_links(chains), LOOKED_UP_AT_ONCE):
            for link in some:
                if link.fingerprint in findings or link.fingerprint in tasks:
                    continue
                known = self._revocations.known(link, now)
                if known is not None:
                    findings[link.fingerprint] = known
                else:
                    stored = self._store.revocation_lists
                    tasks[link.fingerprint] = self._revocations.ask(link, stored)
            await asyncio.sleep(0)
        if tasks:
            await asyncio.wait(tasks.values(), timeout=LOOK_UP_SECONDS)
        for fingerprint, task in tasks.items():
            findings[fingerprint] = (
                task.result() if task.done() else Finding(False, self._clock(), why="no answer yet")
            )
        return findings

    def _kept_for(self, fingerprint: str, at: datetime) -> _Judged | None:
        kept = self._kept.get(fingerprint)
        if kept is None:
            return None
        if isinstance(kept.found, Chain):
            return kept if kept.found.covers(at) else None
        return kept if kept.until - FRESH_FOR <= at < kept.until else None

    def _keep(self, fingerprint: str, judged: _Judged) -> None:
        self._kept.pop(fingerprint, None)
        self._kept[fingerprint] = judged
        while len(self._kept) > CHAINS_KEPT:
            del self._kept[next(iter(self._kept))]

    def _find_all(self, ders: Sequence[bytes], at: datetime) -> list[_Judged]:
        return [self._find(der, at, ()) for der in ders]

    def _find(self, der: bytes, at: datetime, extra: Sequence[bytes]) -> _Judged:
        """In the thread."""
        until = at + FRESH_FOR
        if len(der) > CERTIFICATE_LIMIT_BYTES:
            malformed = Refused(Status.CERTIFICATE_STATUS_MALFORMED, "too large")
            return _Judged(malformed, until)
        return _Judged(self._paths.find(der, at, extra), until)

    async def _responder(self, der: bytes, at: datetime) -> Chain | None:
        def find() -> Chain | None:
            found = self._paths.find(der, at)
            if isinstance(found, Refused):
                return None
            try:
                purposes = purposes_of(load(der))
            except NoCertificate:
                return None
            return found if purposes is not None and _OCSP_SIGNING in purposes else None

        return await self._run(find)

    async def _look_at_folder(self) -> None:
        """Takes in what has changed in the folder."""
        if not self._folder.is_due():
            return
        store = await self._run(self._folder.current)
        if store is self._store:
            return
        paths = await self._run(lambda: Paths(store, self._policies))
        self._store, self._paths = store, paths
        self._kept.clear()
        self._revocations.forget()

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _asked(link: Link) -> bool:
    """Whether anybody is asked about the link: not about an intermediate that an operator put
    there and that names no source, which is withdrawn by taking it out of the folder."""
    return not (link.vouched_for and not link.ocsp and not link.lists)


def _links(chains: Sequence[Chain]) -> Iterator[Link]:
    for chain in chains:
        yield from (link for link in chain.links if _asked(link))


def _parts(things: Iterable[_T], size: int) -> Iterator[list[_T]]:
    left = iter(things)
    while part := list(islice(left, size)):
        yield part
