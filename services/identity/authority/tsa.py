"""The platform's own time-stamping authority (RFC 3161 with RFC 5816): a hash in, a token out.

Requests are read strictly. One that cannot be stamped is refused with the status and reason of RFC
3161 (section 2.4.2), never with an error of the call. A token states when the hash was seen here,
to the second at least; it names its certificate by SHA-256 (ESSCertIDv2), has a random serial
number, and is signed with a key that signs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from services.identity.x509.hash_oids import HASHES
from services.identity.x509.issuing import AuthorityKey, CertificateAuthority, serial_number
from services.identity.x509.signed_data import read_algorithm
from services.runtime.clock import Randomness
from signatures.algorithms import Hash
from signatures.der import (
    INTEGER,
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    MalformedDer,
    Reader,
    encode,
)
from signatures.hashing import digest

# A request with SHA-512, a policy and a nonce has about 150 bytes.
REQUEST_LIMIT_BYTES = 4 * 1024
# A host whose clock is kept by NTP is well within this.
ACCURACY_SECONDS = 1

_BOOLEAN, _FALSE, _TRUE = 0x01, b"\x00", b"\xff"
_EXTENSIONS = 0xA0
_NULL = encode(NULL, b"")

# PKIFailureInfo (RFC 3161, section 2.4.2), as asn1crypto names its bits.
BAD_ALGORITHM = "bad_alg"
BAD_REQUEST = "bad_request"
BAD_DATA_FORMAT = "bad_data_format"
TIME_NOT_AVAILABLE = "time_not_available"
UNACCEPTED_POLICY = "unaccepted_policy"
UNACCEPTED_EXTENSION = "unaccepted_extensions"


class Refusal(ValueError):
    """Why a request gets no token: one of PKIFailureInfo's reasons."""


@dataclass(frozen=True, slots=True)
class TimeStampRequest:
    """A TimeStampReq; the MessageImprint is DER as it came."""

    imprint: bytes
    nonce: int | None
    wants_certificates: bool


@dataclass(frozen=True, slots=True)
class TimeStampAuthority:
    """The authority's own certificate and key, its issuer's certificate, and the policy under which
    it stamps, a dotted OID."""

    certificate: x509.Certificate
    key: AuthorityKey
    issuer: x509.Certificate
    policy: str

    @classmethod
    def of(
        cls, own: CertificateAuthority, issuer: CertificateAuthority, policy: str
    ) -> TimeStampAuthority:
        return cls(own.certificate, own.key, issuer.certificate, policy)

    def answer(self, data: bytes, now: datetime, randomness: Randomness) -> bytes:
        """Return the TimeStampResp to a TimeStampReq, both DER. Takes about a millisecond."""
        try:
            request = read_request(data, self.policy)
            first, last = (
                self.certificate.not_valid_before_utc,
                self.certificate.not_valid_after_utc,
            )
            if not first <= now <= last:
                raise Refusal(TIME_NOT_AVAILABLE)
        except Refusal as refusal:
            status = tsp.PKIStatusInfo({"status": "rejection", "fail_info": {str(refusal)}})
            return encode(SEQUENCE, status.dump())
        info = self._info(request, now, randomness)
        token = self._token(info, with_certificates=request.wants_certificates)
        granted = tsp.PKIStatusInfo({"status": "granted"})
        return encode(SEQUENCE, granted.dump() + token)

    def _info(self, request: TimeStampRequest, now: datetime, randomness: Randomness) -> bytes:
        fields: dict[str, Any] = {
            "version": "v1",
            "policy": self.policy,
            "message_imprint": tsp.MessageImprint.load(request.imprint),
            "serial_number": serial_number(randomness),
            "gen_time": now,
            "accuracy": {"seconds": ACCURACY_SECONDS},
        }
        if request.nonce is not None:
            fields["nonce"] = request.nonce
        encoded: bytes = tsp.TSTInfo(fields).dump()
        return encoded

    def _token(self, info: bytes, *, with_certificates: bool) -> bytes:
        """Sign the TimeStampToken, DER: CMS SignedData (RFC 5652) with this one signature."""
        own, issuer = (
            asn1.Certificate.load(certificate.public_bytes(Encoding.DER))
            for certificate in (self.certificate, self.issuer)
        )
        named = {
            "cert_hash": digest(Hash.SHA256, own.dump()),
            "issuer_serial": {
                "issuer": [asn1.GeneralName("directory_name", own.issuer)],
                "serial_number": own.serial_number,
            },
        }
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [digest(Hash.SHA256, info)]},
                {"type": "signing_certificate_v2", "values": [{"certs": [named]}]},
            ]
        )
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                {"issuer": own.issuer, "serial_number": own.serial_number},
            ),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            # The signature is over their encoding as a SET (section 5.4).
            "signature": self.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        content: dict[str, Any] = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {
                "content_type": "tst_info",
                "content": core.ParsableOctetString(info),
            },
            "signer_infos": [signer],
        }
        if with_certificates:
            # The issuer's too, so that verifying needs the root only.
            content["certificates"] = [
                cms.CertificateChoices("certificate", certificate) for certificate in (own, issuer)
            ]
        token = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(content)})
        encoded: bytes = token.dump()
        return encoded


def read_request(data: bytes, policy: str) -> TimeStampRequest:
    """Read a TimeStampReq for an authority with this policy. Raises Refusal."""
    if len(data) > REQUEST_LIMIT_BYTES:
        raise Refusal(BAD_DATA_FORMAT)
    try:
        whole = Reader(data)
        request = whole.sequence()
        whole.end()
        if request.unsigned() != 1:
            raise Refusal(BAD_REQUEST)
        tag, content, imprint = request.any()
        if tag != SEQUENCE:
            raise MalformedDer("not a MessageImprint")
        _check_imprint(Reader(content))
        if request.next_tag() == OBJECT_IDENTIFIER and request.object_identifier() != policy:
            raise Refusal(UNACCEPTED_POLICY)
        nonce = _integer(request.value(INTEGER)) if request.next_tag() == INTEGER else None
        cert_req = _FALSE
        if request.next_tag() == _BOOLEAN:
            cert_req = request.value(_BOOLEAN)
        if cert_req not in (_FALSE, _TRUE):
            raise MalformedDer("not a BOOLEAN")
        if request.next_tag() == _EXTENSIONS:
            request.any()
            request.end()
            # No extension is supported, and those that are not critical count too (section 2.4.1).
            raise Refusal(UNACCEPTED_EXTENSION)
        request.end()
    except MalformedDer:
        raise Refusal(BAD_DATA_FORMAT) from None
    return TimeStampRequest(imprint, nonce, cert_req == _TRUE)


def _check_imprint(imprint: Reader) -> None:
    """Raise MalformedDer or Refusal unless it is a digest by an accepted hash function."""
    oid, parameters = read_algorithm(imprint.sequence())
    hashed = imprint.value(OCTET_STRING)
    imprint.end()
    function = HASHES.get(oid)
    if function is None or parameters not in (None, _NULL):
        raise Refusal(BAD_ALGORITHM)
    if len(hashed) != function.digest_length:
        raise Refusal(BAD_DATA_FORMAT)


def _integer(content: bytes) -> int:
    if not content:
        raise MalformedDer("an empty INTEGER")
    return int.from_bytes(content, "big", signed=True)
