"""Verify the signatures of certificates, CRLs and OCSP responses, by the OID they name.

Path validation uses this. X.509 names the hash and leaves the curve to the key, so it has pairs
(P-256 with SHA-384, say) that the contract's algorithms have not. Trust is not checked here.
"""

from __future__ import annotations

from functools import cache
from itertools import product

from qagazsyz.signing.v1.verification_pb2 import SignedItem, Signer, VerifyRequest
from signatures import oids
from signatures.algorithms import Algorithm, Encoding, Hash, KeyKind, Scheme, Verdict
from signatures.backend import Backend
from signatures.der import INTEGER, NULL, SEQUENCE, MalformedDer, Reader, encode, encode_oid
from signatures.keys import MalformedKey, UnsupportedKey, load_public_key
from signatures.loading import load_backend
from signatures.portable import verify_scheme

_DER_NULL = encode(NULL, b"")
_ABSENT_OR_NULL = frozenset({None, _DER_NULL})
_ABSENT: frozenset[bytes | None] = frozenset({None})

_ECDSA_HASHES = {
    oids.ECDSA_SHA256: Hash.SHA256,
    oids.ECDSA_SHA384: Hash.SHA384,
    oids.ECDSA_SHA512: Hash.SHA512,
}
_CURVES = (KeyKind.P256, KeyKind.P384, KeyKind.P521)

_PLAIN = {
    oids.ML_DSA_44: Scheme(KeyKind.ML_DSA_44, None, Encoding.PLAIN),
    oids.ML_DSA_65: Scheme(KeyKind.ML_DSA_65, None, Encoding.PLAIN),
    oids.ML_DSA_87: Scheme(KeyKind.ML_DSA_87, None, Encoding.PLAIN),
}

# Authorities write NULL, or nothing, here; RFC 4055 has takers accept both.
_NULLABLE = {
    oids.RSA_SHA256: Scheme(KeyKind.RSA, Hash.SHA256, Encoding.PKCS1),
    oids.RSA_SHA384: Scheme(KeyKind.RSA, Hash.SHA384, Encoding.PKCS1),
    oids.RSA_SHA512: Scheme(KeyKind.RSA, Hash.SHA512, Encoding.PKCS1),
}

# Verified by the kernel if it is installed; with the parameters that are allowed. For GOST, pure
# Python takes ten milliseconds a signature and half a minute to hash a CRL of ten megabytes, and
# holds the GIL meanwhile; Kazakhstan's authorities write NULL as its parameters, RFC 9215 nothing.
# For Ed25519, Python needs a library that is installed only where the kernel is not.
_BY_BACKEND = {
    oids.ED25519: (Algorithm.ED25519, _ABSENT),
    oids.TC26_GOST_256_STREEBOG256: (Algorithm.GOST3410_2012_256, _ABSENT_OR_NULL),
    oids.TC26_GOST_512_STREEBOG512: (Algorithm.GOST3410_2012_512, _ABSENT_OR_NULL),
    oids.KZ_GOST_256_STREEBOG256: (Algorithm.GOST3410_2012_256, _ABSENT_OR_NULL),
    oids.KZ_GOST_512_STREEBOG512: (Algorithm.GOST3410_2012_512, _ABSENT_OR_NULL),
}

_HASH_OIDS = {
    Hash.SHA256: oids.SHA256,
    Hash.SHA384: oids.SHA384,
    Hash.SHA512: oids.SHA512,
}


def _pss_parameters() -> dict[bytes | None, Scheme]:
    """Return every accepted encoding of RSASSA-PSS-params (RFC 4055), with its scheme.

    MGF1 uses the same hash, and the salt is as long as the digest. The hash's own parameters may be
    NULL or absent, in either place.
    """
    known: dict[bytes | None, Scheme] = {}
    for name, oid in _HASH_OIDS.items():
        for first, second in product((_DER_NULL, b""), repeat=2):
            mask = encode_oid(oids.MGF1) + encode(SEQUENCE, encode_oid(oid) + second)
            parameters = (
                encode(0xA0, encode(SEQUENCE, encode_oid(oid) + first))
                + encode(0xA1, encode(SEQUENCE, mask))
                + encode(0xA2, encode(INTEGER, bytes([name.digest_length])))
            )
            known[encode(SEQUENCE, parameters)] = Scheme(KeyKind.RSA, name, Encoding.PSS)
    return known


_PSS = _pss_parameters()


def verify_x509_signature(
    issuer_spki: bytes,
    algorithm_oid: str,
    parameters: bytes | None,
    tbs: bytes,
    signature: bytes,
) -> bool:
    """Return whether `signature` is the issuer's over the bytes `tbs`.

    `parameters` is the DER of the algorithm's parameters, None if absent; `signature` is the BIT
    STRING's content. A key of another kind than the algorithm's gives False. Raises UnsupportedKey
    for an unsupported algorithm, parameters or key (GOST 34.310-2004 among them), and MalformedKey
    for a key that cannot be parsed.
    """
    if algorithm_oid in _BY_BACKEND:
        algorithm, allowed = _BY_BACKEND[algorithm_oid]
        if parameters not in allowed:
            raise UnsupportedKey(f"unsupported parameters of {algorithm_oid}")
        # Without load_public_key, which takes half a millisecond for a GOST key.
        return _verify_by_backend(issuer_spki, algorithm, tbs, signature)
    key = load_public_key(_plain_rsa(issuer_spki, algorithm_oid, parameters))
    scheme: Scheme | None = None
    allowed = _ABSENT
    if algorithm_oid in _ECDSA_HASHES:
        curve = key.kind if key.kind in _CURVES else KeyKind.P256
        scheme = Scheme(curve, _ECDSA_HASHES[algorithm_oid], Encoding.DER)
    elif algorithm_oid == oids.RSA_PSS:
        scheme = _PSS.get(parameters)
        allowed = frozenset({parameters})
    elif algorithm_oid in _PLAIN:
        scheme = _PLAIN[algorithm_oid]
    elif algorithm_oid in _NULLABLE:
        scheme = _NULLABLE[algorithm_oid]
        allowed = _ABSENT_OR_NULL
    if scheme is None or parameters not in allowed:
        raise UnsupportedKey(f"unsupported signature algorithm {algorithm_oid}")
    return verify_scheme(key, scheme, message=tbs, signature=signature) is Verdict.VALID


def _plain_rsa(spki: bytes, algorithm_oid: str, parameters: bytes | None) -> bytes:
    """Return a key marked id-RSASSA-PSS as an ordinary RSA key, and others as they are.

    Raises UnsupportedKey unless the signature is by PSS, and with the key's own parameters if it
    has some (RFC 4055, section 3.1; equality, where a longer salt would do too). Raises
    MalformedKey.
    """
    try:
        outer = Reader(spki)
        parts = outer.sequence()
        outer.end()
        algorithm = parts.sequence()
        if algorithm.object_identifier() != oids.RSA_PSS:
            return spki
        own = None if algorithm.at_end() else algorithm.any()[2]
        algorithm.end()
        _, _, key = parts.any()
        parts.end()
    except MalformedDer as error:
        raise MalformedKey(str(error)) from None
    if algorithm_oid != oids.RSA_PSS:
        raise UnsupportedKey("a key for RSASSA-PSS only")
    if own is not None and (own not in _PSS or _PSS[own] != _PSS.get(parameters)):
        raise UnsupportedKey("RSASSA-PSS with other parameters than the key's")
    return encode(SEQUENCE, encode(SEQUENCE, encode_oid(oids.RSA) + _DER_NULL) + key)


def _verify_by_backend(spki: bytes, algorithm: Algorithm, tbs: bytes, signature: bytes) -> bool:
    """Raises UnsupportedKey or MalformedKey."""
    verdict = _verdict(Signer(public_key=spki), int(algorithm), tbs, signature)
    if verdict == Verdict.MALFORMED_KEY:
        raise MalformedKey("not a key of this algorithm")
    if verdict == Verdict.UNSUPPORTED_ALGORITHM:
        raise UnsupportedKey("an unsupported key")
    return verdict == Verdict.VALID


def is_signed_by_certificate(
    certificate: bytes, algorithm: int, message: bytes, signature: bytes
) -> bool:
    """Return whether the certificate's key signed the message under the contract's algorithm;
    False if the key cannot be used. Trust is not checked."""
    verdict = _verdict(Signer(certificate=certificate), algorithm, message, signature)
    return verdict == Verdict.VALID


def is_signed_by_key(spki: bytes, algorithm: int, message: bytes, signature: bytes) -> bool:
    """Return whether the key (SubjectPublicKeyInfo, DER) signed the message under the contract's
    algorithm; False if the key cannot be used."""
    return _verdict(Signer(public_key=spki), algorithm, message, signature) == Verdict.VALID


def is_digest_signed_by_certificate(
    certificate: bytes, algorithm: int, digest: bytes, signature: bytes
) -> bool:
    """Return what is_signed_by_certificate does for the message of that digest, under the
    algorithm's hash function."""
    item = SignedItem(algorithm=algorithm, digest=digest, signature=signature)  # type: ignore[arg-type]
    return _verdict_of(Signer(certificate=certificate), item) == Verdict.VALID


def is_digest_signed_by_key(spki: bytes, algorithm: int, digest: bytes, signature: bytes) -> bool:
    """Return what is_signed_by_key does for the message of that digest, under the algorithm's hash
    function."""
    item = SignedItem(algorithm=algorithm, digest=digest, signature=signature)  # type: ignore[arg-type]
    return _verdict_of(Signer(public_key=spki), item) == Verdict.VALID


def _verdict(signer: Signer, algorithm: int, message: bytes, signature: bytes) -> int:
    item = SignedItem(
        algorithm=algorithm,  # type: ignore[arg-type]
        message=message,
        signature=signature,
    )
    return _verdict_of(signer, item)


def _verdict_of(signer: Signer, item: SignedItem) -> int:
    request = VerifyRequest(signer=signer, item=item)
    return _backend().parse_single(request.SerializeToString()).verify(0, 1)[0]


@cache
def _backend() -> Backend:
    return load_backend()
