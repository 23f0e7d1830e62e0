"""Time-stamp tokens of any authority (RFC 3161, RFC 5816), read and checked but for trust.

A token is CMS SignedData over a TSTInfo: the hash of some data, and when it was
seen. It is decoded by asn1crypto, since authorities write BER around the parts
that are signed, and its signature is checked by our own library, as those of
certificates are. rfc3161-client, the library for this on PyPI, verifies by
OpenSSL's PKCS#7 under rules of its own for the chain: it knows neither GOST,
with which Kazakhstan's authority stamps, nor revocation at a time.

Whatever cannot be read is MalformedTimeStamp and nothing else. Whether whoever
signed may stamp the time is asked in stamp_checking.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, parser, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.identity.x509.hash_oids import HASHES, STREEBOG, digest
from services.identity.x509.inspection import NoCertificate, load
from services.identity.x509.signed_data import Signed, algorithm_identifier
from signatures.algorithms import Hash
from signatures.der import OCTET_STRING, SEQUENCE, Reader, encode
from signatures.keys import MalformedKey, certificate_spki

# One with a chain of RSA-4096 certificates has about 8 KB.
TOKEN_LIMIT_BYTES = 64 * 1024
CERTIFICATES_LIMIT = 16
# Numbers of tokens have up to 160 bits (RFC 3161, section 2.4.2), and a sign.
SERIAL_LIMIT_BITS = 160

_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_COUNTED = frozenset(
    {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2}
)
_SHA1 = "1.3.14.3.2.26"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = frozenset({"granted", "granted_with_mods"})
_SET, _SIGNED_ATTRIBUTES = 0x31, 0xA0
_TIME = re.compile(r"(\d{14})(?:\.(\d+))?Z", re.ASCII)

# Where a SignerInfo names the key's algorithm only, the digest's completes it (RFC 5652, 5.3).
_WITH_DIGEST: Mapping[tuple[str, Hash | None], str] = {
    ("1.2.840.113549.1.1.1", Hash.SHA256): "1.2.840.113549.1.1.11",
    ("1.2.840.113549.1.1.1", Hash.SHA384): "1.2.840.113549.1.1.12",
    ("1.2.840.113549.1.1.1", Hash.SHA512): "1.2.840.113549.1.1.13",
    ("1.2.840.10045.2.1", Hash.SHA256): "1.2.840.10045.4.3.2",
    ("1.2.840.10045.2.1", Hash.SHA384): "1.2.840.10045.4.3.3",
    ("1.2.840.10045.2.1", Hash.SHA512): "1.2.840.10045.4.3.4",
    ("1.2.643.7.1.1.1.1", Hash.STREEBOG256): "1.2.643.7.1.1.3.2",
    ("1.2.643.7.1.1.1.2", Hash.STREEBOG512): "1.2.643.7.1.1.3.3",
    ("1.2.398.3.10.1.1.2.1", Hash.STREEBOG256): "1.2.398.3.10.1.1.2.3.1",
    ("1.2.398.3.10.1.1.2.2", Hash.STREEBOG512): "1.2.398.3.10.1.1.2.3.2",
}

# What asn1crypto raises over bytes that are not what they should be, sooner or later.
_FAULTS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    NotImplementedError,
)


class MalformedTimeStamp(ValueError):
    """Bytes that are no time-stamp token."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """How the signature names its certificate (ESSCertID, ESSCertIDv2): a hash under a function's
    OID, and an IssuerSerial, DER, if it has one."""

    algorithm: str
    digest: bytes
    issuer_serial: bytes | None

    def names(self, der: bytes, certificate: Any) -> bool:
        if self.issuer_serial is not None:
            said = tsp.IssuerSerial.load(self.issuer_serial, strict=True)
            issuers = [one.chosen for one in said["issuer"] if one.name == "directory_name"]
            if (issuers, said["serial_number"].native) != (
                [certificate.issuer],
                certificate.serial_number,
            ):
                return False
        if self.algorithm == _SHA1:
            # ESSCertID knows no other. It tells certificates apart, and no more hangs on it.
            return hashlib.sha1(der, usedforsecurity=False).digest() == self.digest
        name = HASHES.get(self.algorithm)
        return name is not None and digest(name, der) == self.digest


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A token: what it says, and what is needed to check it."""

    time: datetime
    policy: str
    serial_number: int
    # DER, as they stand in it: the signer's where it is there, and others.
    certificates: tuple[bytes, ...]
    _imprint_algorithm: str
    _imprint: bytes
    _content: bytes
    _references: tuple[_Reference, ...]
    # The issuer's name and the number, or the subject key identifier.
    _signer: tuple[Any, int] | bytes
    _digest: Hash | None
    _message_digest: bytes
    _signed: Signed

    @property
    def hashes_in_python(self) -> bool:
        """Whether data for it are hashed a thousand times more slowly than others."""
        return HASHES.get(self._imprint_algorithm) in STREEBOG

    @property
    def named(self) -> tuple[str, ...]:
        """Fingerprints (lower-case hex SHA-256) of certificates that its signer may have: the one
        that is named so, or all that came with it."""
        said = tuple(one.digest.hex() for one in self._references if one.algorithm == _SHA256)
        return said or tuple(hashlib.sha256(der).hexdigest() for der in self.certificates)

    def is_over(self, *, data: bytes | None = None, digest_: bytes | None = None) -> bool:
        """Whether it is over the data, or over what has this digest under its hash function."""
        name = HASHES.get(self._imprint_algorithm)
        if name is None or len(self._imprint) != name.digest_length:
            return False
        return self._imprint == (digest_ if data is None else digest(name, data))

    def names(self, der: bytes) -> bool:
        """Whether this is the certificate that it says its signer has, in every place."""
        try:
            certificate = asn1.Certificate.load(der, strict=True)
            signer = (
                (certificate.issuer, certificate.serial_number)
                if isinstance(self._signer, tuple)
                else certificate.key_identifier
            )
            return signer == self._signer and all(
                reference.names(der, certificate) for reference in self._references
            )
        except _FAULTS:
            return False

    def holds(self, der: bytes) -> bool:
        """Whether the certificate's key signed it. What cannot be verified does not hold."""
        try:
            spki = certificate_spki(der)
        except MalformedKey:
            return False
        return (
            self._digest is not None
            and digest(self._digest, self._content) == self._message_digest
            and self._signed.holds(spki)
        )


def may_stamp(der: bytes) -> bool:
    """Whether the certificate is for time-stamping and nothing else, as RFC 3161 (section 2.3) has
    it: one purpose, critical; a key usage, where there is one, of signing only."""
    try:
        extensions = load(der).extensions
    except NoCertificate:
        return False
    try:
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    if not purposes.critical or list(purposes.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        return False
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return (usage.digital_signature or usage.content_commitment) and not usage.key_cert_sign


def read(data: bytes) -> TimeStamp:
    """The token in a TimeStampToken or a whole TimeStampResp. Raises MalformedTimeStamp."""
    if len(data) > TOKEN_LIMIT_BYTES:
        raise MalformedTimeStamp("too large")
    try:
        return _read(_signed_data(data))
    except MalformedTimeStamp:
        raise
    except _FAULTS as error:
        raise MalformedTimeStamp(f"cannot be decoded: {error}") from None


def _signed_data(data: bytes) -> Any:
    first = parser.peek(data) and parser.parse(data)[4][:1]
    if first == bytes([SEQUENCE]):
        response = tsp.TimeStampResp.load(data, strict=True)
        if response["status"]["status"].native not in _GRANTED:
            raise MalformedTimeStamp("a refusal")
        token = response["time_stamp_token"]
    else:
        token = cms.ContentInfo.load(data, strict=True)
    if token["content_type"].dotted != _SIGNED_DATA:
        raise MalformedTimeStamp("no SignedData")
    signed_data = token["content"]
    if signed_data["version"].native == "v1":
        # It would be PKCS#7 (RFC 5652, section 5.2.1).
        raise MalformedTimeStamp("not of CMS")
    return signed_data


def _read(signed_data: Any) -> TimeStamp:
    wrapped = signed_data["encap_content_info"]
    if wrapped["content_type"].dotted != _TST_INFO:
        raise MalformedTimeStamp("no TSTInfo")
    content = bytes(wrapped["content"])
    if len(signed_data["signer_infos"]) != 1:
        raise MalformedTimeStamp("not of one signature (RFC 3161, section 2.4.2)")
    signer = signed_data["signer_infos"][0]
    # What is signed is the attributes' encoding as a SET (RFC 5652, section 5.4), as it came.
    attributes = Reader(signer["signed_attrs"].dump()).value(_SIGNED_ATTRIBUTES)
    said = _attributes(Reader(attributes))
    if said[_CONTENT_TYPE].object_identifier() != _TST_INFO:
        raise MalformedTimeStamp("signed as something else")
    info = tsp.TSTInfo.load(content, strict=True)
    if info["version"].native != "v1" or any(one["critical"].native for one in info["extensions"]):
        raise MalformedTimeStamp("a version or a critical extension that is not known")
    serial_number = int(info["serial_number"].native)
    if serial_number.bit_length() > SERIAL_LIMIT_BITS:
        raise MalformedTimeStamp("a number that is too long")
    imprint = info["message_imprint"]
    hash_ = HASHES.get(signer["digest_algorithm"]["algorithm"].dotted)
    return TimeStamp(
        time=_time(info["gen_time"].contents.decode("ascii")),
        policy=info["policy"].dotted,
        serial_number=serial_number,
        certificates=_certificates(signed_data["certificates"]),
        _imprint_algorithm=imprint["hash_algorithm"]["algorithm"].dotted,
        _imprint=imprint["hashed_message"].native,
        _content=content,
        _references=_references(said),
        _signer=_signer(signer["sid"]),
        _digest=hash_,
        _message_digest=said[_MESSAGE_DIGEST].value(OCTET_STRING),
        _signed=_signature(signer, hash_, encode(_SET, attributes)),
    )


def _attributes(attributes: Reader) -> dict[str, Reader]:
    """The only value of each attribute that counts, by its OID. Each comes once at most, with one
    value (RFC 5652, section 11). Raises MalformedDer, or MalformedTimeStamp."""
    found: dict[str, Reader] = {}
    while not attributes.at_end():
        attribute = attributes.sequence()
        oid = attribute.object_identifier()
        values = attribute.value(_SET)
        attribute.end()
        if oid not in _COUNTED:
            continue
        if oid in found:
            raise MalformedTimeStamp("an attribute that comes twice")
        one = Reader(values)
        one.any()
        one.end()
        found[oid] = Reader(values)
    return found


def _references(said: Mapping[str, Reader]) -> tuple[_Reference, ...]:
    """The first certificate that each attribute names is the signer's (RFC 5035, sections 3, 4)."""
    found = []
    if _SIGNING_CERTIFICATE in said:
        first = said[_SIGNING_CERTIFICATE].sequence().sequence().sequence()
        found.append(_reference(first, _SHA1))
    if _SIGNING_CERTIFICATE_V2 in said:
        first = said[_SIGNING_CERTIFICATE_V2].sequence().sequence().sequence()
        algorithm = _SHA256
        if first.next_tag() == SEQUENCE:
            algorithm, _ = algorithm_identifier(first.sequence())
        found.append(_reference(first, algorithm))
    if not found:
        raise MalformedTimeStamp("does not name the signer's certificate")
    return tuple(found)


def _reference(named: Reader, algorithm: str) -> _Reference:
    digest_ = named.value(OCTET_STRING)
    issuer_serial = None if named.at_end() else named.any()[2]
    named.end()
    return _Reference(algorithm, digest_, issuer_serial)


def _signer(identifier: Any) -> tuple[Any, int] | bytes:
    if identifier.name == "subject_key_identifier":
        key: bytes = identifier.chosen.native
        return key
    pair = identifier.chosen
    return pair["issuer"], int(pair["serial_number"].native)


def _signature(signer: Any, hash_: Hash | None, signed: bytes) -> Signed:
    encoded = Reader(signer["signature_algorithm"].dump()).sequence()
    algorithm, parameters = algorithm_identifier(encoded)
    completed = _WITH_DIGEST.get((algorithm, hash_))
    if completed is not None:
        algorithm, parameters = completed, None
    return Signed(signed, algorithm, parameters, signer["signature"].native)


def _certificates(choices: Any) -> tuple[bytes, ...]:
    if len(choices) > CERTIFICATES_LIMIT:
        raise MalformedTimeStamp("too many certificates")
    return tuple(choice.chosen.dump() for choice in choices if choice.name == "certificate")


def _time(text: str) -> datetime:
    """A GeneralizedTime in UTC, to the microsecond (RFC 3161, section 2.4.2)."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedTimeStamp("no time in UTC")
    moment = datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return moment.replace(microsecond=int(((match[2] or "") + "000000")[:6]))
