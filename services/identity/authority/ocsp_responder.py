"""OCSP (RFC 6960) for the platform's own certificates: reading requests, signing responses.

cryptography's OCSPResponseBuilder answers exactly one CertID, and our requests may have several
(openssl and proxies send such). So responses are built with asn1crypto, and requests are read by
our strict DER reader: each CertID is returned byte for byte, since clients find their answer by
comparing it. The issuing authority signs its responses itself.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from asn1crypto import algos, core, ocsp, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.identity.x509.issuing import CertificateAuthority
from services.identity.x509.revocation_reasons import RevocationReason
from signatures import oids
from signatures.der import INTEGER, OCTET_STRING, MalformedDer, Reader

# A client asks about one certificate, a proxy about a few.
REQUEST_LIMIT_BYTES = 16 * 1024
LIFETIME = timedelta(minutes=5)
# RFC 9654, section 2.1.
NONCE_LIMIT_BYTES = 128

_HASHES: dict[str, hashes.HashAlgorithm] = {
    # SHA-1 only identifies the issuer; RFC 5019 and most clients use it.
    oids.SHA1: hashes.SHA1(),  # noqa: S303
    oids.SHA256: hashes.SHA256(),
    oids.SHA384: hashes.SHA384(),
    oids.SHA512: hashes.SHA512(),
}
# asn1crypto's name for id-pkix-ocsp-nonce.
_NONCE = "nonce"
# Context tags: version or singleRequestExtensions, requestorName, requestExtensions.
_TAG_0, _TAG_1, _TAG_2 = 0xA0, 0xA1, 0xA2
_BOOLEAN, _TRUE = 0x01, b"\xff"


class MalformedRequest(ValueError):
    """Bytes that are not an OCSP request, or one with an unknown critical extension."""


@dataclass(frozen=True, slots=True)
class CertId:
    """Which certificate a request is about."""

    encoded: bytes
    hash_oid: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


@dataclass(frozen=True, slots=True)
class OcspRequest:
    """The certificates that a request is about, and its nonce (the extension's value) or None."""

    certificates: tuple[CertId, ...]
    nonce: bytes | None


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """The revocation of a certificate of this authority; the time is None if it is not revoked."""

    revoke_time: datetime | None
    reason: RevocationReason


def read_request(data: bytes) -> OcspRequest:
    """Read an OCSPRequest, DER. Raises MalformedRequest.

    A signature on the request is ignored (RFC 6960, section 4.1.2, allows it): responses are
    public.
    """
    if len(data) > REQUEST_LIMIT_BYTES:
        raise MalformedRequest("too large")
    try:
        whole = Reader(data)
        request = whole.sequence()
        whole.end()
        tbs_request = request.sequence()
        if not request.at_end():
            request.value(_TAG_0)
            request.end()
        if tbs_request.next_tag() == _TAG_0:
            tbs_request.value(_TAG_0)
        if tbs_request.next_tag() == _TAG_1:
            tbs_request.value(_TAG_1)
        items = tbs_request.sequence()
        certificates = []
        while not items.at_end():
            certificates.append(_read_cert_id(items.sequence()))
        nonce = None
        if not tbs_request.at_end():
            nonce = _read_extensions(tbs_request.value(_TAG_2))
            tbs_request.end()
    except MalformedDer as error:
        raise MalformedRequest("not an OCSP request") from error
    if not certificates:
        raise MalformedRequest("about no certificate")
    return OcspRequest(tuple(certificates), nonce)


def _read_cert_id(request: Reader) -> CertId:
    tag, content, encoded = request.any()
    if tag != ocsp.CertId.tag | 0x20:
        raise MalformedDer("not a CertID")
    if not request.at_end():
        _read_extensions(request.value(_TAG_0))
        request.end()
    fields = Reader(content)
    algorithm = fields.sequence()
    oid = algorithm.object_identifier()
    name_hash, key_hash = fields.value(OCTET_STRING), fields.value(OCTET_STRING)
    serial = fields.value(INTEGER)
    fields.end()
    if not serial:
        raise MalformedDer("an empty INTEGER")
    return CertId(encoded, oid, name_hash, key_hash, int.from_bytes(serial, "big", signed=True))


def _read_extensions(data: bytes) -> bytes | None:
    """Return the nonce among Extensions. Raises MalformedRequest for an unknown critical one."""
    outer = Reader(data)
    extensions = outer.sequence()
    outer.end()
    nonce = None
    while not extensions.at_end():
        extension = extensions.sequence()
        oid = extension.object_identifier()
        critical = False
        if extension.next_tag() == _BOOLEAN:
            critical = extension.value(_BOOLEAN) == _TRUE
        value = extension.value(OCTET_STRING)
        extension.end()
        if oid == oids.OCSP_NONCE:
            _check_nonce(value)
            nonce = value
        elif critical:
            raise MalformedRequest("an unknown critical extension")
    return nonce


def _check_nonce(value: bytes) -> None:
    """Raise MalformedRequest for a nonce of no octet or of too many."""
    inner = Reader(value)
    nonce = inner.value(OCTET_STRING)
    inner.end()
    if not 1 <= len(nonce) <= NONCE_LIMIT_BYTES:
        raise MalformedRequest("a nonce of another length")


def decode_address(text: str) -> bytes:
    """Return the request that a GET's path carries in base64 (RFC 6960, appendix A.1). Raises
    MalformedRequest."""
    if len(text) > REQUEST_LIMIT_BYTES:
        raise MalformedRequest("too long")
    try:
        return base64.b64decode(unquote(text), validate=True)
    except ValueError:
        raise MalformedRequest("not base64") from None


def names_issuer(cert_id: CertId, authority: CertificateAuthority) -> bool:
    """Return whether the CertID is that of a certificate by this authority."""
    algorithm = _HASHES.get(cert_id.hash_oid)
    if algorithm is None:
        return False
    key = authority.certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("the issuing authority's key is elliptic")
    # The key's bits, without the BIT STRING's tag, length and unused bits (section 4.1.1).
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return (cert_id.issuer_name_hash, cert_id.issuer_key_hash) == (
        _digest(algorithm, authority.certificate.subject.public_bytes()),
        _digest(algorithm, point),
    )


def sign_response(
    authority: CertificateAuthority,
    request: OcspRequest,
    issued: Mapping[int, IssuedCertificate],
    now: datetime,
) -> bytes:
    """Return the signed OCSPResponse, DER.

    issued: the authority's certificates among those of the request, by serial number. All others
    are answered "unknown".
    """
    now = now.replace(microsecond=0)
    certificate = x509.Certificate.load(authority.certificate.public_bytes(Encoding.DER))
    answers = []
    for cert_id in request.certificates:
        found = issued.get(cert_id.serial_number) if names_issuer(cert_id, authority) else None
        answers.append(
            {
                "cert_id": ocsp.CertId.load(cert_id.encoded),
                "cert_status": _cert_status(found),
                "this_update": now,
                "next_update": now + LIFETIME,
            }
        )
    response_data = ocsp.ResponseData(
        {
            "responder_id": ocsp.ResponderId("by_key", certificate.public_key.sha1),
            "produced_at": now,
            "responses": answers,
        }
    )
    if request.nonce is not None:
        value = core.ParsableOctetString(request.nonce)
        response_data["response_extensions"] = [{"extn_id": _NONCE, "extn_value": value}]
    basic = ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": response_data,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
            "signature": authority.key.sign(response_data.dump(), ec.ECDSA(hashes.SHA256())),
            "certs": [certificate],
        }
    )
    response = {"response_type": "basic_ocsp_response", "response": basic}
    whole = ocsp.OCSPResponse({"response_status": "successful", "response_bytes": response})
    encoded: bytes = whole.dump()
    return encoded


def error_response(status: str) -> bytes:
    """Return an unsigned OCSPResponse, DER: "malformed_request" or "unauthorized"."""
    encoded: bytes = ocsp.OCSPResponse({"response_status": status}).dump()
    return encoded


def _cert_status(found: IssuedCertificate | None) -> ocsp.CertStatus:
    if found is None:
        return ocsp.CertStatus("unknown", core.Null())
    if found.revoke_time is None:
        return ocsp.CertStatus("good", core.Null())
    info: dict[str, object] = {"revocation_time": found.revoke_time.replace(microsecond=0)}
    # "unspecified" is said by leaving the reason out (RFC 5280, section 5.3.1).
    if found.reason is not RevocationReason.UNSPECIFIED:
        info["revocation_reason"] = found.reason.asn1_name
    return ocsp.CertStatus("revoked", ocsp.RevokedInfo(info))


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
