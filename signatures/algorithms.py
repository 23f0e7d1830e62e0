"""The algorithms and verdicts of the contract, and the key, hash and encoding of each algorithm.

The numbers are those of qagazsyz.common.v1; a test compares names and numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Algorithm(IntEnum):
    """A signature scheme, its hash and its encoding in one name."""

    ED25519 = 1
    ECDSA_P256_SHA256 = 2
    ECDSA_P384_SHA384 = 3
    ECDSA_P521_SHA512 = 4
    ECDSA_P256_SHA256_P1363 = 5
    ECDSA_P384_SHA384_P1363 = 6
    ECDSA_P521_SHA512_P1363 = 7
    RSA_PKCS1_SHA256 = 8
    RSA_PKCS1_SHA384 = 9
    RSA_PKCS1_SHA512 = 10
    RSA_PSS_SHA256 = 11
    RSA_PSS_SHA384 = 12
    RSA_PSS_SHA512 = 13
    GOST3410_2012_256 = 14
    GOST3410_2012_512 = 15
    ML_DSA_44 = 16
    ML_DSA_65 = 17
    ML_DSA_87 = 18


class Verdict(IntEnum):
    """The result for one item; do not accept a signature with any other verdict than VALID."""

    VALID = 1
    INVALID_SIGNATURE = 2
    MALFORMED_SIGNATURE = 3
    MALFORMED_KEY = 4
    KEY_MISMATCH = 5
    UNSUPPORTED_ALGORITHM = 6
    UNKNOWN_SIGNER = 7
    UNTRUSTED_SIGNER = 8
    MALFORMED_DIGEST = 9
    INDETERMINATE = 10
    MISSING_ROLE = 11
    INVALID_TIME_STAMP = 12


class KeyKind(Enum):
    """The kind of key that an algorithm needs."""

    ED25519 = "Ed25519"
    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    RSA = "RSA"
    GOST_256 = "GOST 34.10-2012, 256 bits"
    GOST_512 = "GOST 34.10-2012, 512 bits"
    ML_DSA_44 = "ML-DSA-44"
    ML_DSA_65 = "ML-DSA-65"
    ML_DSA_87 = "ML-DSA-87"


class Hash(Enum):
    """A hash function; its value is the digest's length in bytes and the name."""

    SHA256 = (32, "SHA-256")
    SHA384 = (48, "SHA-384")
    SHA512 = (64, "SHA-512")
    STREEBOG256 = (32, "Streebog-256")
    STREEBOG512 = (64, "Streebog-512")

    @property
    def digest_length(self) -> int:
        """Bytes of a digest."""
        return self.value[0]


class Encoding(Enum):
    """How a signature's bytes are read, for kinds of key that have several encodings."""

    PLAIN = "plain"
    DER = "DER"
    P1363 = "P1363"
    PKCS1 = "PKCS#1 v1.5"
    PSS = "PSS"


@dataclass(frozen=True, slots=True)
class Scheme:
    """Key, hash and encoding of one algorithm; no hash if it signs the message itself."""

    key: KeyKind
    hash: Hash | None
    encoding: Encoding


SCHEMES: dict[int, Scheme] = {
    Algorithm.ED25519: Scheme(KeyKind.ED25519, None, Encoding.PLAIN),
    Algorithm.ECDSA_P256_SHA256: Scheme(KeyKind.P256, Hash.SHA256, Encoding.DER),
    Algorithm.ECDSA_P384_SHA384: Scheme(KeyKind.P384, Hash.SHA384, Encoding.DER),
    Algorithm.ECDSA_P521_SHA512: Scheme(KeyKind.P521, Hash.SHA512, Encoding.DER),
    Algorithm.ECDSA_P256_SHA256_P1363: Scheme(KeyKind.P256, Hash.SHA256, Encoding.P1363),
    Algorithm.ECDSA_P384_SHA384_P1363: Scheme(KeyKind.P384, Hash.SHA384, Encoding.P1363),
    Algorithm.ECDSA_P521_SHA512_P1363: Scheme(KeyKind.P521, Hash.SHA512, Encoding.P1363),
    Algorithm.RSA_PKCS1_SHA256: Scheme(KeyKind.RSA, Hash.SHA256, Encoding.PKCS1),
    Algorithm.RSA_PKCS1_SHA384: Scheme(KeyKind.RSA, Hash.SHA384, Encoding.PKCS1),
    Algorithm.RSA_PKCS1_SHA512: Scheme(KeyKind.RSA, Hash.SHA512, Encoding.PKCS1),
    Algorithm.RSA_PSS_SHA256: Scheme(KeyKind.RSA, Hash.SHA256, Encoding.PSS),
    Algorithm.RSA_PSS_SHA384: Scheme(KeyKind.RSA, Hash.SHA384, Encoding.PSS),
    Algorithm.RSA_PSS_SHA512: Scheme(KeyKind.RSA, Hash.SHA512, Encoding.PSS),
    Algorithm.GOST3410_2012_256: Scheme(KeyKind.GOST_256, Hash.STREEBOG256, Encoding.PLAIN),
    Algorithm.GOST3410_2012_512: Scheme(KeyKind.GOST_512, Hash.STREEBOG512, Encoding.PLAIN),
    Algorithm.ML_DSA_44: Scheme(KeyKind.ML_DSA_44, None, Encoding.PLAIN),
    Algorithm.ML_DSA_65: Scheme(KeyKind.ML_DSA_65, None, Encoding.PLAIN),
    Algorithm.ML_DSA_87: Scheme(KeyKind.ML_DSA_87, None, Encoding.PLAIN),
}
