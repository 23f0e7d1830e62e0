"""The platform's own certification authority: a root, an issuing authority, and what they sign.

Profiles follow those of NCA RK, so that software that reads Kazakhstan's certificates reads these:
the number in serialNumber (IIN…) or OU (BIN…), roles and purposes in extendedKeyUsage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.usages import CertificateUsage
from services.runtime.clock import Randomness
from signatures import oids

ROOT_YEARS, ISSUING_YEARS = 20, 10
# Behind the platform's name.
ISSUING_NAME, STAMPING_NAME = " Issuing CA", " Time Stamping"
LEAF_LIFETIME = timedelta(days=365)
# Clocks of relying parties differ a little from ours.
BACKDATED = timedelta(minutes=5)
# 127 bits, positive, at most 20 bytes (RFC 5280, section 4.1.2.2).
SERIAL_BITS = 127
CRL_LIFETIME = timedelta(hours=24)

AuthorityKey = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a certificate names: a person, an employee of an organization, or an organization."""

    common_name: str
    surname: str = ""
    patronymic: str = ""
    iin: str = ""
    organization_name: str = ""
    bin: str = ""

    @property
    def is_person(self) -> bool:
        return bool(self.iin)

    def name(self) -> x509.Name:
        """Return the subject as NCA RK writes it; Kazakh names may exceed X.520's 64 characters."""

        def attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
            return x509.NameAttribute(oid, value, _validate=False)

        parts = [attribute(NameOID.COMMON_NAME, self.common_name)]
        if self.surname:
            parts.append(attribute(NameOID.SURNAME, self.surname))
        if self.iin:
            parts.append(attribute(NameOID.SERIAL_NUMBER, f"IIN{self.iin}"))
        parts.append(x509.NameAttribute(NameOID.COUNTRY_NAME, "KZ"))
        if self.organization_name:
            parts.append(attribute(NameOID.ORGANIZATION_NAME, self.organization_name))
        if self.bin:
            parts.append(attribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"BIN{self.bin}"))
        if self.patronymic:
            parts.append(attribute(NameOID.GIVEN_NAME, self.patronymic))
        return x509.Name(parts)

    def role_oids(self, usage: CertificateUsage) -> list[str]:
        """Return NCA's role OIDs: an individual, an employee who may sign, a seal, or a system."""
        if self.is_person:
            if self.bin:
                return [oids.NCA_LEGAL_ENTITY, oids.NCA_MAY_SIGN, oids.NCA_EMPLOYEE]
            return [oids.NCA_INDIVIDUAL]
        if usage is CertificateUsage.SIGN:
            return [oids.NCA_LEGAL_ENTITY]
        return [oids.NCA_LEGAL_ENTITY, oids.NCA_INFORMATION_SYSTEM]


def service_holder(service: str, *, organization_name: str, bin_: str) -> Holder:
    """Return whom the credential of one of the platform's own services names; the organization is
    the platform's."""
    return Holder(common_name=f"qagazsyz-{service}", organization_name=organization_name, bin=bin_)


@dataclass(frozen=True, slots=True)
class CrlEntry:
    """A revoked certificate of our own on our revocation list."""

    serial_number: int
    time: datetime
    reason: RevocationReason


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A certification authority's certificate and key."""

    certificate: x509.Certificate
    key: AuthorityKey

    def issue(
        self,
        *,
        holder: Holder,
        key: Any,
        usage: CertificateUsage,
        now: datetime,
        randomness: Randomness,
        policies: Sequence[str] = (),
        backdated: timedelta = BACKDATED,
    ) -> x509.Certificate:
        """Issue a certificate of one year that binds the key to its holder.

        policies: dotted OIDs that it states, in an extension that is left out without any.
        """
        signs = usage is CertificateUsage.SIGN
        purposes = [
            ExtendedKeyUsageOID.EMAIL_PROTECTION if signs else ExtendedKeyUsageOID.CLIENT_AUTH,
            *(x509.ObjectIdentifier(oid) for oid in holder.role_oids(usage)),
        ]
        builder = (
            _builder(holder.name(), self.certificate.subject, key, now, randomness, backdated)
            .not_valid_after(min(_whole(now) + LEAF_LIFETIME, self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True, content_commitment=signs), True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        if policies:
            stated = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in policies]
            builder = builder.add_extension(x509.CertificatePolicies(stated), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue_time_stamper(
        self, key: Any, *, now: datetime, randomness: Randomness
    ) -> x509.Certificate:
        """Issue the certificate of the time-stamping authority, valid as long as this authority:
        tokens are verified for years, and a new authority has a new one made.

        Its only purpose is critical (RFC 3161, section 2.3).
        """
        (common_name,) = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(common_name.value).removesuffix(ISSUING_NAME) + STAMPING_NAME
        builder = (
            _builder(_authority_name(name), self.certificate.subject, key, now, randomness)
            .not_valid_after(self.certificate.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
            .add_extension(self._identifier(), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())

    def revocation_list(self, revoked: Iterable[CrlEntry], *, number: int, now: datetime) -> bytes:
        """Sign the CRL, DER (RFC 5280, section 5)."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(_whole(now))
            .next_update(_whole(now) + CRL_LIFETIME)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        for entry in revoked:
            revocation = (
                x509.RevokedCertificateBuilder()
                .serial_number(entry.serial_number)
                .revocation_date(_whole(entry.time))
            )
            if entry.reason is not RevocationReason.UNSPECIFIED:
                # "unspecified" is said by leaving the reason out (section 5.3.1).
                revocation = revocation.add_extension(
                    x509.CRLReason(entry.reason.flag), critical=False
                )
            builder = builder.add_revoked_certificate(revocation.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def create_authority(
    name: str, now: datetime, randomness: Randomness
) -> tuple[CertificateAuthority, CertificateAuthority]:
    """Make a new root and the authority under it that issues, both P-256."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _authority_name(f"{name} Root CA")
    root = _authority(root_name, root_name, root_key, root_key, None, now, randomness, 1)
    issuing_key = ec.generate_private_key(ec.SECP256R1())
    issuing = _authority(
        _authority_name(f"{name}{ISSUING_NAME}"),
        root_name,
        issuing_key,
        root_key,
        root,
        now,
        randomness,
        0,
    )
    return CertificateAuthority(root, root_key), CertificateAuthority(issuing, issuing_key)


def serial_number(randomness: Randomness) -> int:
    """Return a random serial number of 127 bits, never 0."""
    return (int.from_bytes(randomness(16), "big") & ((1 << SERIAL_BITS) - 1)) | 1


def key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """Return the extension with these bits set and no others (RFC 5280, section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KZ"),
        ]
    )


def _authority(
    name: x509.Name,
    issuer_name: x509.Name,
    key: AuthorityKey,
    issuer_key: AuthorityKey,
    issuer: x509.Certificate | None,
    now: datetime,
    randomness: Randomness,
    path_length: int,
) -> x509.Certificate:
    years = ROOT_YEARS if issuer is None else ISSUING_YEARS
    public = issuer_key.public_key()
    return (
        _builder(name, issuer_name, key.public_key(), now, randomness)
        .not_valid_after(_whole(now) + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        # digitalSignature: the issuing authority signs its OCSP answers itself.
        .add_extension(
            key_usage(digital_signature=issuer is not None, key_cert_sign=True, crl_sign=True),
            critical=True,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: Any,
    now: datetime,
    randomness: Randomness,
    backdated: timedelta = BACKDATED,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial_number(randomness))
        .not_valid_before(_whole(now) - backdated)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _whole(moment: datetime) -> datetime:
    # X.509 times have whole seconds.
    return moment.replace(microsecond=0)
