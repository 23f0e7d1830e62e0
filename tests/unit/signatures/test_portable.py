"""The portable backend: the order of its verdicts, signers that are named, malformed requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.timestamp_pb2 import Timestamp

from qagazsyz.signing.v1 import verification_pb2
from signatures.algorithms import Algorithm, Verdict
from signatures.backend import MalformedRequest
from signatures.portable import PortableBackend
from tests.unit.signatures.builders import contract_algorithm, ed25519_spki, spki
from tests.work_queues import verify_together

ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(7, ec.SECP256R1())
MESSAGE = b"message"
UNSUPPORTED_SPKI = spki("1.3.101.113", b"", bytes(57))
SMALL_ORDER_SPKI = ed25519_spki((1).to_bytes(32, "little"))


def public(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signer(**source: Any) -> verification_pb2.Signer:
    return verification_pb2.Signer(**source)


def item(
    index: int = 0,
    algorithm: int = Algorithm.ED25519,
    signature: bytes | None = None,
    **payload: bytes,
) -> verification_pb2.SignedItem:
    made: dict[str, Any] = payload or {"message": MESSAGE}
    return verification_pb2.SignedItem(
        signer=index,
        algorithm=contract_algorithm(algorithm),
        signature=ED25519.sign(MESSAGE) if signature is None else signature,
        **made,
    )


def verdicts(
    signers: list[verification_pb2.Signer], items: list[verification_pb2.SignedItem]
) -> list[Verdict]:
    request = verification_pb2.BatchVerifyRequest(signers=signers, items=items)
    batch = PortableBackend().parse_batch(request.SerializeToString())
    return [Verdict(number) for number in batch.verify(0, batch.item_count)]


def test_a_bad_item_costs_its_own_verdict_only() -> None:
    good = item()
    bad = item(signature=ED25519.sign(b"another message"))

    assert verdicts([signer(public_key=public(ED25519))], [good, bad, good]) == [
        Verdict.VALID,
        Verdict.INVALID_SIGNATURE,
        Verdict.VALID,
    ]


def test_the_first_verdict_of_the_order_that_fits_is_given() -> None:
    signers = [
        signer(public_key=public(ED25519)),
        signer(),
        signer(public_key=UNSUPPORTED_SPKI),
        signer(public_key=SMALL_ORDER_SPKI),
        signer(public_key=b"junk"),
        signer(certificate=b"junk"),
        signer(key_version="keys/a/versions/1"),
    ]
    absent = item(signature=b"")
    absent.ClearField("payload")

    expected = [
        (item(7, algorithm=99, signature=b"", digest=b""), Verdict.UNKNOWN_SIGNER),
        (item(2**32 - 1), Verdict.UNKNOWN_SIGNER),
        (item(1, algorithm=99), Verdict.UNKNOWN_SIGNER),
        (item(6, algorithm=0), Verdict.UNKNOWN_SIGNER),
        (item(3, algorithm=0, signature=b""), Verdict.UNSUPPORTED_ALGORITHM),
        (item(0, algorithm=-1), Verdict.UNSUPPORTED_ALGORITHM),
        (item(0, algorithm=19), Verdict.UNSUPPORTED_ALGORITHM),
        (item(2, signature=b"", digest=b""), Verdict.UNSUPPORTED_ALGORITHM),
        (item(3, algorithm=2, signature=b"", digest=b""), Verdict.MALFORMED_KEY),
        (item(4, signature=b""), Verdict.MALFORMED_KEY),
        (item(5, signature=b""), Verdict.MALFORMED_KEY),
        (item(0, algorithm=2, signature=b"", digest=b""), Verdict.KEY_MISMATCH),
        (item(0, signature=b"", digest=bytes(64)), Verdict.MALFORMED_DIGEST),
        (absent, Verdict.MALFORMED_DIGEST),
        (item(0, signature=b""), Verdict.MALFORMED_SIGNATURE),
        (item(0, signature=ED25519.sign(b"")), Verdict.INVALID_SIGNATURE),
        (item(0, signature=ED25519.sign(b""), message=b""), Verdict.VALID),
    ]

    assert verdicts(signers, [made for made, _ in expected]) == [verdict for _, verdict in expected]


def test_signers_without_a_bare_key_are_named_and_take_one() -> None:
    request = verification_pb2.BatchVerifyRequest(
        signers=[
            signer(public_key=public(P256)),
            signer(certificate=b"der"),
            signer(key_version="keys/қол/versions/1"),
            signer(),
        ],
        items=[item(index) for index in range(4)],
        trust_policy=verification_pb2.TRUST_POLICY_SIGNATURE_ONLY,
        at=Timestamp(seconds=5, nanos=7),
    )
    batch = PortableBackend().parse_batch(request.SerializeToString())

    assert (batch.item_count, batch.signer_count) == (4, 4)
    assert (batch.trust_policy, batch.at) == (2, (5, 7))
    assert batch.named_signers() == [
        (1, 2, b"der"),
        (2, 3, "keys/қол/versions/1".encode()),
        (3, 0, b""),
    ]

    batch.set_key(1, None)
    batch.set_key(2, public(ED25519))
    batch.set_key(0, SMALL_ORDER_SPKI)
    with pytest.raises(IndexError):
        batch.set_key(4, None)

    assert list(batch.verify(0, 4)) == [
        Verdict.MALFORMED_KEY,
        Verdict.UNKNOWN_SIGNER,
        Verdict.VALID,
        Verdict.UNKNOWN_SIGNER,
    ]


def test_a_signature_that_holds_is_worth_what_its_signer_is() -> None:
    request = verification_pb2.BatchVerifyRequest(
        signers=[signer(public_key=public(ED25519))] * 2,
        items=[item(0), item(1), item(1, signature=b"")],
    )
    batch = PortableBackend().parse_batch(request.SerializeToString())

    batch.set_trust(1, Verdict.UNTRUSTED_SIGNER)

    assert list(batch.verify(0, 3)) == [
        Verdict.VALID,
        Verdict.UNTRUSTED_SIGNER,
        Verdict.MALFORMED_SIGNATURE,
    ]


def test_a_single_request_is_a_batch_of_one_whose_index_is_not_read() -> None:
    request = verification_pb2.VerifyRequest(
        signer=signer(public_key=public(P256)),
        item=item(
            9,
            algorithm=Algorithm.ECDSA_P256_SHA256,
            signature=P256.sign(MESSAGE, ec.ECDSA(hashes.SHA256())),
        ),
        at=Timestamp(seconds=1),
    )
    backend = PortableBackend()

    batch = backend.parse_single(request.SerializeToString())
    empty = backend.parse_single(b"")

    assert (batch.item_count, batch.signer_count, batch.at) == (1, 1, (1, 0))
    assert (empty.at, empty.named_signers()) == (None, [(0, 0, b"")])
    assert verify_together(backend, [batch, empty]) == [b"\1", bytes([Verdict.UNKNOWN_SIGNER])]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x0a",
        b"\x0a\x05\x0a",
        b"\xff" * 20,
        # A key version that is no UTF-8.
        verification_pb2.BatchVerifyRequest(signers=[signer(key_version="ab")])
        .SerializeToString()
        .replace(b"ab", b"\xff\xfe"),
    ],
)
def test_what_is_no_request_is_malformed(request_bytes: bytes) -> None:
    with pytest.raises(MalformedRequest):
        PortableBackend().parse_batch(request_bytes)
    with pytest.raises(MalformedRequest):
        PortableBackend().parse_single(b"\x0a" + bytes([len(request_bytes)]) + b"\x0a\xff")


def test_threads_that_share_a_batch_find_the_same() -> None:
    items = [item(index % 3, signature=b"" if index % 5 == 0 else None) for index in range(200)]
    keys = [public(ED25519), SMALL_ORDER_SPKI, public(ED25519)]
    request = verification_pb2.BatchVerifyRequest(
        signers=[signer(public_key=key) for key in keys], items=items
    )
    batch = PortableBackend().parse_batch(request.SerializeToString())
    alone = batch.verify(0, 200)
    shared = PortableBackend().parse_batch(request.SerializeToString())

    with ThreadPoolExecutor(4) as pool:
        chunks = list(pool.map(lambda start: shared.verify(start, start + 10), range(0, 200, 10)))

    assert b"".join(chunks) == alone
