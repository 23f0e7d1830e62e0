"""Signed texts that the service verifies for itself: by both backends, and real signatures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from qagazsyz.common.v1 import signatures_pb2
from services.runtime.errors import PermissionDenied, Unavailable
from services.signing.verification.requests import encode_batch
from services.signing.verification.scheduler import Scheduler
from services.signing.verification.signers import Signers
from services.signing.verification.texts import TextVerifier
from services.signing.verification.trust import CertificateStatus
from signatures.loading import load_backend
from tests.unit.signing.builders import NOW, FakeIdentity, TestKey, checked, citizen, good

ED25519 = signatures_pb2.SIGNATURE_ALGORITHM_ED25519


@pytest.fixture
def identity() -> FakeIdentity:
    return FakeIdentity()


@pytest.fixture(params=["kernel", "portable"])
async def verifier(
    request: pytest.FixtureRequest, identity: FakeIdentity
) -> AsyncIterator[TextVerifier]:
    if request.param == "kernel":
        pytest.importorskip("qagazsyz_kernel", exc_type=ImportError)
    backend = load_backend(request.param)

    async def find_public_keys(names: Sequence[str]) -> dict[str, bytes]:
        return {}

    scheduler = Scheduler(backend, threads=1, bytes_in_flight=1 << 20)
    signers = Signers(
        check_certificates=identity.check_certificates,
        inspect_certificates=identity.inspect_certificates,
        find_public_keys=find_public_keys,
        clock=lambda: NOW,
    )
    yield TextVerifier(backend, scheduler, signers)
    scheduler.close()


def signed(key: TestKey, certificate: bytes, text: bytes) -> signatures_pb2.SignedText:
    return signatures_pb2.SignedText(
        text=text, certificate=certificate, algorithm=ED25519, signature=key.private.sign(text)
    )


async def ask(verifier: TextVerifier, *texts: signatures_pb2.SignedText) -> list[str]:
    return await verifier.signers_of(encode_batch(texts), len(texts), citizen())


async def test_each_text_is_its_own_signers(verifier: TextVerifier, identity: FakeIdentity) -> None:
    first, second = TestKey(), TestKey()
    certificates = first.certificate(), second.certificate()
    identity.checks = {
        certificates[0]: good("subjects/clerk"),
        certificates[1]: good("subjects/aigerim"),
    }
    texts = [signed(first, certificates[0], b"one"), signed(second, certificates[1], b"two")]
    assert await ask(verifier, *texts) == ["subjects/clerk", "subjects/aigerim"]
    # One signer of both is found twice.
    texts[1] = signed(first, certificates[0], b"two")
    assert await ask(verifier, *texts) == ["subjects/clerk", "subjects/clerk"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: setattr(text, "text", b"other"),
        lambda text: setattr(text, "signature", bytes(64)),
        lambda text: setattr(text, "signature", b""),
        lambda text: setattr(text, "algorithm", 0),
        lambda text: setattr(text, "algorithm", 2),
        lambda text: setattr(text, "certificate", b"not a certificate"),
        lambda text: setattr(text, "certificate", TestKey().certificate()),
    ],
)
async def test_what_was_not_signed_is_refused(
    verifier: TextVerifier,
    identity: FakeIdentity,
    spoil: Callable[[signatures_pb2.SignedText], None],
) -> None:
    key = TestKey()
    certificate = key.certificate()
    identity.checks = {certificate: good("subjects/clerk")}
    right, wrong = signed(key, certificate, b"one"), signed(key, certificate, b"two")
    spoil(wrong)
    for texts in ((right, wrong), (wrong, right)):
        with pytest.raises(PermissionDenied):
            await ask(verifier, *texts)


@pytest.mark.parametrize(
    "status", [each for each in CertificateStatus if each is not CertificateStatus.GOOD]
)
async def test_only_a_good_certificate_signs(
    verifier: TextVerifier, identity: FakeIdentity, status: CertificateStatus
) -> None:
    key = TestKey()
    certificate = key.certificate()
    identity.checks = {certificate: checked(status)}
    refusal = Unavailable if status is CertificateStatus.UNKNOWN else PermissionDenied
    with pytest.raises(refusal):
        await ask(verifier, signed(key, certificate, b"one"))


async def test_a_good_certificate_of_nobody_here_signs_nothing(
    verifier: TextVerifier, identity: FakeIdentity
) -> None:
    key = TestKey()
    certificate = key.certificate()
    identity.checks = {certificate: good("")}
    with pytest.raises(PermissionDenied):
        await ask(verifier, signed(key, certificate, b"one"))


async def test_without_identity_nothing_is_said(
    verifier: TextVerifier, identity: FakeIdentity
) -> None:
    key = TestKey()
    identity.reachable = False
    with pytest.raises(Unavailable):
        await ask(verifier, signed(key, key.certificate(), b"one"))
