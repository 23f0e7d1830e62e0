"""The values that validation returns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qagazsyz.common.v1 import certificates_pb2 as pb
from services.identity.validation.interface import (
    REASON_LIMIT,
    CertificateStatus,
    Issuer,
    Link,
    Refused,
)
from services.identity.x509.revocation_urls import ALL_REASONS, DistributionPoint
from tests.unit.identity.chains import NOW

LINK = Link(
    fingerprint=b"",
    serial_number=1,
    issuer=Issuer(b"", b"", signs_crls=True),
    not_after=NOW,
    authority=True,
    ocsp_urls=(),
    points=(),
    delta_urls=(),
    operator_trusted=True,
)


def test_the_statuses_are_the_contracts() -> None:
    numbers = {f"CERTIFICATE_STATUS_{status.name}": int(status) for status in CertificateStatus}
    assert {"CERTIFICATE_STATUS_UNSPECIFIED": 0} | numbers == dict(pb.CertificateStatus.items())


@pytest.mark.parametrize(
    "link",
    [
        replace(LINK, operator_trusted=False),
        replace(LINK, ocsp_urls=("http://authority.example/",)),
        replace(
            LINK,
            points=(
                DistributionPoint(
                    frozenset(), ("http://authority.example/",), ALL_REASONS, frozenset()
                ),
            ),
        ),
    ],
)
def test_only_an_operators_certificate_without_a_url_may_lack_sources(link: Link) -> None:
    assert not link.may_lack_sources
    assert LINK.may_lack_sources


def test_a_refusals_reason_is_cut() -> None:
    refused = Refused.because(CertificateStatus.UNTRUSTED, "x" * 10_000)
    assert len(refused.reason) == REASON_LIMIT
