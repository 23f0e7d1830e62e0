"""Signatures of certificates, by the OID that they name."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from signatures import oids
from signatures import x509 as library
from signatures.backend import Backend
from signatures.der import NULL, SEQUENCE, Reader, encode, encode_oid
from signatures.gost.curves import CURVES_BY_OID
from signatures.gost.streebog import streebog512
from signatures.keys import UnsupportedKey, certificate_spki
from signatures.loading import load_backend
from signatures.x509 import verify_x509_signature
from tests.unit.signatures.builders import gost_sign, gost_spki, multiple, shared_certificate

DER_NULL = encode(NULL, b"")
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def self_signed(
    key: CertificateIssuerPrivateKeyTypes,
    name: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None,
    rsa_padding: padding.PSS | None = None,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START + datetime.timedelta(days=1))
        .sign(key, name, rsa_padding=rsa_padding)
    )


def parts(certificate: x509.Certificate) -> tuple[bytes, str, bytes | None, bytes, bytes]:
    """The arguments of verify_x509_signature, taken from a certificate that signed itself."""
    der = certificate.public_bytes(Encoding.DER)
    outer = Reader(der).sequence()
    outer.sequence()
    algorithm = outer.sequence()
    oid = algorithm.object_identifier()
    parameters = algorithm.rest() or None
    return (
        certificate_spki(der),
        oid,
        parameters,
        certificate.tbs_certificate_bytes,
        certificate.signature,
    )


def pss(name: hashes.HashAlgorithm, salt: int) -> padding.PSS:
    return padding.PSS(padding.MGF1(name), salt)


RSA_KEY = rsa.generate_private_key(65537, 2048)
CERTIFICATES = {
    "Ed25519": self_signed(ed25519.Ed25519PrivateKey.generate(), None),
    "P-256, SHA-384": self_signed(ec.generate_private_key(ec.SECP256R1()), hashes.SHA384()),
    "P-384, SHA-256": self_signed(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()),
    "P-521, SHA-512": self_signed(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()),
    "RSA, SHA-256": self_signed(RSA_KEY, hashes.SHA256()),
    "RSA, SHA-512": self_signed(RSA_KEY, hashes.SHA512()),
    "RSA-PSS, SHA-256": self_signed(RSA_KEY, hashes.SHA256(), pss(hashes.SHA256(), 32)),
    "RSA-PSS, SHA-512": self_signed(RSA_KEY, hashes.SHA512(), pss(hashes.SHA512(), 64)),
    "ML-DSA-65": self_signed(mldsa.MLDSA65PrivateKey.generate(), None),
}


@pytest.mark.parametrize("name", list(CERTIFICATES))
def test_a_certificate_s_own_signature_holds_and_a_spoiled_one_does_not(name: str) -> None:
    spki, oid, parameters, tbs, signature = parts(CERTIFICATES[name])

    assert verify_x509_signature(spki, oid, parameters, tbs, signature)
    assert not verify_x509_signature(spki, oid, parameters, tbs + b"\0", signature)
    assert not verify_x509_signature(spki, oid, parameters, tbs, signature[:-1])


def test_a_key_of_another_kind_signs_nothing() -> None:
    _, oid, parameters, tbs, signature = parts(CERTIFICATES["RSA, SHA-256"])
    for other in ("Ed25519", "P-256, SHA-384", "ML-DSA-65"):
        spki = parts(CERTIFICATES[other])[0]

        assert not verify_x509_signature(spki, oid, parameters, tbs, signature)


def test_rsa_takes_null_or_nothing_and_others_take_nothing() -> None:
    spki, oid, _, tbs, signature = parts(CERTIFICATES["RSA, SHA-256"])

    assert verify_x509_signature(spki, oid, DER_NULL, tbs, signature)
    assert verify_x509_signature(spki, oid, None, tbs, signature)
    with pytest.raises(UnsupportedKey):
        verify_x509_signature(spki, oid, b"\x30\0", tbs, signature)
    for name in ("Ed25519", "P-256, SHA-384"):
        spki, oid, _, tbs, signature = parts(CERTIFICATES[name])
        with pytest.raises(UnsupportedKey):
            verify_x509_signature(spki, oid, DER_NULL, tbs, signature)


@pytest.mark.parametrize(
    "certificate",
    [
        self_signed(RSA_KEY, hashes.SHA256(), pss(hashes.SHA256(), 20)),
        self_signed(RSA_KEY, hashes.SHA256(), padding.PSS(padding.MGF1(hashes.SHA512()), 32)),
    ],
    ids=["another salt", "another mask"],
)
def test_pss_of_other_parameters_is_unsupported(certificate: x509.Certificate) -> None:
    with pytest.raises(UnsupportedKey):
        verify_x509_signature(*parts(certificate))


@pytest.mark.parametrize(
    "oid", ["1.2.840.113549.1.1.5", "1.2.840.113549.1.1.4", "1.2.398.3.10.1.1.1.2", "1.2.3"]
)
def test_sha_1_md5_and_the_older_gost_are_unsupported(oid: str) -> None:
    spki, _, _, tbs, signature = parts(CERTIFICATES["RSA, SHA-256"])
    with pytest.raises(UnsupportedKey):
        verify_x509_signature(spki, oid, DER_NULL, tbs, signature)


@pytest.mark.parametrize(
    "name", ["root_test_gost_2022.cer", "nca_gost2022_test.cer", "nca_gost2015_test.cer"]
)
def test_nca_s_test_root_signed_itself_and_its_authorities(name: str) -> None:
    root = certificate_spki(shared_certificate("root_test_gost_2022.cer"))
    certificate = x509.load_der_x509_certificate(shared_certificate(name))
    oid = certificate.signature_algorithm_oid.dotted_string
    tbs, signature = certificate.tbs_certificate_bytes, certificate.signature

    assert oid == "1.2.398.3.10.1.1.2.3.2"
    assert verify_x509_signature(root, oid, DER_NULL, tbs, signature)
    assert not verify_x509_signature(root, oid, DER_NULL, tbs[::-1], signature)


@pytest.mark.parametrize("name", ["kernel", "portable"])
def test_gost_signatures_are_the_backend_s_to_verify(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "kernel":
        pytest.importorskip("qagazsyz_kernel")
    asked = []

    def backend() -> Backend:
        asked.append(name)
        return load_backend(name)

    monkeypatch.setattr(library, "_backend", backend)
    key_oid, curve_oid = "1.2.398.3.10.1.1.2.2", "1.2.398.3.10.1.1.2.2.1"
    curve = CURVES_BY_OID[curve_oid]
    spki = gost_spki(key_oid, curve_oid, multiple(curve, 5))
    r, s = gost_sign(curve, 5, 7, streebog512(b"what is signed"))
    signature = r.to_bytes(64, "little") + s.to_bytes(64, "little")
    oid = "1.2.398.3.10.1.1.2.3.2"
    elliptic = parts(CERTIFICATES["P-256, SHA-384"])[0]

    assert verify_x509_signature(spki, oid, DER_NULL, b"what is signed", signature)
    assert not verify_x509_signature(spki, oid, DER_NULL, b"what is not", signature)
    assert not verify_x509_signature(spki, oid, None, b"what is signed", signature[:-1])
    assert not verify_x509_signature(elliptic, oid, DER_NULL, b"what is signed", signature)
    assert asked == [name] * 4


def test_nca_s_rsa_leaf_is_its_authority_s() -> None:
    authority = certificate_spki(shared_certificate("nca_rsa_test.crt"))
    leaf = x509.load_der_x509_certificate(shared_certificate("individual_valid_sign_2004_rsa.cer"))

    assert verify_x509_signature(
        authority, "1.2.840.113549.1.1.11", DER_NULL, leaf.tbs_certificate_bytes, leaf.signature
    )


def test_a_key_for_pss_only_verifies_pss_with_its_own_parameters() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    plain, oid, parameters, tbs, signature = parts(self_signed(key, hashes.SHA256(), pss))
    other = parts(self_signed(key, hashes.SHA384(), padding.PSS(padding.MGF1(hashes.SHA384()), 48)))
    bits = Reader(plain).sequence()
    bits.any()
    bit_string = bits.any()[2]

    def marked(own: bytes | None) -> bytes:
        algorithm = encode(SEQUENCE, encode_oid(oids.RSA_PSS) + (own or b""))
        return encode(SEQUENCE, algorithm + bit_string)

    for own in (None, parameters):
        assert verify_x509_signature(marked(own), oid, parameters, tbs, signature)
        assert not verify_x509_signature(marked(own), oid, parameters, tbs + b"!", signature)
    assert verify_x509_signature(marked(None), *other[1:])
    with pytest.raises(UnsupportedKey):
        verify_x509_signature(marked(parameters), *other[1:])
    pkcs1 = parts(self_signed(key, hashes.SHA256()))
    with pytest.raises(UnsupportedKey):
        verify_x509_signature(marked(None), *pkcs1[1:])
