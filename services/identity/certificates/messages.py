"""The contract's messages about certificates, made from the domain's objects.

Those that inspect a certificate take about half a millisecond for each; call them in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qagazsyz.common.v1 import access_pb2
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.batch_check import CertificateCheck
from services.identity.certificates.dual_control import Application, CertificateState
from services.identity.certificates.rules import StoredCertificate
from services.identity.certificates.time_stamp_check import TimeStampCheck, TimeStampStatus
from services.identity.subjects.dual_control import LAPSES_AFTER
from services.identity.x509.inspection import NotACertificate, fingerprint_of, inspect
from services.identity.x509.limits import CERTIFICATE_LIMIT_BYTES
from services.runtime.clock import to_timestamp
from signatures import oids


def to_certificate(certificate: StoredCertificate) -> pb.Certificate:
    """Return the contract's Certificate. Inspects it."""
    info = to_info(certificate.der)
    return pb.Certificate(
        name=certificate.name,
        der=certificate.der,
        serial_number=certificate.serial_number,
        issuer=info.issuer,
        not_before=to_timestamp(certificate.not_before),
        not_after=to_timestamp(certificate.not_after),
        revoke_time=to_timestamp(certificate.revoke_time),
        revocation_reason=int(certificate.revocation_reason),  # type: ignore[arg-type]
        info=info,
        state=int(  # type: ignore[arg-type]
            CertificateState.ISSUED if certificate.revoke_time is None else CertificateState.REVOKED
        ),
        sign_in_end_time=to_timestamp(certificate.sign_in_end_time),
    )


def to_application(application: Application) -> pb.Certificate:
    """Return the contract's Certificate of one that waits, or waited in vain."""
    return pb.Certificate(
        name=application.name,
        state=int(application.state),  # type: ignore[arg-type]
        application=pb.CertificateApplication(
            organization=application.organization,
            usage=int(application.usage),  # type: ignore[arg-type]
            key_fingerprint=application.key,
            proposer=application.proposer,
            proposer_role=access_pb2.Role.Name(application.proposer_role),
            create_time=to_timestamp(application.create_time),
            expire_time=to_timestamp(application.create_time + LAPSES_AFTER),
            external_fingerprint=fingerprint_of(application.der) if application.der else "",
        ),
    )


def to_result(result: StoredCertificate | Application) -> pb.Certificate:
    """Return the contract's Certificate. Inspects one that was issued."""
    return to_application(result) if isinstance(result, Application) else to_certificate(result)


def to_info(der: bytes) -> pb.CertificateInfo:
    """Return what a certificate says; well_formed is false if the bytes are not one. Inspects
    it."""
    if len(der) > CERTIFICATE_LIMIT_BYTES:
        return pb.CertificateInfo(well_formed=False)
    try:
        facts = inspect(der)
    except NotACertificate:
        return pb.CertificateInfo(well_formed=False)
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
        on_sim=oids.KEY_ON_SIM in facts.policies,
    )


def to_certificate_checks(checks: Sequence[CertificateCheck]) -> pb.BatchCheckCertificatesResponse:
    """Return the contract's response, one check for each certificate."""
    response = pb.BatchCheckCertificatesResponse()
    for check in checks:
        result = check.result
        response.checks.add(
            status=int(result.status),
            subject=check.subject,
            revoke_time=to_timestamp(result.revoke_time),
            fresh_until=to_timestamp(result.fresh_until),
            valid_from=to_timestamp(result.valid_from),
            valid_until=to_timestamp(result.valid_until),
        )
    return response


def to_time_stamp_checks(
    checks: Sequence[TimeStampCheck], signers: Mapping[bytes, pb.CertificateInfo]
) -> pb.VerifyTimeStampsResponse:
    """Return the contract's response, one check for each time-stamp; signers: by their DER."""
    response = pb.VerifyTimeStampsResponse()
    for check in checks:
        message = response.checks.add(status=int(check.status))
        if check.signer is not None:
            message.authority.CopyFrom(signers[check.signer])
        if check.stamp is not None:
            message.policy = check.stamp.policy
            message.serial_number = f"{check.stamp.serial_number:x}"
            if check.status is TimeStampStatus.VALID:
                message.time.FromDatetime(check.stamp.time)
    return response
