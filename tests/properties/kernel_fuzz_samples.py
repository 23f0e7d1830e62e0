"""Prints signatures/kernel/fuzz/samples.txt: signatures that hold, of every kind of key.

python -m tests.properties.kernel_fuzz_samples >signatures/kernel/fuzz/samples.txt
"""

from __future__ import annotations

from random import Random

from signatures.oids import TC26_CURVE_256_A, TC26_CURVE_256_B, TC26_CURVE_512_A
from tests.properties.kinds import Ed25519, Item, Rsa
from tests.properties.weierstrass import NIST_CURVES, Ecdsa, Gost

HEADER = """\
# What the fuzz target bends: algorithm by its number, message or digest, its bytes, the key's
# SubjectPublicKeyInfo, the signature. Written by tests/properties/kernel_fuzz_samples.py.
"""
OF_EACH = 4


def made() -> list[Item]:
    random = Random(1)
    kinds = (
        Ed25519(random),
        *(Ecdsa(random, bits) for bits in NIST_CURVES),
        *(Rsa(random, bits) for bits in (2048, 3072, 4096)),
        Gost(random, TC26_CURVE_256_A, is_kazakh=False),
        Gost(random, TC26_CURVE_256_B, is_kazakh=True),
        Gost(random, TC26_CURVE_512_A, is_kazakh=True),
    )
    return [kind.known() for kind in kinds for _ in range(OF_EACH)]


def line(item: Item) -> str:
    form = "digest" if item.is_digest else "message"
    words = (str(int(item.algorithm)), form, item.payload.hex(), item.spki.hex())
    return " ".join((*words, item.signature.hex()))


if __name__ == "__main__":
    print(HEADER + "\n".join(map(line, made())))
