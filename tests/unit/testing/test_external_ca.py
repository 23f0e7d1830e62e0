"""The external authority that benchmarks and tests validate against."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.identity.validation.interface import CertificateStatus
from services.identity.validation.safe_http import AddressPolicy, Fetcher
from services.identity.validation.trust_store import TrustFolder
from services.identity.validation.validator import Validator
from services.runtime.clock import system_clock, system_randomness
from testing import external_ca


@pytest.mark.parametrize("by_ocsp", [False, True], ids=["by list", "by OCSP"])
async def test_certificates_of_an_external_authority_are_good(
    tmp_path: Path, by_ocsp: bool
) -> None:
    folder = tmp_path / "trust"
    fetcher = Fetcher(AddressPolicy.of([], ["127.0.0.0/8"]))
    validator = Validator(
        folder=TrustFolder(folder),
        fetch=fetcher,
        clock=system_clock,
        randomness=system_randomness,
    )
    with external_ca.running() as publications:
        authority = publications.new_authority()
        authority.trust(folder)
        certificates = dict(zip("abc", authority.certificates(3, by_ocsp=by_ocsp), strict=True))
        judged = await validator.validate_many(certificates, at=system_clock())
    await fetcher.close()
    validator.close()
    assert {one.status for one in judged.values()} == {CertificateStatus.GOOD}
