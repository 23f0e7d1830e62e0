"""Project Wycheproof's vectors: the portable backend finds valid exactly those that are."""

from __future__ import annotations

import pytest

from signatures.algorithms import Algorithm, Verdict
from signatures.keys import load_public_key
from signatures.portable import verify
from tests.unit.signatures.builders import shared


@pytest.mark.parametrize(
    ("name", "algorithm", "expected_count"),
    [
        ("ed25519_test", Algorithm.ED25519, 151),
        ("ecdsa_secp256r1_sha256_test", Algorithm.ECDSA_P256_SHA256, 484),
        ("ecdsa_secp256r1_sha256_p1363_test", Algorithm.ECDSA_P256_SHA256_P1363, 262),
        ("rsa_signature_2048_sha256_test", Algorithm.RSA_PKCS1_SHA256, 259),
    ],
)
def test_only_valid_vectors_are_valid(name: str, algorithm: Algorithm, expected_count: int) -> None:
    wrong, count = [], 0
    for group in shared(f"wycheproof/{name}.json")["testGroups"]:
        key = load_public_key(bytes.fromhex(group["publicKeyDer"]))
        for case in group["tests"]:
            verdict = verify(
                key,
                algorithm,
                message=bytes.fromhex(case["msg"]),
                signature=bytes.fromhex(case["sig"]),
            )
            count += 1
            # The one "acceptable" case leaves NULL out of PKCS#1's DigestInfo: refused.
            if (verdict is Verdict.VALID) != (case["result"] == "valid"):
                wrong.append((case["tcId"], case["comment"], verdict.name))

    assert wrong == []
    assert count == expected_count
