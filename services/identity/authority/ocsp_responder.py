"""OCSP (RFC 6960) in the own authority's words: what is asked, and the signed answer.

Questions are read strictly, and their CertIDs are given back byte for byte, since a
client finds its answer by comparing them. One request may ask about several
certificates. The issuing authority signs its answers itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto import algos, core, ocsp, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.identity.x509.issuing import Issuer
from signatures.der import INTEGER, OCTET_STRING, MalformedDer, Reader

# A client asks about one certificate, a proxy about a few.
REQUEST_LIMIT_BYTES = 16 * 1024
LIFETIME = timedelta(minutes=5)

# RFC 5280, section 5.3.1; the contract's numbers are these plus one. The reason 0 is left out.
REASONS = {
    2: "key_compromise",
    3: "ca_compromise",
    4: "affiliation_changed",
    5: "superseded",
    6: "cessation_of_operation",
}

_HASHES: dict[str, hashes.HashAlgorithm] = {
    # Identifies the issuer and secures nothing; RFC 5019 and most clients use it.
    "1.3.14.3.2.26": hashes.SHA1(),  # noqa: S303
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_NONCE_OID = "1.3.6.1.5.5.7.48.1.2"
_NONCE = "nonce"
# Context tags: version or singleRequestExtensions, requestorName, requestExtensions.
_TAG_0, _TAG_1, _TAG_2 = 0xA0, 0xA1, 0xA2
_BOOLEAN, _TRUE = 0x01, b"\xff"


class MalformedQuestion(ValueError):
    """Bytes that are no OCSP request, or one that demands what is not known here."""


@dataclass(frozen=True, slots=True)
class CertId:
    """Which certificate is asked about."""

    encoded: bytes
    hash_oid: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


@dataclass(frozen=True, slots=True)
class Question:
    """A request: what it asks about, and the nonce (the extension's value) if it has one."""

    certificates: tuple[CertId, ...]
    nonce: bytes | None


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate that this authority has issued."""

    revoke_time: datetime | None
    reason: int


def parse(data: bytes) -> Question:
    """What the request asks. Raises MalformedQuestion.

    A signature on the request is passed over (RFC 6960, section 4.1.2, leaves that to us):
    what is told is public.
    """
    if len(data) > REQUEST_LIMIT_BYTES:
        raise MalformedQuestion("too large")
    try:
        whole = Reader(data)
        request = whole.sequence()
        whole.end()
        asked = request.sequence()
        if not request.at_end():
            request.value(_TAG_0)
            request.end()
        if asked.next_tag() == _TAG_0:
            asked.value(_TAG_0)
        if asked.next_tag() == _TAG_1:
            asked.value(_TAG_1)
        items = asked.sequence()
        certificates = []
        while not items.at_end():
            certificates.append(_certificate_id(items.sequence()))
        nonce = None
        if not asked.at_end():
            nonce = _extensions(asked.value(_TAG_2))
            asked.end()
    except MalformedDer as error:
        raise MalformedQuestion("no OCSP request") from error
    if not certificates:
        raise MalformedQuestion("asks about nothing")
    return Question(tuple(certificates), nonce)


def _certificate_id(request: Reader) -> CertId:
    tag, content, encoded = request.any()
    if tag != ocsp.CertId.tag | 0x20:
        raise MalformedDer("no CertID")
    if not request.at_end():
        _extensions(request.value(_TAG_0))
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


def _extensions(data: bytes) -> bytes | None:
    """The nonce among Extensions. Raises MalformedQuestion for another one that is critical."""
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
        if oid == _NONCE_OID:
            nonce = value
        elif critical:
            raise MalformedQuestion("a critical extension that is not known here")
    return nonce


def is_about(issuer: Issuer, asked: CertId) -> bool:
    """Whether the CertID names a certificate of this issuer."""
    algorithm = _HASHES.get(asked.hash_oid)
    if algorithm is None:
        return False
    key = issuer.certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("the issuing authority's key is elliptic")
    # The key's bits, without the BIT STRING's tag, length and unused bits (section 4.1.1).
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return (asked.issuer_name_hash, asked.issuer_key_hash) == (
        _digest(algorithm, issuer.certificate.subject.public_bytes()),
        _digest(algorithm, point),
    )


def answer(issuer: Issuer, question: Question, known: Mapping[int, Known], now: datetime) -> bytes:
    """The signed answer, DER; known: the issuer's certificates among those asked about, by serial
    number. Whatever else is asked about is unknown."""
    now = now.replace(microsecond=0)
    certificate = x509.Certificate.load(issuer.certificate.public_bytes(Encoding.DER))
    answers = []
    for asked in question.certificates:
        found = known.get(asked.serial_number) if is_about(issuer, asked) else None
        answers.append(
            {
                "cert_id": ocsp.CertId.load(asked.encoded),
                "cert_status": _status(found),
                "this_update": now,
                "next_update": now + LIFETIME,
            }
        )
    told = ocsp.ResponseData(
        {
            "responder_id": ocsp.ResponderId("by_key", certificate.public_key.sha1),
            "produced_at": now,
            "responses": answers,
        }
    )
    if question.nonce is not None:
        value = core.ParsableOctetString(question.nonce)
        told["response_extensions"] = [{"extn_id": _NONCE, "extn_value": value}]
    basic = ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": told,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
            "signature": issuer.key.sign(told.dump(), ec.ECDSA(hashes.SHA256())),
            "certs": [certificate],
        }
    )
    response = {"response_type": "basic_ocsp_response", "response": basic}
    whole = ocsp.OCSPResponse({"response_status": "successful", "response_bytes": response})
    encoded: bytes = whole.dump()
    return encoded


def refusal(status: str) -> bytes:
    """An answer that tells nothing but "malformed_request" or "unauthorized", DER."""
    encoded: bytes = ocsp.OCSPResponse({"response_status": status}).dump()
    return encoded


def _status(found: Known | None) -> ocsp.CertStatus:
    if found is None:
        return ocsp.CertStatus("unknown", core.Null())
    if found.revoke_time is None:
        return ocsp.CertStatus("good", core.Null())
    told: dict[str, object] = {"revocation_time": found.revoke_time.replace(microsecond=0)}
    if found.reason in REASONS:
        told["revocation_reason"] = REASONS[found.reason]
    return ocsp.CertStatus("revoked", ocsp.RevokedInfo(told))


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
