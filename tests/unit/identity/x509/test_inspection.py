"""What certificates say of their holders, and names as RFC 4514 writes them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from services.identity.x509.inspection import (
    CertificateFacts,
    NotACertificate,
    has_expired,
    inspect,
    rfc4514_name,
)
from services.identity.x509.usages import CertificateRole, CertificateUsage
from signatures import oids
from tests.unit.identity.chains import NOW, Made, Profile, key_usage, make, new_key
from tests.unit.signatures.builders import shared_certificate

OID = x509.NameOID
SHORT_NAMES = {
    OID.SURNAME: "SN",
    OID.SERIAL_NUMBER: "serialNumber",
    OID.GIVEN_NAME: "GN",
}
ATTRIBUTES = [
    OID.COMMON_NAME,
    OID.SURNAME,
    OID.ORGANIZATION_NAME,
    OID.ORGANIZATIONAL_UNIT_NAME,
    OID.GIVEN_NAME,
    OID.TITLE,
]


def subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> CertificateFacts:
    """What is read of a certificate with this subject."""
    parts = [x509.NameAttribute(oid, text, _validate=False) for oid, text in attributes]
    return inspect(make(Profile(name=x509.Name(parts))).der)


def test_a_persons_numbers_and_names_stand_where_nca_writes_them() -> None:
    facts = subject(
        (OID.COMMON_NAME, "ҚҰРМАНОВА ӘЛИЯ"),
        (OID.SURNAME, "ҚҰРМАНОВА"),
        (OID.SERIAL_NUMBER, "IIN123456789011"),
        (OID.GIVEN_NAME, "СЕРІКҚЫЗЫ"),
        (OID.ORGANIZATION_NAME, "«Дала» ЖШС"),
        (OID.ORGANIZATIONAL_UNIT_NAME, "BIN123456789012"),
    )
    assert (facts.iin, facts.bin) == ("123456789011", "123456789012")
    assert (facts.common_name, facts.surname) == ("ҚҰРМАНОВА ӘЛИЯ", "ҚҰРМАНОВА")
    assert (facts.patronymic, facts.organization) == ("СЕРІКҚЫЗЫ", "«Дала» ЖШС")
    assert (facts.roles, facts.usage) == ((CertificateRole.INDIVIDUAL,), CertificateUsage.SIGN)


def test_a_unit_with_a_bin_goes_before_a_department() -> None:
    unit = OID.ORGANIZATIONAL_UNIT_NAME
    for units in (["IT", "BIN123456789012"], ["BIN123456789012", "IT"]):
        assert subject(*((unit, text) for text in units)).bin == "123456789012"


@pytest.mark.parametrize("text", ["123456789012", "IIN12345678901", "IIN1234567890123"])
def test_a_number_of_another_form_is_not_read(text: str) -> None:
    assert subject((OID.SERIAL_NUMBER, text)).iin == ""


@pytest.mark.parametrize("der", [b"", b"x", b"\x30\x00", make(Profile()).der[:-1]])
def test_bytes_that_are_not_a_certificate_are_refused(der: bytes) -> None:
    with pytest.raises(NotACertificate):
        inspect(der)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ATTRIBUTES),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        ),
        min_size=1,
    )
)
def test_names_are_written_as_cryptography_writes_them(
    attributes: list[tuple[x509.ObjectIdentifier, str]],
) -> None:
    parts = [x509.NameAttribute(oid, text, _validate=False) for oid, text in attributes]
    name = x509.Name(parts)
    assert rfc4514_name(asn1.Name.load(name.public_bytes())) == name.rfc4514_string(SHORT_NAMES)


def test_a_teletex_string_of_latin_1_is_read_which_cryptography_refuses() -> None:
    plain = x509.Name([x509.NameAttribute(OID.COMMON_NAME, "cafe")])
    made = make(Profile(), Made(b"", new_key(), plain)).der
    odd = made.replace(b"\x0c\x04cafe", b"\x14\x04caf\xe9", 1)
    assert odd != made
    assert inspect(odd).issuer == "CN=café"
    with pytest.raises(ValueError, match="ParseError"):
        x509.load_der_x509_certificate(odd).issuer.rfc4514_string()


def test_a_certificate_is_valid_until_the_end_of_its_last_second() -> None:
    assert not has_expired(NOW, NOW.replace(microsecond=999_999))
    assert has_expired(NOW, NOW.replace(second=NOW.second + 1))


def test_nca_s_own_certificate_is_read() -> None:
    facts = inspect(shared_certificate("individual_valid_sign_2004_rsa.cer"))
    assert len(facts.iin) == 12 and facts.usage is CertificateUsage.SIGN
    assert CertificateRole.INDIVIDUAL in facts.roles


@pytest.mark.parametrize(
    ("attributes", "numbers"),
    [
        ([("2.5.4.5", "IIN" + "1" * 12), ("2.5.4.11", "BIN" + "2" * 12)], ("1" * 12, "2" * 12)),
        ([("2.5.4.11", "Dept"), ("2.5.4.11", "BIN" + "2" * 12)], ("", "2" * 12)),
        ([("2.5.4.5", "IIN" + "1" * 12), ("2.5.4.5", "x")], ("", "")),
        ([("2.5.4.5", "IIN" + "1" * 12), ("2.5.4.5", "BIN" + "2" * 12)], ("", "")),
        ([("2.5.4.11", "BIN" + "2" * 12), ("2.5.4.11", "BIN" + "3" * 12)], ("", "")),
        ([("2.5.4.11", "BIN" + "2" * 12), ("2.5.4.5", "BIN" + "3" * 12)], ("", "")),
    ],
)
def test_an_ambiguous_number_is_none(
    attributes: list[tuple[str, str]], numbers: tuple[str, str]
) -> None:
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(o), v) for o, v in attributes])
    facts = inspect(make(replace(Profile(), name=name)).der)
    assert (facts.iin, facts.bin) == numbers


def test_an_information_system_of_nca_signs() -> None:
    role = x509.ObjectIdentifier(oids.NCA_INFORMATION_SYSTEM)
    usage = key_usage("digital_signature", "content_commitment", "key_agreement")
    system = replace(Profile(), usage=usage, purposes=[role])
    assert inspect(make(system).der).usage is CertificateUsage.SIGN
    signs_in = replace(system, purposes=[role, ExtendedKeyUsageOID.CLIENT_AUTH])
    assert inspect(make(signs_in).der).usage is CertificateUsage.AUTHENTICATE
