"""Certificates with more parts than any in use are refused before they are decoded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from asn1crypto import core
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import NameOID

from services.identity.x509 import inspection
from services.identity.x509.certificate_bounds import PARTS_LIMIT, OutOfBounds, check_bounds
from services.identity.x509.inspection import NotACertificate, inspect
from tests.unit.identity.chains import AUTHORITY, Made, Profile, make

UNIT = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "unit")
ATTRIBUTES = [x509.NameAttribute(x509.ObjectIdentifier(f"2.999.{n}"), "x") for n in range(100)]


def with_names(count: int) -> Made:
    """A certificate whose issuer and subject have so many parts."""
    name = x509.Name([UNIT] * count)
    issuer = make(AUTHORITY)
    return make(Profile(name=name), Made(issuer.der, issuer.key, name))


def alternative_names(count: int) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(f"{n}.example") for n in range(count)])


def purposes(count: int) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(f"2.999.{n}") for n in range(count)])


def private_extensions(count: int) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    return tuple(
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"2.999.{n}"), b"\5\0"), False)
        for n in range(count)
    )


@dataclass(frozen=True)
class Excess:
    """A certificate with too much of one thing, and what its refusal says."""

    profile: Profile
    what: str


CASES = {
    "parts of a name": Excess(Profile(name=x509.Name([UNIT] * 3_800)), "in the subject's name"),
    "attributes of one part": Excess(
        Profile(name=x509.Name([x509.RelativeDistinguishedName(ATTRIBUTES)])),
        "attributes in the subject's name",
    ),
    "alternative names": Excess(
        Profile(extensions=[(alternative_names(65), False)]), "elements of an extension"
    ),
    "purposes": Excess(
        Profile(purposes=None, extensions=[(purposes(65), False)]), "elements of an extension"
    ),
    "extensions": Excess(Profile(extensions=private_extensions(65)), "extensions"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_excess_is_refused_with_what_there_is_too_much_of(case: Excess) -> None:
    der = make(case.profile, make(AUTHORITY)).der
    with pytest.raises(OutOfBounds, match=case.what):
        check_bounds(der)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_nothing_is_decoded_of_a_certificate_out_of_bounds(
    case: Excess, monkeypatch: pytest.MonkeyPatch
) -> None:
    der = make(case.profile, make(AUTHORITY)).der
    monkeypatch.setattr(inspection, "x509", None)
    with pytest.raises(NotACertificate, match=case.what):
        inspect(der)


def test_an_issuer_of_many_parts_is_refused_too() -> None:
    with pytest.raises(OutOfBounds, match="the issuer's name"):
        check_bounds(with_names(PARTS_LIMIT + 1).der)


def test_the_largest_number_of_parts_is_accepted() -> None:
    assert len(inspect(with_names(PARTS_LIMIT).der).issuer.split(",")) == PARTS_LIMIT
    largest = Profile(extensions=[(alternative_names(PARTS_LIMIT), False)])
    assert inspect(make(largest, make(AUTHORITY)).der).common_name == "Leaf"


def test_empty_parts_count(self_signed: Made) -> None:
    certificate = asn1.Certificate.load(self_signed.der)
    tbs = certificate["tbs_certificate"]
    tbs["subject"] = asn1.Name("", asn1.RDNSequence([asn1.RelativeDistinguishedName([])] * 65))
    certificate = asn1.Certificate(
        {
            "tbs_certificate": tbs,
            "signature_algorithm": certificate["signature_algorithm"],
            "signature_value": core.OctetBitString(b"\0"),
        }
    )
    with pytest.raises(OutOfBounds, match="parts of the subject's name"):
        check_bounds(certificate.dump(force=True))


@pytest.fixture
def self_signed() -> Made:
    return make(AUTHORITY)
