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
from tests.unit.identity.chains import NOW

LINK = Link(
    fingerprint=b"",
    serial_number=1,
    issuer=Issuer(b"", b"", signs_crls=True),
    not_after=NOW,
    authority=True,
    ocsp_urls=(),
    crl_urls=(),
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
        replace(LINK, crl_urls=("http://authority.example/",)),
    ],
)
def test_only_an_operators_intermediate_without_a_url_needs_no_revocation_check(
    link: Link,
) -> None:
    assert link.needs_revocation_check
    assert not LINK.needs_revocation_check


def test_a_refusals_reason_is_cut() -> None:
    refused = Refused.because(CertificateStatus.UNTRUSTED, "x" * 10_000)
    assert len(refused.reason) == REASON_LIMIT
