"""The contract's messages about certificates: what is told of which."""

from __future__ import annotations

from datetime import timedelta

from qagazsyz.common.v1 import certificates_pb2 as common_pb
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.certificates.batch_check import CertificateCheck
from services.identity.certificates.messages import (
    to_certificate_checks,
    to_info,
    to_time_stamp_checks,
)
from services.identity.certificates.time_stamp_check import TimeStampCheck, TimeStampStatus
from services.identity.validation.interface import CertificateStatus, ValidationResult
from services.identity.x509.limits import CERTIFICATE_LIMIT_BYTES
from services.identity.x509.time_stamp_tokens import read_token
from services.runtime.clock import from_timestamp
from tests.unit.identity.chains import NOW, Profile, make
from tests.unit.identity.stamps import THEN, make_token, stamper


def test_what_is_known_of_a_certificate_is_told_and_the_rest_left_unset() -> None:
    response = to_certificate_checks(
        [
            CertificateCheck(ValidationResult(CertificateStatus.UNTRUSTED, NOW)),
            CertificateCheck(
                ValidationResult(
                    CertificateStatus.REVOKED,
                    NOW,
                    revoke_time=THEN,
                    valid_from=THEN - timedelta(days=1),
                    valid_until=NOW,
                ),
                "subjects/x",
            ),
        ]
    )
    unknown, revoked = response.checks
    assert unknown.status == common_pb.CERTIFICATE_STATUS_UNTRUSTED
    assert [field.name for field, _ in unknown.ListFields()] == ["status", "fresh_until"]
    assert revoked.status == common_pb.CERTIFICATE_STATUS_REVOKED
    assert revoked.subject == "subjects/x"
    assert from_timestamp(revoked.revoke_time) == THEN
    assert from_timestamp(revoked.valid_until) == NOW


def test_a_time_is_told_of_a_valid_time_stamp_only() -> None:
    signer = make(stamper()).der
    stamp = read_token(make_token(make(stamper())))
    response = to_time_stamp_checks(
        [
            TimeStampCheck(TimeStampStatus.MALFORMED),
            TimeStampCheck(TimeStampStatus.INVALID_SIGNATURE, signer),
            TimeStampCheck(TimeStampStatus.UNTRUSTED, signer, stamp),
            TimeStampCheck(TimeStampStatus.VALID, signer, stamp),
        ],
        {signer: to_info(signer)},
    )
    malformed, invalid, untrusted, valid = response.checks
    assert malformed == pb.TimeStampCheck(status=pb.TIME_STAMP_STATUS_MALFORMED)
    assert invalid.authority.common_name == "TSA" and not invalid.policy
    assert untrusted.policy and untrusted.serial_number and not untrusted.HasField("time")
    assert from_timestamp(valid.time) == THEN
    assert valid.authority == untrusted.authority == invalid.authority


def test_bytes_that_are_not_a_certificate_are_not_well_formed() -> None:
    for der in (b"", b"x", make(Profile()).der + bytes(CERTIFICATE_LIMIT_BYTES)):
        assert to_info(der) == pb.CertificateInfo(well_formed=False)
    assert to_info(make(Profile()).der).well_formed
