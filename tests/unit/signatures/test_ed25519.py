"""Ed25519 by our rule: published edge cases, small orders, encodings that are refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signatures import ed25519
from signatures.algorithms import Algorithm, Verdict
from signatures.keys import MalformedKey, load_public_key
from signatures.portable import verify
from tests.unit.signatures.builders import VECTORS, ed25519_spki, shared

# "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko), table 5, by our rule: the keys of 0
# and 1 are of small order; 2 to 5 hold with the cofactor, though 4 and 5 do not without it; s of 6
# and 7 is not below L; R of 8 and 9 and the key of 10 and 11 are not canonical.
SPECCHECK = [
    Verdict.MALFORMED_KEY,
    Verdict.MALFORMED_KEY,
    Verdict.VALID,
    Verdict.VALID,
    Verdict.VALID,
    Verdict.VALID,
    Verdict.MALFORMED_SIGNATURE,
    Verdict.MALFORMED_SIGNATURE,
    Verdict.MALFORMED_SIGNATURE,
    Verdict.MALFORMED_SIGNATURE,
    Verdict.MALFORMED_KEY,
    Verdict.MALFORMED_KEY,
]

MESSAGE = b"Addressing certificate"


def verdict_of(point: bytes, message: bytes, signature: bytes) -> Verdict:
    try:
        key = load_public_key(ed25519_spki(point))
    except MalformedKey:
        return Verdict.MALFORMED_KEY
    return verify(key, Algorithm.ED25519, message=message, signature=signature)


def signed() -> tuple[bytes, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return public, private.sign(MESSAGE)


@pytest.mark.parametrize(("case", "expected"), list(enumerate(SPECCHECK)))
def test_published_edge_cases_have_the_answers_of_our_rule(case: int, expected: Verdict) -> None:
    vector = shared("ed25519-speccheck/cases.json")[case]

    assert (
        verdict_of(
            bytes.fromhex(vector["pub_key"]),
            bytes.fromhex(vector["message"]),
            bytes.fromhex(vector["signature"]),
        )
        is expected
    )


def test_published_signatures_hold_and_spoiled_ones_do_not() -> None:
    lines = (VECTORS / "asymmetric/Ed25519/sign.input").read_text().splitlines()[::8]
    for line in lines:
        _, key, message, signed_message, *_ = line.split(":")
        point, text = bytes.fromhex(key), bytes.fromhex(message)
        signature = bytes.fromhex(signed_message)[:64]

        assert verdict_of(point, text, signature) is Verdict.VALID
        assert verdict_of(point, text + b"\0", signature) is Verdict.INVALID_SIGNATURE

    assert len(lines) == 128


def test_points_of_small_order_are_no_keys_and_others_on_the_curve_are() -> None:
    for y in range(0, 2**255, 2**248):
        encoded = y.to_bytes(32, "little")
        if ed25519.is_on_curve(encoded):
            assert ed25519.is_key(encoded) == (y != 0)
    for y in (0, 1, ed25519.P - 1, *_ys_of_order_8()):
        for sign in (0, 1 << 255):
            assert not ed25519.is_key((y | sign).to_bytes(32, "little"))


def _ys_of_order_8() -> tuple[int, int]:
    """y of the points whose double has y = 0: x² = -y² turns the curve into dy⁴ + 2y² - 1 = 0."""
    p = ed25519.P
    d = -121665 * pow(121666, -1, p) % p
    # y² = (±sqrt(1 + d) - 1) / d; one of the two is a square.
    root = _sqrt(1 + d)
    assert root is not None
    for candidate in (root, p - root):
        y = _sqrt((candidate - 1) * pow(d, -1, p) % p)
        if y is not None:
            return y, p - y
    raise AssertionError("no y of order 8")


def _sqrt(square: int) -> int | None:
    p = ed25519.P
    root = pow(square, (p + 3) // 8, p)
    for candidate in (root, root * pow(2, (p - 1) // 4, p) % p):
        if (candidate * candidate - square) % p == 0:
            return candidate
    return None


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_malformed(length: int) -> None:
    public, signature = signed()

    assert verdict_of(public, MESSAGE, (signature * 2)[:length]) is Verdict.MALFORMED_SIGNATURE


def test_s_that_is_not_reduced_is_malformed() -> None:
    public, signature = signed()
    s = int.from_bytes(signature[32:], "little") + ed25519.L

    spoiled = signature[:32] + s.to_bytes(32, "little")

    assert verdict_of(public, MESSAGE, spoiled) is Verdict.MALFORMED_SIGNATURE


@pytest.mark.parametrize(
    "r",
    [
        ed25519.P.to_bytes(32, "little"),  # y = p, which stands for 0
        (ed25519.P + 1).to_bytes(32, "little"),
        (1 | 1 << 255).to_bytes(32, "little"),  # x = 0 with the sign
        (ed25519.P - 1 | 1 << 255).to_bytes(32, "little"),
        (2).to_bytes(32, "little"),  # of no point
    ],
)
def test_r_that_is_no_canonical_point_is_malformed(r: bytes) -> None:
    public, signature = signed()

    assert verdict_of(public, MESSAGE, r + signature[32:]) is Verdict.MALFORMED_SIGNATURE


def test_r_of_small_order_is_well_formed() -> None:
    public, signature = signed()
    neutral = (1).to_bytes(32, "little")

    assert verdict_of(public, MESSAGE, neutral + signature[32:]) is Verdict.INVALID_SIGNATURE


@pytest.mark.parametrize("y", [ed25519.P, ed25519.P + 3, 2])
def test_a_key_that_is_no_canonical_point_is_malformed(y: int) -> None:
    assert verdict_of(y.to_bytes(32, "little"), MESSAGE, bytes(64)) is Verdict.MALFORMED_KEY


def test_a_digest_is_not_for_ed25519() -> None:
    public, signature = signed()
    key = load_public_key(ed25519_spki(public))

    verdict = verify(key, Algorithm.ED25519, digest=bytes(64), signature=signature)

    assert verdict is Verdict.MALFORMED_DIGEST
