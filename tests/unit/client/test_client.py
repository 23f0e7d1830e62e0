"""The channel of the client library: signs in, renews, repeats what may be repeated."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

from qagazsyz.client import Client, connect, may_repeat
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.credentials import Credential, CredentialError, PrivateKey, signing_algorithm
from qagazsyz.identity.v1 import subjects_pb2, subjects_pb2_grpc, tokens_pb2, tokens_pb2_grpc

LIFETIME_SECONDS = 600


def certified(key: PrivateKey) -> Credential:
    """A credential with a certificate that the key itself has signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Credential(certificate.public_bytes(serialization.Encoding.DER), key)


@dataclass
class Platform:
    """What a fake suite was asked, and how it is to answer."""

    address: str = ""
    sign_ins: int = 0
    lifetime: int = LIFETIME_SECONDS
    organizations: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    # The codes that the next calls fail with, in order.
    failures: list[grpc.StatusCode] = field(default_factory=list)


class Tokens(tokens_pb2_grpc.TokenServiceServicer):
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def CreateChallenge(self, request, context):
        self._platform.organizations.append(request.organization)
        return tokens_pb2.Challenge(challenge=b"qagazsyz sign-in v1\n")

    async def ExchangeToken(self, request, context):
        self._platform.sign_ins += 1
        token = tokens_pb2.Token(access_token=f"token-{self._platform.sign_ins}")
        token.expires_in.FromSeconds(self._platform.lifetime)
        return token


class Subjects(subjects_pb2_grpc.SubjectServiceServicer):
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def _answer(self, context):
        metadata = dict(context.invocation_metadata())
        self._platform.tokens.append(metadata.get("authorization", ""))
        self._platform.traces.append(metadata.get("traceparent", ""))
        if self._platform.failures:
            await context.abort(self._platform.failures.pop(0), "as told")
        return subjects_pb2.Subject(name="subjects/1")

    async def GetSubject(self, request, context):
        return await self._answer(context)

    async def CreateSubject(self, request, context):
        return await self._answer(context)


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    state = Platform(address=f"unix:{tmp_path / 's'}")
    server = grpc.aio.server()
    tokens_pb2_grpc.add_TokenServiceServicer_to_server(Tokens(state), server)
    subjects_pb2_grpc.add_SubjectServiceServicer_to_server(Subjects(state), server)
    server.add_insecure_port(state.address)
    await server.start()
    yield state
    await server.stop(None)


@pytest.fixture
def credential() -> Credential:
    return certified(ed25519.Ed25519PrivateKey.generate())


def subjects(client: Client) -> subjects_pb2_grpc.SubjectServiceStub:
    return subjects_pb2_grpc.SubjectServiceStub(client.channel)


GET = subjects_pb2.GetSubjectRequest(name="subjects/1")


async def test_calls_made_at_once_share_one_sign_in(
    platform: Platform, credential: Credential
) -> None:
    async with Client(platform.address, credential, organization="subjects/7") as client:
        await asyncio.gather(*(subjects(client).GetSubject(GET) for _ in range(5)))
    assert platform.sign_ins == 1
    assert platform.organizations == ["subjects/7"]
    assert set(platform.tokens) == {"Bearer token-1"}


async def test_a_token_near_its_end_is_renewed_before_it_is_used(
    platform: Platform, credential: Credential
) -> None:
    platform.lifetime = 30
    async with Client(platform.address, credential) as client:
        await subjects(client).GetSubject(GET)
        await subjects(client).GetSubject(GET)
    assert platform.tokens == ["Bearer token-1", "Bearer token-2"]


async def test_a_refused_token_is_replaced_once(platform: Platform, credential: Credential) -> None:
    platform.failures = [grpc.StatusCode.UNAUTHENTICATED]
    async with Client(platform.address, credential) as client:
        await subjects(client).GetSubject(GET)
        platform.failures = [grpc.StatusCode.UNAUTHENTICATED] * 3
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await subjects(client).GetSubject(GET)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert platform.tokens[:2] == ["Bearer token-1", "Bearer token-2"]
    assert len(platform.tokens) == 4


async def test_what_only_reads_is_repeated_while_the_suite_is_unavailable(
    platform: Platform, credential: Credential
) -> None:
    platform.failures = [grpc.StatusCode.UNAVAILABLE] * 2
    async with Client(platform.address, credential) as client:
        assert (await subjects(client).GetSubject(GET)).name == "subjects/1"
    assert len(platform.tokens) == 3


async def test_a_creation_is_repeated_only_under_a_request_id(
    platform: Platform, credential: Credential
) -> None:
    async with Client(platform.address, credential) as client:
        platform.failures = [grpc.StatusCode.UNAVAILABLE]
        with pytest.raises(grpc.aio.AioRpcError):
            await subjects(client).CreateSubject(subjects_pb2.CreateSubjectRequest())
        platform.failures = [grpc.StatusCode.UNAVAILABLE]
        request = subjects_pb2.CreateSubjectRequest(request_id="x")
        assert (await subjects(client).CreateSubject(request)).name == "subjects/1"


async def test_a_refusal_is_not_repeated(platform: Platform, credential: Credential) -> None:
    platform.failures = [grpc.StatusCode.PERMISSION_DENIED]
    async with Client(platform.address, credential) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            await subjects(client).GetSubject(GET)
    assert len(platform.tokens) == 1


async def test_without_a_credential_no_token_is_sent(platform: Platform) -> None:
    async with Client(platform.address) as client:
        await subjects(client).GetSubject(GET)
    assert platform.tokens == [""]
    assert platform.sign_ins == 0


async def test_the_callers_trace_goes_with_every_call(
    platform: Platform, credential: Credential
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def headers() -> Mapping[str, str]:
        return {"traceparent": trace}

    async with Client(platform.address, credential, trace_headers=headers) as client:
        await subjects(client).GetSubject(GET)
    assert platform.traces == [trace]


async def test_code_without_asyncio_has_the_same(
    platform: Platform, credential: Credential
) -> None:
    platform.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED]

    def call() -> str:
        with connect(platform.address, credential) as channel:
            stub = subjects_pb2_grpc.SubjectServiceStub(channel)
            stub.GetSubject(GET)
            return stub.GetSubject(GET).name

    assert await asyncio.to_thread(call) == "subjects/1"
    assert platform.tokens == ["Bearer token-1", "Bearer token-1"] + ["Bearer token-2"] * 2


@pytest.mark.parametrize(
    ("method", "repeated"),
    [
        ("/s/GetSubject", True),
        ("/s/BatchVerify", True),
        ("/s/BatchGetSubjects", True),
        ("/s/ListKeys", True),
        ("/s/Sign", False),
        ("/s/DownloadDocument", False),
        ("/s/BatchRegisterDocuments", False),
        ("/s/RevokeCertificate", False),
    ],
)
def test_which_methods_only_read(method: str, repeated: bool) -> None:
    assert may_repeat(method, object()) is repeated


def check(key: PrivateKey, algorithm: int, signature: bytes, message: bytes) -> None:
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        assert algorithm == signatures_pb2.SIGNATURE_ALGORITHM_ED25519
        public.verify(signature, message)
    elif isinstance(public, rsa.RSAPublicKey):
        assert algorithm == signatures_pb2.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256
        public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        digest = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
        public.verify(signature, message, ec.ECDSA(digest[public.curve.key_size]))


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=lambda key: getattr(getattr(key, "curve", None), "name", type(key).__name__),
)
def test_a_credential_signs_with_its_keys_algorithm_after_a_round_trip(
    key: PrivateKey, tmp_path: Path
) -> None:
    path = tmp_path / "credential.pem"
    path.write_bytes(certified(key).to_pem())
    loaded = Credential.load(path)
    algorithm, signature = loaded.sign(b"message")
    check(key, algorithm, signature, b"message")
    assert hashlib.sha256(loaded.certificate).digest()


def test_a_key_that_is_not_the_certificates_is_no_credential() -> None:
    one = certified(ed25519.Ed25519PrivateKey.generate()).to_pem()
    other = certified(ed25519.Ed25519PrivateKey.generate()).to_pem()
    mixed = one[: one.index(b"-----BEGIN PRIVATE")] + other[other.index(b"-----BEGIN PRIVATE") :]
    for pem in (mixed, b"", one[:-40], other[other.index(b"-----BEGIN PRIVATE") :]):
        with pytest.raises(CredentialError):
            Credential.from_pem(pem)


def test_a_curve_that_the_contracts_do_not_know_is_refused() -> None:
    with pytest.raises(CredentialError):
        signing_algorithm(ec.generate_private_key(ec.SECP256K1()))
