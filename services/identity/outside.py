"""Certificates of authorities outside the platform: what they are worth here.

The engine behind it (paths.py, revocation.py) is put in by main; without trust
anchors nothing outside is trusted, and nothing is asked of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status


@dataclass(frozen=True, slots=True)
class Judgement:
    """A status, since when it is revoked, and how long the answer may be reused."""

    status: Status
    fresh_until: datetime
    revoke_time: datetime | None = None


class OutsideAuthorities(Protocol):
    """Judges certificates of authorities that are trusted beside the own one."""

    async def judge(self, der: bytes, chain: list[bytes], *, at: datetime) -> Judgement:
        """What a certificate is worth at a time; chain: issuers that came with it, DER."""
        ...
