"""A service's credential is replaced as a whole, or stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import Message

from qagazsyz.credentials import Credential, CredentialError
from qagazsyz.identity.v1 import certificates_pb2 as pb
from services.runtime.clients import InternalTokens, R, ServiceClient, open_channel
from services.runtime.credentials.renewal import RENEW, renew_credential
from services.runtime.errors import Unavailable
from services.runtime.secret_files import read_secret, write_secret
from services.runtime.server import Call
from tests.builders import self_signed_credential

OLD = self_signed_credential()
Answer = Callable[[pb.RenewServiceCredentialRequest], pb.Certificate]


class Identity(ServiceClient):
    """An identity that answers as it is told."""

    def __init__(self, channel: grpc.aio.Channel, tokens: InternalTokens, answer: Answer) -> None:
        super().__init__(channel, tokens)
        self.asked = 0
        self._answer = answer

    async def call(
        self, method: str, request: Message, response_type: type[R], during: Call | None = None
    ) -> R:
        assert method == RENEW
        assert isinstance(request, pb.RenewServiceCredentialRequest)
        self.asked += 1
        answer = self._answer(request)
        assert isinstance(answer, response_type)
        return answer


async def renew(path: Path, answer: Answer) -> tuple[Identity, InternalTokens]:
    async with open_channel("unix:none") as channel:
        tokens = InternalTokens(channel, OLD)
        identity = Identity(channel, tokens, answer)
        try:
            await renew_credential(identity, tokens, path)
        except OSError:
            assert identity.asked == 0
            raise
        return identity, tokens


def certify(key: ec.EllipticCurvePublicKey) -> pb.Certificate:
    """A certificate over the key, by an authority of the test."""
    now, name = datetime.now(UTC), x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return pb.Certificate(der=certificate.public_bytes(Encoding.DER))


def certified(request: pb.RenewServiceCredentialRequest) -> pb.Certificate:
    key = x509.load_der_x509_csr(request.certificate_request).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return certify(key)


def over_another_key(_request: pb.RenewServiceCredentialRequest) -> pb.Certificate:
    return certify(ec.generate_private_key(ec.SECP256R1()).public_key())


def unavailable(_request: pb.RenewServiceCredentialRequest) -> pb.Certificate:
    raise Unavailable("a part of the platform cannot be reached")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_secret(tmp_path / "credential.pem", OLD.to_pem())
    return tmp_path / "credential.pem"


async def test_key_and_certificate_are_new_and_come_into_use_with_the_file(path: Path) -> None:
    _, tokens = await renew(path, certified)
    written = Credential.from_pem(read_secret(path))
    assert written.certificate != OLD.certificate
    assert tokens.credential.certificate == written.certificate
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("answer", "error"), [(unavailable, Unavailable), (over_another_key, CredentialError)]
)
async def test_a_renewal_that_fails_leaves_the_credential_that_works(
    path: Path, answer: Answer, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await renew(path, answer)
    assert read_secret(path) == OLD.to_pem()
    assert list(path.parent.iterdir()) == [path]


async def test_identity_is_not_asked_where_the_file_cannot_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await renew(tmp_path / "missing" / "credential.pem", certified)
