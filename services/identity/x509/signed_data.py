"""What an authority signs: certificates, revocation lists and OCSP answers have one outer form.

SEQUENCE { what is signed, AlgorithmIdentifier, BIT STRING } (RFC 5280, sections
4.1 and 5.1; RFC 6960, section 4.2.1). Read here for its bytes as they came,
because a signature is over those and no others.
"""

from __future__ import annotations

from dataclasses import dataclass

from signatures.der import SEQUENCE, MalformedDer, Reader
from signatures.keys import MalformedKey, UnsupportedKey, certificate_spki
from signatures.x509 import verify_x509_signature


@dataclass(frozen=True, slots=True)
class Signed:
    """What is signed, how, and the signature; parameters are None where absent."""

    content: bytes
    algorithm: str
    parameters: bytes | None
    signature: bytes

    def holds(self, spki: bytes) -> bool:
        """Whether the key made the signature. What cannot be verified does not hold."""
        try:
            return verify_x509_signature(
                spki, self.algorithm, self.parameters, self.content, self.signature
            )
        except (MalformedKey, UnsupportedKey):
            return False


def signed(der: bytes) -> Signed:
    """The parts. Raises MalformedDer."""
    outer = Reader(der)
    parts = outer.sequence()
    outer.end()
    tag, _, content = parts.any()
    if tag != SEQUENCE:
        raise MalformedDer("what is signed is no SEQUENCE")
    algorithm, parameters = algorithm_identifier(parts.sequence())
    return Signed(content, algorithm, parameters, parts.bit_string())


def algorithm_identifier(reader: Reader) -> tuple[str, bytes | None]:
    """The dotted OID and the parameters' DER. Raises MalformedDer."""
    algorithm = reader.object_identifier()
    parameters = None if reader.at_end() else reader.any()[2]
    reader.end()
    return algorithm, parameters


def issued_by(der: bytes, issuer: bytes) -> bool:
    """Whether the issuer's key signed the certificate, both DER; nothing else is looked at."""
    try:
        return signed(der).holds(certificate_spki(issuer))
    except (MalformedDer, MalformedKey):
        return False
