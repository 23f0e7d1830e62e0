"""Every published vector as one batch: the kernel says of each what the portable backend says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Algorithm, Verdict
from signatures.portable import PortableBackend
from tests.unit.signatures.builders import (
    VECTORS,
    contract_algorithm,
    dss,
    ec_spki,
    ed25519_spki,
    nist_records,
    rsa_spki,
    shared,
    spki,
)
from tests.unit.signatures.test_ed25519 import SPECCHECK

native = pytest.importorskip("signatures.native", reason="the native kernel is not built")

# Key (DER), algorithm, message, signature, and whether it holds where the publisher says.
Vector = tuple[bytes, Algorithm, bytes, bytes, bool | None]


def answers(vectors: list[Vector]) -> list[Verdict]:
    """The kernel's verdicts, after comparing them with the portable backend's and each alone."""
    request = verification_pb2.BatchVerifyRequest()
    for key, algorithm, message, signature, _ in vectors:
        item = request.items.add(signer=len(request.signers), message=message, signature=signature)
        item.algorithm = contract_algorithm(algorithm)
        request.signers.add(public_key=key)
    wire, count = request.SerializeToString(), len(vectors)
    batch = native.KernelBackend().parse_batch(wire)
    found = batch.verify(0, count)
    assert found == PortableBackend().parse_batch(wire).verify(0, count)
    assert found == b"".join(batch.verify(place, place + 1) for place in range(count))
    assert found == native.KernelBackend(threads=2).parse_batch(wire).verify(0, count)
    verdicts = [Verdict(number) for number in found]
    wrong = [
        place
        for place, (verdict, vector) in enumerate(zip(verdicts, vectors, strict=True))
        if vector[4] is not None and (verdict is Verdict.VALID) != vector[4]
    ]
    assert wrong == []
    return verdicts


def wycheproof(name: str, algorithm: Algorithm) -> Iterator[Vector]:
    for group in shared(f"wycheproof/{name}.json")["testGroups"]:
        for case in group["tests"]:
            yield (
                bytes.fromhex(group["publicKeyDer"]),
                algorithm,
                bytes.fromhex(case["msg"]),
                bytes.fromhex(case["sig"]),
                case["result"] == "valid",
            )


def ed25519_input() -> Iterator[Vector]:
    for line in (VECTORS / "asymmetric/Ed25519/sign.input").read_text().splitlines():
        _, key, message, signed, *_ = line.split(":")
        point, text = ed25519_spki(bytes.fromhex(key)), bytes.fromhex(message)
        yield point, Algorithm.ED25519, text, bytes.fromhex(signed)[:64], True
        yield point, Algorithm.ED25519, text + b"\0", bytes.fromhex(signed)[:64], False


def fips_ecdsa() -> Iterator[Vector]:
    sections = {
        "P-256,SHA-256": (256, Algorithm.ECDSA_P256_SHA256),
        "P-384,SHA-384": (384, Algorithm.ECDSA_P384_SHA384),
        "P-521,SHA-512": (521, Algorithm.ECDSA_P521_SHA512),
    }
    for section, record in nist_records("asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", "Result"):
        if section in sections:
            bits, algorithm = sections[section]
            width = (bits + 7) // 8
            x, y, r, s = (int(record[name], 16) for name in ("Qx", "Qy", "R", "S"))
            if max(x, y) >> 8 * width == 0:
                key = ec_spki(bits, b"\4" + x.to_bytes(width, "big") + y.to_bytes(width, "big"))
                holds = record["Result"].startswith("P")
                yield key, algorithm, bytes.fromhex(record["Msg"]), dss(r, s), holds


def fips_rsa(padding: str, file: str) -> Iterator[Vector]:
    hashes = {"SHA256", "SHA384", "SHA512"}
    for section, record in nist_records(f"asymmetric/RSA/FIPS_186-2/{file}", "Result"):
        if section in ("mod = 2048", "mod = 3072", "mod = 4096") and record["SHAAlg"] in hashes:
            key = rsa_spki(int(record["n"], 16), int(record["e"], 16))
            algorithm = Algorithm[f"RSA_{padding}_{record['SHAAlg']}"]
            # The file's exponents and salts are not all within our bounds.
            published = record["Result"].startswith("P")
            ours = int(record["e"], 16) < 2**33 and padding == "PKCS1"
            message, signature = bytes.fromhex(record["Msg"]), bytes.fromhex(record["S"])
            yield key, algorithm, message, signature, published if ours else None


def ml_dsa() -> Iterator[Vector]:
    for level, arc in ((44, 17), (65, 18), (87, 19)):
        name = f"asymmetric/MLDSA/kat_MLDSA_{level}_det_pure.rsp"
        for _, record in list(nist_records(name, "sm"))[:20]:
            key = spki(f"2.16.840.1.101.3.4.3.{arc}", b"", bytes.fromhex(record["pk"]))
            message = bytes.fromhex(record["msg"])
            signature = bytes.fromhex(record["sm"])
            signature = signature[: len(signature) - len(message)]
            # Ours has an empty context, and most of these have another.
            yield key, Algorithm[f"ML_DSA_{level}"], message, signature, None


@pytest.mark.parametrize(
    ("name", "algorithm", "count"),
    [
        ("ed25519_test", Algorithm.ED25519, 151),
        ("ecdsa_secp256r1_sha256_test", Algorithm.ECDSA_P256_SHA256, 484),
        ("ecdsa_secp256r1_sha256_p1363_test", Algorithm.ECDSA_P256_SHA256_P1363, 262),
        ("rsa_signature_2048_sha256_test", Algorithm.RSA_PKCS1_SHA256, 259),
    ],
)
def test_wycheproof(name: str, algorithm: Algorithm, count: int) -> None:
    assert len(answers(list(wycheproof(name, algorithm)))) == count


def test_ed25519_edge_cases() -> None:
    vectors: list[Vector] = [
        (
            ed25519_spki(bytes.fromhex(case["pub_key"])),
            Algorithm.ED25519,
            bytes.fromhex(case["message"]),
            bytes.fromhex(case["signature"]),
            None,
        )
        for case in shared("ed25519-speccheck/cases.json")
    ]
    assert answers(vectors) == SPECCHECK
    # Among many others, which go through the batch equation, the answers are the same.
    assert answers(vectors * 20) == SPECCHECK * 20


def test_kazakhstan_s_root_and_authority() -> None:
    names = "1.2.398.3.10.1.1.2.2"
    curve = bytes.fromhex("3016060a2a830e030a010102020106082a830e030a010303")
    vectors: list[Vector] = []
    for case in shared("gost/nca-gost2015-512.json")["vectors"]:
        point = bytes.fromhex(case["pubkey_x_le_hex"] + case["pubkey_y_le_hex"])
        key = spki(names, curve, b"\4\x81\x80" + point)
        message, signature = (bytes.fromhex(case[f]) for f in ("message_hex", "signature_wire_hex"))
        spoiled = signature[:-1] + bytes([signature[-1] ^ 1])
        vectors.append((key, Algorithm.GOST3410_2012_512, message, signature, True))
        vectors.append((key, Algorithm.GOST3410_2012_512, message[1:], signature, False))
        vectors.append((key, Algorithm.GOST3410_2012_512, message, spoiled, False))
    assert len(answers(vectors)) == 9


@pytest.mark.parametrize(
    ("vectors", "least"),
    [
        (ed25519_input(), 2048),
        (fips_ecdsa(), 40),
        (fips_rsa("PKCS1", "SigVer15_186-3.rsp"), 40),
        (fips_rsa("PSS", "SigVerPSS_186-3.rsp"), 40),
        (ml_dsa(), 60),
    ],
    ids=["Ed25519", "ECDSA", "RSA, PKCS#1", "RSA, PSS", "ML-DSA"],
)
def test_published_vectors(vectors: Iterator[Vector], least: int) -> None:
    assert len(answers(list(vectors))) >= least


# From its third use on, the kernel verifies by tables of an ECDSA key's multiples.
def test_published_vectors_hold_for_keys_that_come_again() -> None:
    vectors = [vector for vector in fips_ecdsa() for _ in range(4)]
    assert len(answers(vectors)) >= 160


def test_wycheproof_holds_for_keys_that_come_again() -> None:
    vectors = list(wycheproof("ecdsa_secp256r1_sha256_test", Algorithm.ECDSA_P256_SHA256))
    assert len(answers(vectors * 4)) == 4 * 484
