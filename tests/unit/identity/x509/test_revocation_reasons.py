"""Revocation reasons: one table of the contract's numbers, RFC 5280's, and the libraries' names."""

from __future__ import annotations

import pytest
from asn1crypto import crl
from cryptography import x509

from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.identity.x509.revocation_reasons import RevocationReason

# RFC 5280, section 5.3.1: CRLReason.
RFC_5280 = {
    "unspecified": 0,
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "removeFromCRL": 8,
    "privilegeWithdrawn": 9,
    "aACompromise": 10,
}
EXTERNAL_ONLY = {"CERTIFICATE_HOLD", "REMOVE_FROM_CRL", "PRIVILEGE_WITHDRAWN", "AA_COMPROMISE"}


def test_the_reasons_are_the_contracts_and_those_of_other_authorities() -> None:
    numbers = {
        f"REVOCATION_REASON_{reason.name}": int(reason)
        for reason in RevocationReason
        if reason.name not in EXTERNAL_ONLY
    }
    assert numbers == dict(pb.RevocationReason.items())
    assert {reason.name for reason in RevocationReason} >= EXTERNAL_ONLY


@pytest.mark.parametrize("flag", list(x509.ReasonFlags), ids=lambda flag: flag.name)
def test_each_number_is_that_of_rfc_5280_plus_one(flag: x509.ReasonFlags) -> None:
    reason = RevocationReason.of(flag)
    rfc_number = RFC_5280[flag.value]
    assert int(reason) == (rfc_number + 1 if rfc_number else 0)
    assert reason.flag is flag
    assert crl.CRLReason(reason.asn1_name).dump() == crl.CRLReason(rfc_number).dump()


def test_a_missing_reason_is_unspecified() -> None:
    assert RevocationReason.of(None) is RevocationReason.UNSPECIFIED


def test_few_reasons_leave_earlier_signatures_trusted() -> None:
    assert {reason for reason in RevocationReason if reason.keeps_key_trusted} == {
        RevocationReason.AFFILIATION_CHANGED,
        RevocationReason.SUPERSEDED,
        RevocationReason.CESSATION_OF_OPERATION,
    }
