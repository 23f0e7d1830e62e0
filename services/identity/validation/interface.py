"""Certificates of authorities outside the platform: what they are worth here.

Whoever asks gets one word for a certificate, and how long it may be reused. The
word for documents and the certificate's standing differ in one thing: one that
only authenticates is WRONG_USAGE for documents and may stand well otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.validation.paths import Chain, Refused
from services.identity.validation.revocation import Finding


@dataclass(frozen=True, slots=True)
class Judgement:
    """A status, since when it is revoked, and how long the answer may be reused."""

    status: Status
    fresh_until: datetime
    revoke_time: datetime | None = None
    # Where the answer tells about other times: from when to when it would be good, but for
    # revocation. None where it is for the time asked about only.
    valid_from: datetime | None = None
    valid_until: datetime | None = None


class OutsideAuthorities(Protocol):
    """Judges certificates of authorities that are trusted beside the own one."""

    async def judge(self, der: bytes, chain: list[bytes], *, at: datetime) -> Judgement:
        """What a certificate is worth at a time, for signing in as for signing: WRONG_USAGE is
        one that signs no documents and else is good. chain: issuers that came with it, DER."""
        ...

    async def judge_many(
        self, certificates: Mapping[str, bytes], *, at: datetime
    ) -> dict[str, Judgement]:
        """What each is worth for documents at a time, by the fingerprint that it came under."""
        ...

    async def chain(self, der: bytes, chain: Sequence[bytes], *, at: datetime) -> Chain | Refused:
        """The certificate's path at a time, revocation aside. chain: as for judge."""
        ...

    async def revocation(self, chain: Chain) -> list[Finding | None]:
        """What is known of each link, the leaf first; None where nobody need ask."""
        ...
