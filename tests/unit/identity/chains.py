"""Certificates of external authorities, good ones and bad ones, for the tests."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import algos, core
from asn1crypto import x509 as asn1
from asn1crypto.keys import PublicKeyInfo
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from signatures import oids
from signatures.gost.curves import CURVES_BY_OID
from signatures.gost.streebog import streebog512
from tests.unit.signatures.builders import gost_sign, gost_spki, multiple

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIGNING = (ExtendedKeyUsageOID.EMAIL_PROTECTION, x509.ObjectIdentifier(oids.NCA_INDIVIDUAL))
_serials = itertools.count(1000)


@dataclass(frozen=True, slots=True)
class GostKey:
    """A secret on NCA's curve, and a nonce, which a test may choose badly."""

    secret: int = 0x7A929ADE789BB9BE10ED359DD39A72C11B60961F49397EEE1D19CE9891EC3B28
    nonce: int = 0x77105C9B20BCD3122823C8CF6FCC7B956DE33814E95B7FE64FED924594DCEAB3

    def spki(self) -> bytes:
        curve = CURVES_BY_OID[oids.TC26_CURVE_512_A]
        return gost_spki(oids.KZ_GOST_512, oids.TC26_CURVE_512_A, multiple(curve, self.secret))

    def sign(self, data: bytes) -> bytes:
        curve = CURVES_BY_OID[oids.TC26_CURVE_512_A]
        r, s = gost_sign(curve, self.secret, self.nonce, streebog512(data))
        return r.to_bytes(64, "little") + s.to_bytes(64, "little")


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate and its key."""

    der: bytes
    key: Any
    name: x509.Name

    @property
    def parsed(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    @property
    def pem(self) -> bytes:
        return self.parsed.public_bytes(Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name_of(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KZ"),
        ]
    )


def key_usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in names for name in every})


DOCUMENTS = key_usage("digital_signature", "content_commitment")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate is to say; each test changes one thing."""

    common_name: str = "Leaf"
    authority: bool = False
    path_length: int | None = None
    basic_constraints: bool = True
    usage: x509.KeyUsage | None = DOCUMENTS
    purposes: Sequence[x509.ObjectIdentifier] | None = SIGNING
    not_before: datetime = NOW - timedelta(days=30)
    not_after: datetime = NOW + timedelta(days=300)
    crls: Sequence[str] = ()
    ocsp: Sequence[str] = ()
    policies: Sequence[str] = ()
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = ()
    name: x509.Name | None = None


AUTHORITY = Profile(
    common_name="Issuing CA",
    authority=True,
    usage=key_usage("key_cert_sign", "crl_sign"),
    purposes=None,
    not_before=NOW - timedelta(days=365),
    not_after=NOW + timedelta(days=3650),
)
ROOT = replace(AUTHORITY, common_name="Root CA")


def make(profile: Profile, issuer: Made | None = None, *, key: Any = None) -> Made:
    """A certificate by the issuer, or a self-signed one."""
    key = key or new_key()
    name = profile.name or name_of(profile.common_name)
    signer = issuer or Made(b"", key, name)
    gost = isinstance(key, GostKey)
    public = new_key().public_key() if gost else key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signer.name)
        .public_key(public)
        .serial_number(next(_serials))
        .not_valid_before(profile.not_before)
        .not_valid_after(profile.not_after)
    )
    if profile.basic_constraints:
        builder = builder.add_extension(
            x509.BasicConstraints(profile.authority, profile.path_length), critical=True
        )
    if profile.usage is not None:
        builder = builder.add_extension(profile.usage, critical=True)
    if profile.purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(profile.purposes), critical=False)
    if profile.crls:
        builder = builder.add_extension(
            x509.CRLDistributionPoints(
                [
                    x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
                    for url in profile.crls
                ]
            ),
            critical=False,
        )
    if profile.ocsp:
        builder = builder.add_extension(
            x509.AuthorityInformationAccess(
                [
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
                    )
                    for url in profile.ocsp
                ]
            ),
            critical=False,
        )
    if profile.policies:
        builder = builder.add_extension(
            x509.CertificatePolicies(
                [
                    x509.PolicyInformation(x509.ObjectIdentifier(oid), None)
                    for oid in profile.policies
                ]
            ),
            critical=False,
        )
    for extension, critical in profile.extensions:
        builder = builder.add_extension(extension, critical)
    if gost or isinstance(signer.key, GostKey):
        stand_in = new_key()
        der = builder.sign(stand_in, hashes.SHA256()).public_bytes(Encoding.DER)
        return Made(_resigned(der, key.spki() if gost else None, signer.key), key, name)
    digest = None if isinstance(signer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer.key, digest).public_bytes(Encoding.DER), key, name)


def _resigned(der: bytes, spki: bytes | None, signer: Any) -> bytes:
    """The certificate with another key in it, signed anew: what cryptography does not make."""
    certificate = asn1.Certificate.load(der)
    tbs = certificate["tbs_certificate"]
    if spki is not None:
        tbs["subject_public_key_info"] = PublicKeyInfo.load(spki)
    oid = oids.KZ_GOST_512_STREEBOG512 if isinstance(signer, GostKey) else oids.ECDSA_SHA256
    algorithm = algos.SignedDigestAlgorithm({"algorithm": oid})
    tbs["signature"] = algorithm
    content = tbs.dump(force=True)
    signed = asn1.Certificate(
        {
            "tbs_certificate": tbs,
            "signature_algorithm": algorithm,
            "signature_value": core.OctetBitString(sign(signer, content)),
        }
    )
    encoded: bytes = signed.dump(force=True)
    return encoded


def sign(key: Any, content: bytes) -> bytes:
    """The key's signature, with SHA-256 where a hash is to be chosen."""
    if isinstance(key, GostKey):
        return key.sign(content)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(content)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    return bytes(key.sign(content, ec.ECDSA(hashes.SHA256())))


def spki_of(made: Made) -> bytes:
    if isinstance(made.key, GostKey):
        return made.key.spki()
    public: bytes = made.key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return public
