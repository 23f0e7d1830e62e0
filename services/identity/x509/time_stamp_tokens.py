"""Time-stamp tokens of any authority (RFC 3161, RFC 5816): reading them, and their signatures.

A token is CMS SignedData over a TSTInfo: the hash of some data, and when it was seen. It is decoded
by asn1crypto, since authorities write BER around the parts that are signed, and its signature is
verified by our own library, as those of certificates are. rfc3161-client, the library for this,
verifies by OpenSSL's PKCS#7 under rules of its own for the chain: it knows neither GOST, with which
Kazakhstan's authority stamps, nor revocation at a time.

Bytes that cannot be read raise MalformedTimeStamp and nothing else. Whether the signer is trusted
to stamp the time is decided in certificates/time_stamp_check.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, parser, tsp
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.identity.x509.asn1_names import decode, same_name
from services.identity.x509.certificate_bounds import check_bounds
from services.identity.x509.hash_oids import HASHES, Hasher, TooMuchToHash
from services.identity.x509.inspection import NotACertificate, fingerprint_of, load
from services.identity.x509.signed_data import SignedContent, read_algorithm
from services.identity.x509.unforeseen import log_unforeseen
from signatures import oids
from signatures.algorithms import Hash
from signatures.der import OCTET_STRING, SEQUENCE, Reader, encode
from signatures.keys import MalformedKey, certificate_spki

# One with a chain of RSA-4096 certificates has about 8 KB.
TOKEN_LIMIT_BYTES = 64 * 1024
CERTIFICATES_LIMIT = 16
# Serial numbers of tokens have up to 160 bits (RFC 3161, section 2.4.2), and a sign.
SERIAL_LIMIT_BITS = 160

# The signed attributes that are read; others are ignored.
_READ_ATTRIBUTES = frozenset(
    {
        oids.CONTENT_TYPE,
        oids.MESSAGE_DIGEST,
        oids.SIGNING_CERTIFICATE,
        oids.SIGNING_CERTIFICATE_V2,
    }
)
_GRANTED = frozenset({"granted", "granted_with_mods"})
_SET, _SIGNED_ATTRIBUTES = 0x31, 0xA0
_TIME = re.compile(r"(\d{14})(?:\.(\d+))?Z", re.ASCII)

# If a SignerInfo names the key's algorithm only, the digest's completes it (RFC 5652, 5.3).
_WITH_DIGEST: Mapping[tuple[str, Hash | None], str] = {
    (oids.RSA, Hash.SHA256): oids.RSA_SHA256,
    (oids.RSA, Hash.SHA384): oids.RSA_SHA384,
    (oids.RSA, Hash.SHA512): oids.RSA_SHA512,
    (oids.EC, Hash.SHA256): oids.ECDSA_SHA256,
    (oids.EC, Hash.SHA384): oids.ECDSA_SHA384,
    (oids.EC, Hash.SHA512): oids.ECDSA_SHA512,
    (oids.TC26_GOST_256, Hash.STREEBOG256): oids.TC26_GOST_256_STREEBOG256,
    (oids.TC26_GOST_512, Hash.STREEBOG512): oids.TC26_GOST_512_STREEBOG512,
    (oids.KZ_GOST_256, Hash.STREEBOG256): oids.KZ_GOST_256_STREEBOG256,
    (oids.KZ_GOST_512, Hash.STREEBOG512): oids.KZ_GOST_512_STREEBOG512,
}

# Signature algorithms that hash with Streebog what is signed.
_BY_STREEBOG = frozenset(
    {
        oids.TC26_GOST_256_STREEBOG256,
        oids.TC26_GOST_512_STREEBOG512,
        oids.KZ_GOST_256_STREEBOG256,
        oids.KZ_GOST_512_STREEBOG512,
    }
)


class MalformedTimeStamp(ValueError):
    """Bytes that are not a time-stamp token."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """How the signature names its certificate (ESSCertID, ESSCertIDv2): the hash function's OID,
    the hash, and an IssuerSerial (DER) or None."""

    algorithm: str
    digest: bytes
    issuer_serial: bytes | None

    def names(self, der: bytes, certificate: Any, hasher: Hasher) -> bool:
        """Return whether it refers to this certificate, given as DER and decoded. Raises
        TooMuchToHash."""
        if self.issuer_serial is not None:
            named = tsp.IssuerSerial.load(self.issuer_serial, strict=True)
            if named["serial_number"].native != certificate.serial_number:
                return False
            issuers = [one.chosen for one in named["issuer"] if one.name == "directory_name"]
            if len(issuers) != 1 or not same_name(issuers[0], certificate.issuer):
                return False
        if self.algorithm == oids.SHA1:
            # ESSCertID allows no other. It only tells certificates apart; no trust rests on it.
            return hashlib.sha1(der, usedforsecurity=False).digest() == self.digest
        function = HASHES.get(self.algorithm)
        return function is not None and hasher.digest(function, der) == self.digest


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A token's content, and the parts that verify it."""

    time: datetime
    policy: str
    serial_number: int
    # DER, as they stand in it: the signer's, if it was included, and others.
    certificates: tuple[bytes, ...]
    _imprint_algorithm: str
    _imprint: bytes
    _content: bytes
    _references: tuple[_Reference, ...]
    # The issuer's name and the number, or the subject key identifier.
    _signer: tuple[Any, int] | bytes
    _digest: Hash | None
    _message_digest: bytes
    _signed: SignedContent

    @property
    def signer_fingerprints(self) -> tuple[str, ...]:
        """Fingerprints (lower-case hex SHA-256) of certificates that its signer may have: the one
        that it names by SHA-256, or else all that came with it."""
        named = tuple(one.digest.hex() for one in self._references if one.algorithm == oids.SHA256)
        return named or tuple(fingerprint_of(der) for der in self.certificates)

    def is_over(
        self, hasher: Hasher, *, data: bytes | None = None, digest: bytes | None = None
    ) -> bool:
        """Return whether its imprint is that of the data, or is this digest. Raises
        TooMuchToHash."""
        function = HASHES.get(self._imprint_algorithm)
        if function is None or len(self._imprint) != function.digest_length:
            return False
        return self._imprint == (digest if data is None else hasher.digest(function, data))

    def names(self, der: bytes, hasher: Hasher) -> bool:
        """Return whether every reference to the signer's certificate means this one. Raises
        TooMuchToHash."""
        try:
            check_bounds(der)
            certificate = decode(der)
            return self._is_signer(certificate) and all(
                reference.names(der, certificate, hasher) for reference in self._references
            )
        except TooMuchToHash:
            raise
        except Exception as error:  # asn1crypto decodes lazily, so it fails at any access
            log_unforeseen("a time-stamp's signer", der, error)
            return False

    def _is_signer(self, certificate: Any) -> bool:
        if not isinstance(self._signer, tuple):
            return bool(certificate.key_identifier == self._signer)
        issuer, serial_number = self._signer
        return serial_number == certificate.serial_number and same_name(issuer, certificate.issuer)

    def is_signed_by(self, der: bytes, hasher: Hasher) -> bool:
        """Return whether the certificate's key signed it; False if it cannot be verified. Raises
        TooMuchToHash."""
        try:
            spki = certificate_spki(der)
        except MalformedKey:
            return False
        if (
            self._digest is None
            or hasher.digest(self._digest, self._content) != self._message_digest
        ):
            return False
        if self._signed.algorithm in _BY_STREEBOG:
            hasher.count(Hash.STREEBOG512, len(self._signed.content))
        return self._signed.is_signed_by(spki)


def may_stamp(der: bytes) -> bool:
    """Return whether the certificate is for time-stamping only (RFC 3161, section 2.3): that is its
    one purpose, critical, and its key usage, if present, is signing only."""
    try:
        extensions = load(der).extensions
    except NotACertificate:
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


def read_token(data: bytes) -> TimeStamp:
    """Read a TimeStampToken, or the one in a TimeStampResp. Raises MalformedTimeStamp."""
    if len(data) > TOKEN_LIMIT_BYTES:
        raise MalformedTimeStamp("too large")
    try:
        return _read(_signed_data(data))
    except MalformedTimeStamp:
        raise
    except Exception as error:  # asn1crypto decodes lazily, so it fails at any access
        log_unforeseen("a time-stamp", data, error)
        raise MalformedTimeStamp(f"cannot be decoded: {type(error).__name__}") from None


def _signed_data(data: bytes) -> Any:
    first = parser.peek(data) and parser.parse(data)[4][:1]
    if first == bytes([SEQUENCE]):
        response = tsp.TimeStampResp.load(data, strict=True)
        if response["status"]["status"].native not in _GRANTED:
            raise MalformedTimeStamp("a response without a token")
        token = response["time_stamp_token"]
    else:
        token = cms.ContentInfo.load(data, strict=True)
    if token["content_type"].dotted != oids.SIGNED_DATA:
        raise MalformedTimeStamp("not SignedData")
    signed_data = token["content"]
    if signed_data["version"].native == "v1":
        # PKCS#7 (RFC 5652, section 5.2.1).
        raise MalformedTimeStamp("PKCS#7, not CMS")
    return signed_data


def _read(signed_data: Any) -> TimeStamp:
    wrapped = signed_data["encap_content_info"]
    if wrapped["content_type"].dotted != oids.TST_INFO:
        raise MalformedTimeStamp("not a TSTInfo")
    content = bytes(wrapped["content"])
    if len(signed_data["signer_infos"]) != 1:
        raise MalformedTimeStamp("not exactly one signature (RFC 3161, section 2.4.2)")
    signer = signed_data["signer_infos"][0]
    # The signature is over the attributes encoded as a SET (RFC 5652, section 5.4), as they came.
    attributes = Reader(signer["signed_attrs"].dump()).value(_SIGNED_ATTRIBUTES)
    values = _attributes(Reader(attributes))
    if values[oids.CONTENT_TYPE].object_identifier() != oids.TST_INFO:
        raise MalformedTimeStamp("signed as another content type")
    info = tsp.TSTInfo.load(content, strict=True)
    if info["version"].native != "v1" or any(one["critical"].native for one in info["extensions"]):
        raise MalformedTimeStamp("an unknown version or critical extension")
    serial_number = int(info["serial_number"].native)
    if serial_number.bit_length() > SERIAL_LIMIT_BITS:
        raise MalformedTimeStamp("the serial number is too long")
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
        _references=_references(values),
        _signer=_signer(signer["sid"]),
        _digest=hash_,
        _message_digest=values[oids.MESSAGE_DIGEST].value(OCTET_STRING),
        _signed=_signature(signer, hash_, encode(_SET, attributes)),
    )


def _attributes(attributes: Reader) -> dict[str, Reader]:
    """Return the value of each attribute that is read, by OID. Each may stand once, with one value
    (RFC 5652, section 11). Raises MalformedDer or MalformedTimeStamp."""
    found: dict[str, Reader] = {}
    while not attributes.at_end():
        attribute = attributes.sequence()
        oid = attribute.object_identifier()
        values = attribute.value(_SET)
        attribute.end()
        if oid not in _READ_ATTRIBUTES:
            continue
        if oid in found:
            raise MalformedTimeStamp("an attribute stands twice")
        one = Reader(values)
        one.any()
        one.end()
        found[oid] = Reader(values)
    return found


def _references(values: Mapping[str, Reader]) -> tuple[_Reference, ...]:
    """Return the references to the signer's certificate: the first that each attribute names
    (RFC 5035, sections 3 and 4)."""
    found = []
    if oids.SIGNING_CERTIFICATE in values:
        first = values[oids.SIGNING_CERTIFICATE].sequence().sequence().sequence()
        found.append(_reference(first, oids.SHA1))
    if oids.SIGNING_CERTIFICATE_V2 in values:
        first = values[oids.SIGNING_CERTIFICATE_V2].sequence().sequence().sequence()
        algorithm = oids.SHA256
        if first.next_tag() == SEQUENCE:
            algorithm, _ = read_algorithm(first.sequence())
        found.append(_reference(first, algorithm))
    if not found:
        raise MalformedTimeStamp("the signer's certificate is not named")
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


def _signature(signer: Any, hash_: Hash | None, signed: bytes) -> SignedContent:
    encoded = Reader(signer["signature_algorithm"].dump()).sequence()
    algorithm, parameters = read_algorithm(encoded)
    completed = _WITH_DIGEST.get((algorithm, hash_))
    if completed is not None:
        algorithm, parameters = completed, None
    return SignedContent(signed, algorithm, parameters, signer["signature"].native)


def _certificates(choices: Any) -> tuple[bytes, ...]:
    if len(choices) > CERTIFICATES_LIMIT:
        raise MalformedTimeStamp("too many certificates")
    return tuple(choice.chosen.dump() for choice in choices if choice.name == "certificate")


def _time(text: str) -> datetime:
    """Parse a GeneralizedTime in UTC, to the microsecond (RFC 3161, section 2.4.2)."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedTimeStamp("not a time in UTC")
    moment = datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return moment.replace(microsecond=int(((match[2] or "") + "000000")[:6]))
