"""Usages and roles of certificates: the contract's numbers, and NCA RK's OIDs."""

from __future__ import annotations

import pytest

from qagazsyz.common.v1 import certificates_pb2 as common_pb
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.x509.usages import CertificateRole, CertificateUsage, roles_of


def test_the_usages_are_the_contracts_and_one_more() -> None:
    numbers = {f"CERTIFICATE_USAGE_{usage.name}": int(usage) for usage in CertificateUsage}
    assert numbers.pop("CERTIFICATE_USAGE_STAMP_TIME") not in pb.CertificateUsage.values()
    contract = dict(pb.CertificateUsage.items())
    assert {"CERTIFICATE_USAGE_UNSPECIFIED": 0} | numbers == contract


def test_the_roles_are_the_contracts() -> None:
    numbers = {f"CERTIFICATE_ROLE_{role.name}": int(role) for role in CertificateRole}
    contract = dict(common_pb.CertificateRole.items())
    assert {"CERTIFICATE_ROLE_UNSPECIFIED": 0} | numbers == contract


@pytest.mark.parametrize(
    ("purposes", "roles"),
    [
        (["1.2.398.3.3.4.1.1"], [CertificateRole.INDIVIDUAL]),
        (["1.2.398.3.3.4.1.2"], [CertificateRole.LEGAL_ENTITY]),
        (["1.2.398.3.3.4.1.2.1"], [CertificateRole.FIRST_HEAD]),
        (["1.2.398.3.3.4.1.2.6.9"], [CertificateRole.INFORMATION_SYSTEM]),
        (["1.2.398.3.3.4.1.2.77"], [CertificateRole.LEGAL_ENTITY]),
        (["1.2.398.3.3.4.1.2.1", "1.2.398.3.3.4.1.2.1.5"], [CertificateRole.FIRST_HEAD]),
        (["1.2.398.3.3.4.1.9"], []),
        (["1.2.398.3.3.4.11", "1.3.6.1.5.5.7.3.4"], []),
    ],
)
def test_an_oid_below_a_role_means_that_role(
    purposes: list[str], roles: list[CertificateRole]
) -> None:
    assert list(roles_of(purposes)) == roles
