"""What a certificate says of its holder, read as Kazakhstan's NCA writes it.

A person's IIN stands in serialNumber ("IIN…"), their patronymic in GN, an organization's BIN in OU
or serialNumber ("BIN…"); roles are OIDs in extendedKeyUsage. Values are returned as they stand:
NCA's own test certificates carry numbers with wrong check digits, so no certificate is refused for
its number. Trust is validation's business.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.identity.x509.certificate_bounds import OutOfBounds, check_bounds
from services.identity.x509.unforeseen import log_unforeseen
from services.identity.x509.usages import CertificateRole, CertificateUsage, is_role, roles_of
from signatures import oids
from signatures.der import MalformedDer

log = logging.getLogger(__name__)

_IIN = re.compile(r"IIN(\d{12})", re.ASCII)
_BIN = re.compile(r"BIN(\d{12})", re.ASCII)

# emailProtection is NCA's purpose for signing; documentSigning is RFC 9336's.
_SIGNING_PURPOSES = frozenset(
    {
        ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string,
        oids.DOCUMENT_SIGNING,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string,
    }
)
_CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string


class NotACertificate(ValueError):
    """Bytes that are not an X.509 certificate in DER."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says, unchanged; texts are empty where it says nothing."""

    fingerprint: str
    common_name: str
    iin: str
    bin: str
    surname: str
    patronymic: str
    organization: str
    email: str
    roles: tuple[CertificateRole, ...]
    usage: CertificateUsage
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
    """Parse a certificate with all of its extensions and dates. Raises NotACertificate, whose text
    says what is wrong."""
    try:
        check_bounds(der)
    except OutOfBounds as error:
        raise NotACertificate(str(error)) from None
    except MalformedDer as error:
        raise NotACertificate("not an X.509 certificate in DER") from error
    try:
        certificate = x509.load_der_x509_certificate(der)
        # cryptography decodes these at first access, and keeps them.
        certificate.extensions  # noqa: B018
        certificate.not_valid_before_utc, certificate.not_valid_after_utc  # noqa: B018
    except Exception as error:  # whatever a parser makes of foreign bytes (unforeseen.py)
        raise NotACertificate("not an X.509 certificate in DER") from error
    return certificate


def inspect(der: bytes) -> CertificateFacts:
    """Return what the certificate says. Raises NotACertificate."""
    certificate = load(der)
    try:
        return _facts(der, certificate)
    except Exception as error:  # whatever a parser makes of foreign bytes
        log_unforeseen("a certificate", der, error)
        raise NotACertificate("fields that cannot be decoded") from error


def _facts(der: bytes, certificate: x509.Certificate) -> CertificateFacts:
    parsed = asn1.Certificate.load(der)
    names = _names(parsed)
    issuer = rfc4514_name(parsed.issuer)
    key_algorithm = certificate.public_key_algorithm_oid.dotted_string
    signature_algorithm = certificate.signature_algorithm_oid.dotted_string
    purposes = purposes_of(certificate)
    return CertificateFacts(
        fingerprint=fingerprint_of(der),
        common_name=_first(names, oids.COMMON_NAME),
        iin=_iin(names),
        bin=_bin(names),
        surname=_first(names, oids.SURNAME),
        patronymic=_first(names, oids.GIVEN_NAME),
        organization=_first(names, oids.ORGANIZATION),
        email=_first(names, oids.EMAIL_ADDRESS),
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


def fingerprint_of(der: bytes) -> str:
    """Return the lower-case hex SHA-256 of a certificate's DER, by which it is named."""
    return hashlib.sha256(der).hexdigest()


def has_expired(not_after: datetime, at: datetime) -> bool:
    """Return whether the time is later than notAfter, which is the last second of validity
    (RFC 5280, section 4.1.2.5).

    The times are subtracted: 99991231235959Z, which says "no well-defined expiration date", has no
    second behind it.
    """
    return at - not_after >= timedelta(seconds=1)


def usage_of(certificate: x509.Certificate) -> CertificateUsage:
    """Return SIGN if documents may be signed with it, else AUTHENTICATE.

    SIGN needs keyUsage with nonRepudiation and, if purposes are named, one of signing and not
    clientAuth. NCA's roles stand among the purposes and are none: its information systems have
    nothing else there. An authority's certificate signs no documents.
    """
    usage = extension(certificate, x509.KeyUsage)
    named = purposes_of(certificate) or ()
    purposes = {purpose for purpose in named if not is_role(purpose)}
    signs = (
        usage is not None
        and usage.content_commitment
        and not is_authority(certificate)
        and (
            not purposes
            or (_CLIENT_AUTH not in purposes and not _SIGNING_PURPOSES.isdisjoint(purposes))
        )
    )
    return CertificateUsage.SIGN if signs else CertificateUsage.AUTHENTICATE


def is_authority(certificate: x509.Certificate) -> bool:
    """Return whether basicConstraints mark it as an authority's."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and bool(constraints.ca)


def purposes_of(certificate: x509.Certificate) -> tuple[str, ...] | None:
    """Return extendedKeyUsage as dotted OIDs; None if it is absent, which restricts nothing."""
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    return None if purposes is None else tuple(oid.dotted_string for oid in purposes)


def extension(certificate: x509.Certificate, kind: Any) -> Any:
    """Return the value of the extension of that class, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _policies(certificate: x509.Certificate) -> tuple[str, ...]:
    policies = extension(certificate, x509.CertificatePolicies)
    if policies is None:
        return ()
    return tuple(policy.policy_identifier.dotted_string for policy in policies)


def check_names(certificate: x509.Certificate, parsed: Any) -> None:
    """Raise an exception, of whatever kind, for a certificate whose names inspect could not read.

    parsed: the same by asn1crypto, which reads more kinds of strings, and takes ten times as long.
    """
    try:
        certificate.subject, certificate.issuer  # noqa: B018
        return
    except Exception:  # whatever a parser makes of foreign bytes
        log.debug("names that only asn1crypto may read")
    for name in (parsed.subject, parsed.issuer):
        for relative in name.chosen:
            for attribute in relative:
                str(attribute["value"].native)


def _names(certificate: Any) -> Mapping[str, Sequence[str]]:
    """Return the values of the subject's attributes by OID."""
    names: dict[str, list[str]] = {}
    for relative in certificate.subject.chosen:
        for attribute in relative:
            value = str(attribute["value"].native)
            names.setdefault(attribute["type"].dotted, []).append(value)
    return names


def _first(names: Mapping[str, Sequence[str]], oid: str) -> str:
    return names.get(oid, ("",))[0]


def _iin(names: Mapping[str, Sequence[str]]) -> str:
    """Return the person's number; "" if there are several serial numbers, of which any might be
    meant."""
    serial_numbers = names.get(oids.SERIAL_NUMBER, ())
    return _number(_IIN, serial_numbers[0]) if len(serial_numbers) == 1 else ""


def _bin(names: Mapping[str, Sequence[str]]) -> str:
    """Return the organization's number, which stands in one unit beside others, or in the only
    serial number; "" if several are there."""
    serial_numbers = names.get(oids.SERIAL_NUMBER, ())
    found = [_number(_BIN, unit) for unit in names.get(oids.ORGANIZATIONAL_UNIT, ())]
    found += [_number(_BIN, value) for value in serial_numbers]
    numbers = [number for number in found if number]
    is_ambiguous = len(numbers) > 1 or len(serial_numbers) > 1
    return "" if is_ambiguous or not numbers else numbers[0]


def _number(form: re.Pattern[str], value: str) -> str:
    match = form.fullmatch(value.strip())
    return match[1] if match else ""


_SHORT_NAMES = {
    oids.COMMON_NAME: "CN",
    oids.SURNAME: "SN",
    oids.SERIAL_NUMBER: "serialNumber",
    oids.COUNTRY: "C",
    oids.LOCALITY: "L",
    oids.STATE: "ST",
    oids.ORGANIZATION: "O",
    oids.ORGANIZATIONAL_UNIT: "OU",
    oids.GIVEN_NAME: "GN",
    oids.DOMAIN_COMPONENT: "DC",
}


def rfc4514_name(name: Any) -> str:
    """Return asn1crypto's Name as RFC 4514 writes it: its last part first, escaped by section 2.4.

    Not cryptography's rfc4514_string, though that writes the same of what it reads: it raises for a
    TeletexString with letters of Latin-1, which older authorities write. asn1crypto decodes it.
    """
    parts = []
    for relative in reversed(list(name.chosen)):
        parts.append(
            "+".join(
                f"{_SHORT_NAMES.get(attribute['type'].dotted, attribute['type'].dotted)}"
                f"={_escaped(str(attribute['value'].native))}"
                for attribute in relative
            )
        )
    return ",".join(parts)


def _escaped(value: str) -> str:
    escaped = re.sub(r'([",+;<>\\])', r"\\\1", value).replace("\0", r"\00")
    if escaped.endswith(" ") and len(escaped) > 1:
        escaped = escaped[:-1] + "\\ "
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    return escaped
