"""A batch never changes an answer: each item gets what it gets alone."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Algorithm, Verdict
from signatures.gost.curves import TC26_512_A
from signatures.gost.streebog import streebog512
from signatures.keys import MalformedKey, UnsupportedKey, load_public_key
from signatures.portable import PortableBackend, verify
from tests.unit.signatures.builders import contract_algorithm, gost_sign, gost_spki, multiple

MESSAGE = b"message"


@cache
def signed() -> list[tuple[int, bytes, bytes]]:
    """Algorithm, key and a good signature of MESSAGE, one of each kind."""
    ed25519 = Ed25519PrivateKey.from_private_bytes(bytes(32))
    p256 = ec.derive_private_key(9, ec.SECP256R1())
    rsa_key = rsa.generate_private_key(65537, 2048)
    ml_dsa = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    r, s = gost_sign(TC26_512_A, 5, 7, streebog512(MESSAGE))

    def der(
        key: Ed25519PrivateKey
        | ec.EllipticCurvePrivateKey
        | rsa.RSAPrivateKey
        | mldsa.MLDSA44PrivateKey,
    ) -> bytes:
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    return [
        (Algorithm.ED25519, der(ed25519), ed25519.sign(MESSAGE)),
        (Algorithm.ECDSA_P256_SHA256, der(p256), p256.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))),
        (
            Algorithm.RSA_PKCS1_SHA256,
            der(rsa_key),
            rsa_key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()),
        ),
        (Algorithm.ML_DSA_44, der(ml_dsa), ml_dsa.sign(MESSAGE)),
        (
            Algorithm.GOST3410_2012_512,
            gost_spki("1.2.398.3.10.1.1.2.2", "1.2.398.3.10.1.1.2.2.1", multiple(TC26_512_A, 5)),
            r.to_bytes(64, "little") + s.to_bytes(64, "little"),
        ),
    ]


KINDS = st.integers(0, 4)
ITEMS = st.fixed_dictionaries(
    {
        "signer": st.one_of(KINDS, st.integers(5, 8)),
        "algorithm": st.one_of(st.none(), st.integers(-1, 20)),
        "flip": st.one_of(st.none(), st.integers(0, 63)),
        "cut": st.sampled_from([0, 0, 0, 1]),
        "payload": st.sampled_from(["message", "message", "other", "digest", "none"]),
    }
)


def build(recipe: dict[str, int | str | None]) -> verification_pb2.SignedItem:
    index = int(recipe["signer"] or 0)
    algorithm, _, signature = signed()[index % 5]
    if recipe["flip"] is not None:
        at = int(recipe["flip"])
        signature = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
    item = verification_pb2.SignedItem(
        signer=index, signature=signature[: len(signature) - int(recipe["cut"] or 0)]
    )
    chosen = algorithm if recipe["algorithm"] is None else int(recipe["algorithm"])
    item.algorithm = contract_algorithm(chosen)
    if recipe["payload"] in ("message", "other"):
        item.message = MESSAGE if recipe["payload"] == "message" else b"other"
    elif recipe["payload"] == "digest":
        item.digest = streebog512(MESSAGE)
    return item


def alone(signers: list[bytes], item: verification_pb2.SignedItem) -> Verdict:
    """The verdict of one item, by the order that the contract states."""
    if item.signer >= len(signers):
        return Verdict.UNKNOWN_SIGNER
    if int(item.algorithm) not in set(Algorithm):
        return Verdict.UNSUPPORTED_ALGORITHM
    try:
        key = load_public_key(signers[item.signer])
    except UnsupportedKey:
        return Verdict.UNSUPPORTED_ALGORITHM
    except MalformedKey:
        return Verdict.MALFORMED_KEY
    payload = item.WhichOneof("payload")
    return verify(
        key,
        item.algorithm,
        message=item.message if payload == "message" else None,
        digest=item.digest if payload == "digest" else None,
        signature=item.signature,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(ITEMS, max_size=12), st.integers(0, 12))
def test_a_batch_gives_the_verdicts_of_its_items_alone(
    recipes: list[dict[str, int | str | None]], cut: int
) -> None:
    # Two signers beyond the good ones: a key that cannot be read, and one of Ed448.
    keys = [key for _, key, _ in signed()] + [b"\x30\0", bytes.fromhex("300a300506032b6571030100")]
    items = [build(recipe) for recipe in recipes]
    request = verification_pb2.BatchVerifyRequest(
        signers=[verification_pb2.Signer(public_key=key) for key in keys], items=items
    )
    batch = PortableBackend().parse_batch(request.SerializeToString())

    verdicts = batch.verify(0, cut) + batch.verify(cut, len(items))

    assert list(verdicts) == [alone(keys, item) for item in items]
