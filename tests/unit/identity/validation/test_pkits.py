"""NIST's PKITS: every case of paths and revocation has the outcome that NIST expects."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from services.identity.validation.interface import CertificateStatus
from services.identity.validation.trust_store import TrustFolder
from services.identity.validation.validator import Validator
from services.runtime.clock import system_randomness
from tests.clock import Clock
from tests.unit.identity import pkits
from tests.unit.identity.authorities import Network
from tests.unit.identity.chains import NOW
from tests.unit.identity.pkits import CASES, REFUSED, PkitsCase

ANCHOR = "TrustAnchorRootCertificate.crt"
# WRONG_USAGE is the last of all faults: a certificate that has it is valid otherwise.
ACCEPTED = {CertificateStatus.GOOD, CertificateStatus.WRONG_USAGE}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trust folder with the suite's anchor, all its authorities and all its lists."""
    folder = tmp_path_factory.mktemp("pkits")
    for path in (pkits.folder() / "certs").glob("*.crt"):
        if not path.name.endswith("EE.crt"):
            shutil.copy(path, folder)
    for path in (pkits.folder() / "crls").glob("*.crl"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def statuses(trust: Path) -> dict[PkitsCase, CertificateStatus]:
    """The status of every case: one validator for all that have the same policy inputs."""
    return asyncio.run(_statuses(trust))


async def _statuses(trust: Path) -> dict[PkitsCase, CertificateStatus]:
    found = {}
    for policies in dict.fromkeys(case.policies for case in CASES):
        validator = Validator(
            folder=TrustFolder(trust, now=lambda: 0.0),
            fetch=Network(),
            clock=Clock(NOW),
            randomness=system_randomness,
            policies=policies,
            lookup_seconds=60,
        )
        for case in CASES:
            if case.policies == policies:
                result = await validator.validate(case.certificate, [], at=NOW)
                found[case] = result.status
        validator.close()
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}-{case.name}")
def test_pkits(case: PkitsCase, statuses: dict[PkitsCase, CertificateStatus]) -> None:
    expected = case.accepted and case.section not in REFUSED
    assert (statuses[case] in ACCEPTED) == expected, statuses[case].name


def test_every_end_certificate_of_the_suite_has_a_case() -> None:
    files = {path.name for path in (pkits.folder() / "certs").glob("*EE.crt")}
    assert files == {f"{case.name}EE.crt" for case in CASES}
    assert len({case.section for case in CASES}) == len(CASES) == 247
