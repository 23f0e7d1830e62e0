"""What a certificate may be used for, and the roles that NCA RK writes into extendedKeyUsage."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from signatures import oids


class CertificateUsage(IntEnum):
    """CertificateUsage of the contract, and one that callers cannot ask for."""

    SIGN = 1
    AUTHENTICATE = 2
    # The platform's own time-stamping authority: signs neither documents nor anybody in.
    STAMP_TIME = 3


class CertificateRole(IntEnum):
    """CertificateRole of the contract."""

    INDIVIDUAL = 1
    LEGAL_ENTITY = 2
    FIRST_HEAD = 3
    MAY_SIGN = 4
    MAY_SIGN_FINANCIAL = 5
    HUMAN_RESOURCES = 6
    EMPLOYEE = 7
    INFORMATION_SYSTEM = 8


_ROLES = {
    oids.NCA_INDIVIDUAL: CertificateRole.INDIVIDUAL,
    oids.NCA_LEGAL_ENTITY: CertificateRole.LEGAL_ENTITY,
    oids.NCA_FIRST_HEAD: CertificateRole.FIRST_HEAD,
    oids.NCA_MAY_SIGN: CertificateRole.MAY_SIGN,
    oids.NCA_MAY_SIGN_FINANCIAL: CertificateRole.MAY_SIGN_FINANCIAL,
    oids.NCA_HUMAN_RESOURCES: CertificateRole.HUMAN_RESOURCES,
    oids.NCA_EMPLOYEE: CertificateRole.EMPLOYEE,
    oids.NCA_INFORMATION_SYSTEM: CertificateRole.INFORMATION_SYSTEM,
}


def is_role(purpose: str) -> bool:
    """Return whether a purpose (dotted OID) is a role of NCA's, which restricts no use."""
    return purpose == oids.NCA_ROLES or purpose.startswith(f"{oids.NCA_ROLES}.")


def roles_of(purposes: Iterable[str]) -> tuple[CertificateRole, ...]:
    """Return the roles among the purposes (dotted OIDs), each once; an OID below a role's arc
    means that role."""
    found: dict[CertificateRole, None] = {}
    for purpose in purposes:
        oid = purpose
        while oid.startswith(f"{oids.NCA_ROLES}."):
            if oid in _ROLES:
                found[_ROLES[oid]] = None
                break
            oid = oid.rpartition(".")[0]
    return tuple(found)
