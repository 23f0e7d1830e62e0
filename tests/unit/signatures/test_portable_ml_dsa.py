"""ML-DSA in the portable backend: pure, with an empty context."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa

from signatures.algorithms import Algorithm, Verdict
from signatures.keys import MalformedKey, MlDsaKey, load_public_key
from signatures.portable import verify
from tests.unit.signatures.builders import VECTORS, nist_records, spki

LEVELS: dict[int, tuple[Algorithm, str, Any]] = {
    44: (Algorithm.ML_DSA_44, "2.16.840.1.101.3.4.3.17", mldsa.MLDSA44PrivateKey),
    65: (Algorithm.ML_DSA_65, "2.16.840.1.101.3.4.3.18", mldsa.MLDSA65PrivateKey),
    87: (Algorithm.ML_DSA_87, "2.16.840.1.101.3.4.3.19", mldsa.MLDSA87PrivateKey),
}


@pytest.mark.parametrize("level", list(LEVELS))
def test_published_keys_sign_what_verifies_and_their_contexts_do_not(level: int) -> None:
    algorithm, oid, private_type = LEVELS[level]
    records = list(nist_records(f"asymmetric/MLDSA/kat_MLDSA_{level}_det_pure.rsp", "ctx"))
    for _, record in records[:10]:
        key = load_public_key(spki(oid, b"", bytes.fromhex(record["pk"])))
        assert isinstance(key, MlDsaKey)
        message = bytes.fromhex(record["msg"])
        published = bytes.fromhex(record["sm"])[: key.signature_length]
        private = private_type.from_seed_bytes(bytes.fromhex(record["xi"]))
        signature = private.sign(message)

        assert verify(key, algorithm, message=message, signature=signature) is Verdict.VALID
        # The published signatures have a context; ours is empty.
        assert (
            verify(key, algorithm, message=message, signature=published)
            is Verdict.INVALID_SIGNATURE
        )
        for spoiled in (bytes(len(signature)), b"\xff" * len(signature)):
            assert (
                verify(key, algorithm, message=message, signature=spoiled)
                is Verdict.INVALID_SIGNATURE
            )
        assert (
            verify(key, algorithm, message=message + b"\0", signature=signature)
            is Verdict.INVALID_SIGNATURE
        )
        for length in (0, len(signature) - 1):
            assert (
                verify(key, algorithm, message=message, signature=signature[:length])
                is Verdict.MALFORMED_SIGNATURE
            )
        assert (
            verify(key, algorithm, message=message, signature=signature + b"\0")
            is Verdict.MALFORMED_SIGNATURE
        )
        assert (
            verify(key, algorithm, digest=bytes(64), signature=signature)
            is Verdict.MALFORMED_DIGEST
        )
    assert len(records) >= 10


def test_a_published_subject_public_key_info_is_read() -> None:
    key = load_public_key((VECTORS / "asymmetric/MLDSA/mldsa44_pub.der").read_bytes())

    assert isinstance(key, MlDsaKey)


def test_a_key_of_another_level_s_length_is_malformed() -> None:
    with pytest.raises(MalformedKey):
        load_public_key(spki(LEVELS[44][1], b"", bytes(1952)))
    with pytest.raises(MalformedKey):
        load_public_key(spki(LEVELS[44][1], b"\5\0", bytes(1312)))
