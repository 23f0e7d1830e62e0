"""What an authority signs: certificates, revocation lists and OCSP answers have one outer form.

SEQUENCE { signed content, AlgorithmIdentifier, BIT STRING } (RFC 5280, sections 4.1 and 5.1;
RFC 6960, section 4.2.1). It is read here for the bytes as they came, because the signature is
over exactly those.
"""

from __future__ import annotations

from dataclasses import dataclass

from signatures.der import SEQUENCE, MalformedDer, Reader
from signatures.keys import MalformedKey, UnsupportedKey, certificate_spki
from signatures.x509 import verify_x509_signature


@dataclass(frozen=True, slots=True)
class SignedContent:
    """The signed bytes, the algorithm, and the signature; parameters (DER) are None if absent."""

    content: bytes
    algorithm: str
    parameters: bytes | None
    signature: bytes

    def is_signed_by(self, spki: bytes) -> bool:
        """Return whether the key made the signature; False if it cannot be verified."""
        try:
            return verify_x509_signature(
                spki, self.algorithm, self.parameters, self.content, self.signature
            )
        except (MalformedKey, UnsupportedKey):
            return False


def read_signed(der: bytes) -> SignedContent:
    """Split a certificate, a CRL or a BasicOCSPResponse. Raises MalformedDer."""
    outer = Reader(der)
    parts = outer.sequence()
    outer.end()
    tag, _, content = parts.any()
    if tag != SEQUENCE:
        raise MalformedDer("the signed content is not a SEQUENCE")
    algorithm, parameters = read_algorithm(parts.sequence())
    return SignedContent(content, algorithm, parameters, parts.bit_string())


def read_algorithm(reader: Reader) -> tuple[str, bytes | None]:
    """Return an AlgorithmIdentifier's dotted OID and its parameters' DER, None if absent. Raises
    MalformedDer."""
    algorithm = reader.object_identifier()
    parameters = None if reader.at_end() else reader.any()[2]
    reader.end()
    return algorithm, parameters


def is_issued_by(der: bytes, issuer: bytes) -> bool:
    """Return whether the issuer's key signed the certificate, both DER; check nothing else."""
    try:
        return read_signed(der).is_signed_by(certificate_spki(issuer))
    except (MalformedDer, MalformedKey):
        return False
