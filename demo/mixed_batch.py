"""Make a batch of signatures of mixed algorithms, some of them spoiled, with each verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa, utils
from cryptography.x509.oid import NameOID

from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.credentials import Credential
from qagazsyz.signing.v1 import verification_pb2

Algorithm = signatures_pb2.SignatureAlgorithm
Verdict = signatures_pb2.Verdict

MESSAGE_BYTES = 256
# Signatures that are spoiled in each way.
SPOILED_OF_EACH = 5


@dataclass(frozen=True, slots=True)
class MixedBatch:
    """A request, and the verdict that each of its items must get."""

    request: verification_pb2.BatchVerifyRequest
    expected: Sequence[int]

    @property
    def spoiled(self) -> list[int]:
        """The indexes of the items that must not be valid."""
        return [i for i, verdict in enumerate(self.expected) if verdict != Verdict.VERDICT_VALID]


@dataclass(frozen=True, slots=True)
class _Kind:
    """An algorithm: its items of ten thousand, its number of signers, and how to sign with it."""

    algorithm: int
    share: int
    signers: int
    make_key: Callable[[], Any]
    sign: Callable[[Any, bytes], bytes]


def _ecdsa(hash_: hashes.HashAlgorithm) -> Callable[[Any, bytes], bytes]:
    return lambda key, message: bytes(key.sign(message, ec.ECDSA(hash_)))


def _p1363(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _pss(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return key.sign(message, scheme, hashes.SHA256())


def _plain(key: Any, message: bytes) -> bytes:
    return bytes(key.sign(message))


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


_P256, _P384, _P521 = ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()
_KINDS = (
    _Kind(
        Algorithm.SIGNATURE_ALGORITHM_ED25519,
        4500, 16, ed25519.Ed25519PrivateKey.generate, _plain,
    ),
    _Kind(
        Algorithm.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363,
        1500, 8, lambda: ec.generate_private_key(_P256), _p1363,
    ),
    _Kind(
        Algorithm.SIGNATURE_ALGORITHM_ECDSA_P384_SHA384,
        500, 4, lambda: ec.generate_private_key(_P384), _ecdsa(hashes.SHA384()),
    ),
    _Kind(
        Algorithm.SIGNATURE_ALGORITHM_ECDSA_P521_SHA512,
        250, 2, lambda: ec.generate_private_key(_P521), _ecdsa(hashes.SHA512()),
    ),
    _Kind(
        Algorithm.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256,
        750, 2, _rsa,
        lambda key, message: bytes(key.sign(message, padding.PKCS1v15(), hashes.SHA256())),
    ),
    _Kind(Algorithm.SIGNATURE_ALGORITHM_RSA_PSS_SHA256, 250, 2, _rsa, _pss),
    _Kind(
        Algorithm.SIGNATURE_ALGORITHM_ML_DSA_44,
        250, 2, mldsa.MLDSA44PrivateKey.generate, _plain,
    ),
)  # fmt: skip


def make_mixed_batch(certified: Sequence[Credential], count: int = 10_000) -> MixedBatch:
    """Make a batch of count items, 50 of them spoiled in ten ways; a fifth is by the certified."""
    request = verification_pb2.BatchVerifyRequest()
    for kind in _KINDS:
        first = len(request.signers)
        keys = [kind.make_key() for _ in range(kind.signers)]
        for key in keys:
            request.signers.add(public_key=_spki(key.public_key()))
        for i in range(count * kind.share // 10_000):
            message = _message(len(request.items))
            request.items.add(
                signer=first + i % kind.signers,
                algorithm=kind.algorithm,
                message=message,
                signature=kind.sign(keys[i % kind.signers], message),
            )
    first = len(request.signers)
    for credential in certified:
        request.signers.add(certificate=credential.certificate)
    while len(request.items) < count:
        i = len(request.items)
        message = _message(i)
        algorithm, signature = certified[i % len(certified)].sign(message)
        request.items.add(
            signer=first + i % len(certified),
            algorithm=algorithm,
            message=message,
            signature=signature,
        )
    return MixedBatch(request, _spoil(request))


def _message(number: int) -> bytes:
    head = f"Құжат № {number}: ".encode()
    return (head + hashlib.sha512(head).digest() * 4)[:MESSAGE_BYTES]


def _spki(key: Any) -> bytes:
    return bytes(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _spoil(request: verification_pb2.BatchVerifyRequest) -> list[int]:
    """Spoil items all over the batch, each way in turn; return the verdict of every item."""
    expected = [int(Verdict.VERDICT_VALID)] * len(request.items)
    total = len(_WAYS) * SPOILED_OF_EACH
    stranger = _stranger()
    request.signers.add(certificate=stranger.certificate)
    for number in range(total):
        algorithm, spoil = _WAYS[number % len(_WAYS)]
        place = number * len(request.items) // total
        # Take the next item of the way's algorithm that is not spoiled yet.
        while expected[place] != Verdict.VERDICT_VALID or (
            algorithm and request.items[place].algorithm != algorithm
        ):
            place = (place + 1) % len(request.items)
        expected[place] = spoil(request, request.items[place], stranger)
    return expected


def _stranger() -> Credential:
    """Make a credential with a certificate of an unknown issuer."""
    key = ec.generate_private_key(_P256)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Бейтаныс")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return Credential(certificate.public_bytes(serialization.Encoding.DER), key)


_Request = verification_pb2.BatchVerifyRequest
_Item = verification_pb2.SignedItem


def _other_message(_request: _Request, item: _Item, _stranger: Credential) -> int:
    item.message = bytes([item.message[0] ^ 1]) + item.message[1:]
    return Verdict.VERDICT_INVALID_SIGNATURE


def _other_signature(_request: _Request, item: _Item, _stranger: Credential) -> int:
    middle = len(item.signature) // 2
    changed = bytearray(item.signature)
    changed[middle] ^= 1
    item.signature = bytes(changed)
    return Verdict.VERDICT_INVALID_SIGNATURE


def _other_signer(_request: _Request, item: _Item, _stranger: Credential) -> int:
    # Ed25519's signers come first.
    item.signer = (item.signer + 1) % _KINDS[0].signers
    return Verdict.VERDICT_INVALID_SIGNATURE


def _cut_short(_request: _Request, item: _Item, _stranger: Credential) -> int:
    item.signature = item.signature[:-1]
    return Verdict.VERDICT_MALFORMED_SIGNATURE


def _one_byte_more(_request: _Request, item: _Item, _stranger: Credential) -> int:
    item.signature += b"\x00"
    return Verdict.VERDICT_MALFORMED_SIGNATURE


def _other_algorithm(_request: _Request, item: _Item, _stranger: Credential) -> int:
    item.algorithm = Algorithm.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256
    return Verdict.VERDICT_KEY_MISMATCH


def _no_such_signer(request: _Request, item: _Item, _stranger: Credential) -> int:
    item.signer = len(request.signers) + 7
    return Verdict.VERDICT_UNKNOWN_SIGNER


def _short_digest(_request: _Request, item: _Item, _stranger: Credential) -> int:
    item.digest = hashlib.sha256(item.message).digest()[:-1]
    return Verdict.VERDICT_MALFORMED_DIGEST


def _by_a_stranger(request: _Request, item: _Item, stranger: Credential) -> int:
    item.signer = len(request.signers) - 1
    item.algorithm, item.signature = stranger.sign(item.message)
    return Verdict.VERDICT_UNTRUSTED_SIGNER


def _no_algorithm(_request: _Request, item: _Item, _stranger: Credential) -> int:
    item.algorithm = Algorithm.SIGNATURE_ALGORITHM_UNSPECIFIED
    return Verdict.VERDICT_UNSUPPORTED_ALGORITHM


# The algorithm that each way of spoiling applies to (0: any), and the way.
_WAYS: tuple[tuple[int, Callable[[_Request, _Item, Credential], int]], ...] = (
    (Algorithm.SIGNATURE_ALGORITHM_ECDSA_P384_SHA384, _other_message),
    (Algorithm.SIGNATURE_ALGORITHM_RSA_PSS_SHA256, _other_signature),
    (Algorithm.SIGNATURE_ALGORITHM_ED25519, _other_signer),
    (Algorithm.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363, _cut_short),
    (Algorithm.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256, _one_byte_more),
    (Algorithm.SIGNATURE_ALGORITHM_ED25519, _other_algorithm),
    (0, _no_such_signer),
    (Algorithm.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256, _short_digest),
    (Algorithm.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256, _by_a_stranger),
    (0, _no_algorithm),
)
