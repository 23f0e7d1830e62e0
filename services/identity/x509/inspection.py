"""What a certificate says of its holder, read as Kazakhstan's NCA writes it.

A person's IIN stands in serialNumber ("IIN…"), their patronymic in GN, an
organization's BIN in OU or serialNumber ("BIN…"); roles are OIDs in
extendedKeyUsage. Everything is given as it stands: NCA's own test certificates
carry numbers whose check digits are wrong, and no certificate is refused for
them. Whether the certificate is worth anything is asked elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.identity.x509.issuing import UNREADABLE, Usage


class Role(IntEnum):
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
    "1.2.398.3.3.4.1.1": Role.INDIVIDUAL,
    "1.2.398.3.3.4.1.2": Role.LEGAL_ENTITY,
    "1.2.398.3.3.4.1.2.1": Role.FIRST_HEAD,
    "1.2.398.3.3.4.1.2.2": Role.MAY_SIGN,
    "1.2.398.3.3.4.1.2.3": Role.MAY_SIGN_FINANCIAL,
    "1.2.398.3.3.4.1.2.4": Role.HUMAN_RESOURCES,
    "1.2.398.3.3.4.1.2.5": Role.EMPLOYEE,
    "1.2.398.3.3.4.1.2.6": Role.INFORMATION_SYSTEM,
}
_ROLES_BELOW = "1.2.398.3.3.4.1."

_COMMON_NAME = "2.5.4.3"
_SURNAME = "2.5.4.4"
_SERIAL_NUMBER = "2.5.4.5"
_ORGANIZATION = "2.5.4.10"
_UNIT = "2.5.4.11"
_GIVEN_NAME = "2.5.4.42"
_EMAIL = "1.2.840.113549.1.9.1"
_IIN = re.compile(r"IIN(\d{12})", re.ASCII)
_BIN = re.compile(r"BIN(\d{12})", re.ASCII)

# emailProtection is NCA's purpose for signing; documentSigning is RFC 9336's.
_SIGNING_PURPOSES = frozenset(
    {
        ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string,
        "1.3.6.1.5.5.7.3.36",
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string,
    }
)
_CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string


class NoCertificate(ValueError):
    """Bytes that are no X.509 certificate in DER."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says, as it says it; texts are empty where it says nothing."""

    fingerprint: str
    common_name: str
    iin: str
    bin: str
    surname: str
    patronymic: str
    organization: str
    email: str
    roles: tuple[Role, ...]
    usage: Usage
    authority: bool
    serial_number: str
    issuer: str
    not_before: datetime
    not_after: datetime
    purposes: tuple[str, ...]
    policies: tuple[str, ...]
    key_algorithm: str
    signature_algorithm: str


def load(der: bytes) -> x509.Certificate:
    """The certificate, its extensions decoded once. Raises NoCertificate."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        # Decoded when first asked for, and kept: what cannot be decoded is no certificate.
        certificate.extensions  # noqa: B018
        certificate.not_valid_before_utc, certificate.not_valid_after_utc  # noqa: B018
    except (*UNREADABLE, OverflowError) as error:
        raise NoCertificate("no X.509 certificate in DER") from error
    return certificate


def inspect(der: bytes) -> CertificateFacts:
    """What the certificate says. Raises NoCertificate."""
    certificate = load(der)
    try:
        parsed = asn1.Certificate.load(der)
        names = _names(parsed)
        issuer = _rfc4514(parsed.issuer)
        key_algorithm = certificate.public_key_algorithm_oid.dotted_string
        signature_algorithm = certificate.signature_algorithm_oid.dotted_string
    except (ValueError, TypeError, KeyError) as error:
        raise NoCertificate("names that cannot be read") from error
    purposes = purposes_of(certificate)
    return CertificateFacts(
        fingerprint=hashlib.sha256(der).hexdigest(),
        common_name=names.get(_COMMON_NAME, ""),
        iin=_number(_IIN, names.get(_SERIAL_NUMBER, "")),
        bin=_number(_BIN, names.get(_UNIT, "")) or _number(_BIN, names.get(_SERIAL_NUMBER, "")),
        surname=names.get(_SURNAME, ""),
        patronymic=names.get(_GIVEN_NAME, ""),
        organization=names.get(_ORGANIZATION, ""),
        email=names.get(_EMAIL, ""),
        roles=roles_of(purposes or ()),
        usage=usage_of(certificate),
        authority=is_authority(certificate),
        serial_number=f"{certificate.serial_number:x}",
        issuer=issuer,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        purposes=purposes or (),
        policies=_policies(certificate),
        key_algorithm=key_algorithm,
        signature_algorithm=signature_algorithm,
    )


def usage_of(certificate: x509.Certificate) -> Usage:
    """SIGN where documents may be signed with it: keyUsage with nonRepudiation, and purposes, where
    any are named, with one of signing and without clientAuth. All others authenticate at most."""
    usage = extension(certificate, x509.KeyUsage)
    purposes = purposes_of(certificate)
    signs = (
        usage is not None
        and usage.content_commitment
        and not is_authority(certificate)
        and (
            purposes is None
            or (_CLIENT_AUTH not in purposes and not _SIGNING_PURPOSES.isdisjoint(purposes))
        )
    )
    return Usage.SIGN if signs else Usage.AUTHENTICATE


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints say that it is an authority's."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and bool(constraints.ca)


def purposes_of(certificate: x509.Certificate) -> tuple[str, ...] | None:
    """extendedKeyUsage, dotted; None where there is none, which restricts nothing."""
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    return None if purposes is None else tuple(oid.dotted_string for oid in purposes)


def roles_of(purposes: tuple[str, ...]) -> tuple[Role, ...]:
    """The roles among the purposes, each once: an OID below a role's means that role."""
    found: dict[Role, None] = {}
    for purpose in purposes:
        oid = purpose
        while oid.startswith(_ROLES_BELOW):
            if oid in _ROLES:
                found[_ROLES[oid]] = None
                break
            oid = oid.rpartition(".")[0]
    return tuple(found)


def extension(certificate: x509.Certificate, kind: Any) -> Any:
    """The extension of that class, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _policies(certificate: x509.Certificate) -> tuple[str, ...]:
    policies = extension(certificate, x509.CertificatePolicies)
    if policies is None:
        return ()
    return tuple(policy.policy_identifier.dotted_string for policy in policies)


def _names(certificate: Any) -> dict[str, str]:
    # Of attributes that come more than once the first counts, but for a unit, where the BIN may
    # stand beside a department.
    names: dict[str, str] = {}
    for relative in certificate.subject.chosen:
        for attribute in relative:
            oid, value = attribute["type"].dotted, str(attribute["value"].native)
            if oid not in names or (oid == _UNIT and _BIN.fullmatch(value)):
                names[oid] = value
    return names


def _number(form: re.Pattern[str], value: str) -> str:
    match = form.fullmatch(value.strip())
    return match[1] if match else ""


_SHORT = {
    _COMMON_NAME: "CN",
    _SURNAME: "SN",
    _SERIAL_NUMBER: "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    _ORGANIZATION: "O",
    _UNIT: "OU",
    _GIVEN_NAME: "GN",
    "0.9.2342.19200300.100.1.25": "DC",
}


def _rfc4514(name: Any) -> str:
    """The name, its last part first, with what RFC 4514 (section 2.4) says escaped."""
    parts = []
    for relative in reversed(list(name.chosen)):
        parts.append(
            "+".join(
                f"{_SHORT.get(attribute['type'].dotted, attribute['type'].dotted)}"
                f"={_escaped(str(attribute['value'].native))}"
                for attribute in relative
            )
        )
    return ",".join(parts)


def _escaped(value: str) -> str:
    escaped = re.sub(r'([",+;<>\\])', r"\\\1", value).replace("\0", r"\00")
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    if escaped.endswith(" ") and not escaped.endswith("\\ "):
        escaped = escaped[:-1] + "\\ "
    return escaped
