"""A whole identity service in the test's own process, with its clock in the test's hands."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import Message

from qagazsyz.common.v1 import access_pb2
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2, tokens_pb2
from services.identity.authority.tsa import Stamper
from services.identity.main import MIGRATIONS, NobodyOutside, build
from services.identity.seed import (
    create_platform,
    import_seed,
    load_issuer,
    load_stamper,
    register_stamper,
)
from services.identity.subjects.iin_bin import check_digit
from services.identity.tables import requests
from services.identity.tokens.challenges import Challenges, Grant, encode
from services.identity.tokens.keys import TokenKeys
from services.runtime.access import CALLER_AUDIENCE, INTERNAL_AUDIENCE
from services.runtime.clock import system_randomness
from services.runtime.descriptors import service_descriptors
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.runtime.storage.migrations import migrate

Role = access_pb2.Role
R = TypeVar("R", bound=Message)
PLATFORM = "test.qagazsyz.example"
STAMP_POLICY = "2.999.1"


class Clock:
    """A time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass
class Identity:
    """The service, its channel, and how tests speak to it."""

    channel: grpc.aio.Channel
    clock: Clock
    keys: TokenKeys
    data: Path
    database: Database
    platform: str
    operator: str
    numbers: Any

    def token(
        self,
        *roles: int,
        subject: str = "subjects/x",
        organization: str = "",
        internal: bool = False,
    ) -> str:
        """A token with these roles, signed with the service's own key."""
        key = self.keys.signing(self.clock())
        audience = INTERNAL_AUDIENCE if internal else CALLER_AUDIENCE
        return encode(
            Grant(subject, organization, tuple(roles), audience),
            key=key.key,
            kid=key.kid,
            token_id="t",
            now=self.clock(),
        )

    async def call(self, method: str, request: Message, token: str = "") -> Any:
        """The answer to "Service/Method" in identity's package."""
        service, name = method.split("/")
        descriptor = service_descriptors()[f"qagazsyz.identity.v1.{service}"]
        output = descriptor.methods_by_name[name].output_type._concrete_class
        invoke = self.channel.unary_unary(
            f"/qagazsyz.identity.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=output.FromString,
        )
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        return await invoke(request, metadata=metadata)

    async def refused(self, method: str, request: Message, token: str = "") -> grpc.StatusCode:
        """The code that a call is refused with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, request, token)
        assert caught.value.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        return caught.value.code()

    @property
    def as_operator(self) -> str:
        return self.token(Role.ROLE_OPERATOR, Role.ROLE_CITIZEN, subject=self.operator)

    @property
    def as_registrar(self) -> str:
        return self.token(Role.ROLE_REGISTRAR, Role.ROLE_CITIZEN)

    @property
    def as_auditor(self) -> str:
        return self.token(Role.ROLE_AUDITOR, Role.ROLE_CITIZEN)

    @property
    def as_service(self) -> str:
        return self.token(Role.ROLE_SERVICE, subject="services/test", internal=True)

    def as_citizen(self, subject: str) -> str:
        return self.token(Role.ROLE_CITIZEN, subject=subject)

    def as_officer(self, organization: str, subject: str = "subjects/x") -> str:
        return self.token(Role.ROLE_OFFICER, subject=subject, organization=organization)

    async def person(self, **fields: Any) -> str:
        """The name of a new person."""
        person = subjects_pb2.Person(
            **({"iin": self.iin(), "given_name": "Әлия", "family_name": "Құрманова"} | fields)
        )
        made = await self.call(
            "SubjectService/CreateSubject",
            subjects_pb2.CreateSubjectRequest(subject=subjects_pb2.Subject(person=person)),
            self.as_operator,
        )
        return str(made.name)

    async def organization(self, name: str = "Екінші банк") -> str:
        """The name of a new organization."""
        organization = subjects_pb2.Organization(bin=self.bin(), display_name=name)
        made = await self.call(
            "SubjectService/CreateSubject",
            subjects_pb2.CreateSubjectRequest(
                subject=subjects_pb2.Subject(organization=organization)
            ),
            self.as_operator,
        )
        return str(made.name)

    async def member(
        self, organization: str, person: str, role: int = Role.ROLE_OFFICER
    ) -> subjects_pb2.Membership:
        made: subjects_pb2.Membership = await self.call(
            "SubjectService/AddMembership",
            subjects_pb2.AddMembershipRequest(
                organization=organization,
                membership=subjects_pb2.Membership(person=person, role=role),
            ),
            self.as_operator,
        )
        return made

    async def issue(
        self, subject: str, *, usage: int = 1, organization: str = "", key: Any = None
    ) -> tuple[certificates_pb2.Certificate, Any]:
        """A new certificate of the subject, and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        made = await self.call(
            "CertificateService/IssueCertificate",
            certificates_pb2.IssueCertificateRequest(
                subject=subject,
                certificate_request=certificate_request(key),
                usage=usage,
                organization=organization,
            ),
            self.as_operator,
        )
        return made, key

    async def sign_in(
        self, certificate: bytes, key: Any, organization: str = ""
    ) -> tokens_pb2.Token:
        """The token for a certificate and its key."""
        exchange = await self.exchange(certificate, key, organization)
        token: tokens_pb2.Token = await self.call("TokenService/ExchangeToken", exchange)
        return token

    async def exchange(
        self, certificate: bytes, key: Any, organization: str = ""
    ) -> tokens_pb2.ExchangeTokenRequest:
        """A request that answers a new challenge."""
        challenge = await self.call(
            "TokenService/CreateChallenge",
            tokens_pb2.CreateChallengeRequest(organization=organization),
        )
        algorithm, signature = Credential(certificate, key).sign(challenge.challenge)
        return tokens_pb2.ExchangeTokenRequest(
            challenge=challenge.challenge,
            certificate=certificate,
            algorithm=algorithm,
            signature=signature,
        )

    def iin(self) -> str:
        return self._number("9503014")

    def bin(self) -> str:
        return self._number("200140")

    def _number(self, prefix: str) -> str:
        while True:
            first = f"{prefix}{next(self.numbers):0{11 - len(prefix)}d}"
            digit = check_digit(first)
            if digit is not None:
                return f"{first}{digit}"


def certificate_request(key: Any, *, signs: bool = False) -> bytes:
    """PKCS#10, DER; signs: it asks for usage SIGN, as the signing service's do."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if signs:
        usage = dict.fromkeys(
            (
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "key_cert_sign",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, content_commitment=True, **usage), critical=True
        )
    digest = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    if hasattr(key, "key_size"):
        digest = hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


@pytest.fixture
async def identity(tmp_path: Path, database_url: str) -> AsyncIterator[Identity]:
    clock = Clock()
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    create_platform(
        data,
        platform_name="Qagazsyz",
        operator_iin="",
        operator_name="Оператор Бірінші",
        now=clock() - timedelta(hours=1),
        randomness=system_randomness,
    )
    folder = data / "identity"
    database = Database(database_url)
    await migrate(database, MIGRATIONS)
    seed = json.loads((folder / "seed.json").read_bytes())
    await import_seed(database, seed)
    keys = TokenKeys(folder / "token-keys")
    issuer = load_issuer(folder, "authority")
    stamper = load_stamper(folder, issuer, now=clock(), randomness=system_randomness)
    await register_stamper(database, stamper.certificate, clock())
    server = build(
        database=database,
        idempotency=IdempotencyStore(requests, database, clock),
        issuer=issuer,
        root=x509.load_pem_x509_certificate((folder / "root.pem").read_bytes()),
        stamper=Stamper.of(stamper, issuer, STAMP_POLICY),
        token_keys=keys,
        challenges=Challenges(b"k" * 32, PLATFORM, system_randomness),
        outside=NobodyOutside(clock),
        clock=clock,
    )
    port = server.listen("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Identity(
            channel,
            clock,
            keys,
            data,
            database,
            seed["platform"]["name"],
            seed["operator"]["name"],
            itertools.count(1),
        )
    await server.stop()
    await database.close()
