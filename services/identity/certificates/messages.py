"""The contract's messages about certificates, from what the domain knows of them."""

from __future__ import annotations

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.x509.inspection import CertificateFacts, NoCertificate, inspect
from services.runtime.clock import to_timestamp


def to_info(facts: CertificateFacts) -> pb.CertificateInfo:
    """What a certificate says."""
    return pb.CertificateInfo(
        well_formed=True,
        common_name=facts.common_name,
        iin=facts.iin,
        bin=facts.bin,
        surname=facts.surname,
        patronymic=facts.patronymic,
        organization=facts.organization,
        email=facts.email,
        roles=[int(role) for role in facts.roles],  # type: ignore[misc]
        usage=int(facts.usage),  # type: ignore[arg-type]
        authority=facts.authority,
        serial_number=facts.serial_number,
        issuer=facts.issuer,
        not_before=to_timestamp(facts.not_before),
        not_after=to_timestamp(facts.not_after),
        purposes=facts.purposes,
        policies=facts.policies,
        key_algorithm=facts.key_algorithm,
        signature_algorithm=facts.signature_algorithm,
        fingerprint=facts.fingerprint,
    )


def info_of(der: bytes) -> pb.CertificateInfo:
    """What the bytes say as a certificate; not well-formed where they are none."""
    try:
        return to_info(inspect(der))
    except NoCertificate:
        return pb.CertificateInfo(well_formed=False)
