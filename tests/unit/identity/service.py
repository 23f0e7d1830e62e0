"""A whole identity service in the test's own process, with its clock in the test's hands."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import message_factory
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from qagazsyz.common.v1 import access_pb2
from qagazsyz.confirmations import needs_confirmation
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2, tokens_pb2
from services.identity.authority.key_files import (
    ISSUING,
    ROOT,
    load_authority,
    load_certificate,
    load_time_stamper,
)
from services.identity.authority.tsa import TimeStampAuthority
from services.identity.certificates.rules import StoredCertificate
from services.identity.certificates.store import add_certificate
from services.identity.events.recorder import EventRecorder
from services.identity.main import build
from services.identity.new_secrets import Operator, Platform, create_secrets
from services.identity.phones.numbers import load_number_vault
from services.identity.seed import SEED, import_seed, register_time_stamper
from services.identity.subjects.iin_bin import check_digit
from services.identity.subjects.rules import Membership
from services.identity.subjects.store import add_membership, end_membership, get_membership
from services.identity.tables import requests
from services.identity.tokens.access_tokens import sign_token
from services.identity.tokens.act_challenges import ActChallenges
from services.identity.tokens.challenges import Challenges
from services.identity.tokens.keys import TOKEN_KEYS_FOLDER, TokenKeys
from services.identity.tokens.rules import Grant
from services.identity.validation.trust_store import TRUST_FOLDER, TrustFolder
from services.identity.validation.validator import Validator
from services.identity.x509.inspection import fingerprint_of
from services.identity.x509.usages import CertificateUsage
from services.runtime.access import CALLER_AUDIENCE, INTERNAL_AUDIENCE
from services.runtime.clock import system_randomness
from services.runtime.descriptors import service_descriptors
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from tests.builders import self_signed_credential
from tests.clock import Clock
from tests.confirming import CERTIFICATE, confirmation, confirmations
from tests.unit.identity.authorities import Network
from tests.unit.identity.chains import key_usage

Role = access_pb2.Role
PLATFORM = "test.qagazsyz.example"
STAMP_POLICY = "2.999.1"
# How many callers do the same at the same time.
CONCURRENT = 8
SIGN = certificates_pb2.CERTIFICATE_USAGE_SIGN
AUTHENTICATE = certificates_pb2.CERTIFICATE_USAGE_AUTHENTICATE
UNSPECIFIED = certificates_pb2.REVOCATION_REASON_UNSPECIFIED
# From the approval of a member of the platform's organization to the beginning.
MEMBERSHIP_DELAY = timedelta(minutes=5)


@dataclass(frozen=True)
class Made:
    """Who had a part in an official's membership and certificate."""

    membership_proposer: str = ""
    membership_approver: str = ""
    certificate_proposer: str = ""
    certificate_approver: str = ""


@dataclass(frozen=True)
class Official:
    """A member of the platform's organization, signed in."""

    subject: str
    token: str
    # The certificate's fingerprint.
    certificate: str = ""


@dataclass
class Identity:
    """The service, its channel, and how tests speak to it."""

    channel: grpc.aio.Channel
    clock: Clock
    keys: TokenKeys
    challenges: Challenges
    # Identity's own folder.
    folder: Path
    # The credentials that were issued at the beginning, PEM: operator.pem, signing.pem.
    credentials: Path
    database: Database
    platform: str
    operator: str
    # Organizations whose information systems may report SIM swaps.
    swap_reporters: set[str]
    # Of the last call.
    last_request: Message = field(default_factory=Empty)
    last_headers: Sequence[tuple[str, str]] = ()
    _second: Official | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def token(
        self,
        *roles: int,
        subject: str = "subjects/x",
        organization: str = "",
        internal: bool = False,
        certificate: str = CERTIFICATE,
    ) -> str:
        """A token with these roles, signed with the service's own key.

        certificate: fingerprint of the one that it was got with.
        """
        key = self.keys.signing(self.clock())
        audience = INTERNAL_AUDIENCE if internal else CALLER_AUDIENCE
        granted = Grant(subject, organization, tuple(roles), certificate, audience)
        return sign_token(granted, key=key, token_id="t", now=self.clock())

    async def call(
        self,
        method: str,
        request: Message,
        token: str = "",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """The answer to "Service/Method" in identity's package, confirmed where it has to be.

        headers: instead of the token and a confirmation.
        """
        service, name = method.split("/")
        descriptor = service_descriptors()[f"qagazsyz.identity.v1.{service}"]
        output = message_factory.GetMessageClass(descriptor.methods_by_name[name].output_type)
        invoke = self.channel.unary_unary(
            f"/qagazsyz.identity.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=output.FromString,
        )
        metadata = list(headers)
        if token:
            metadata.append(("authorization", f"Bearer {token}"))
        path = f"/qagazsyz.identity.v1.{method}"
        if token and needs_confirmation(path, request):
            challenge, _ = self.challenges.create("", self.clock())
            metadata.append(confirmation(path, request, token, challenge))
        self.last_request, self.last_headers = request, tuple(metadata)
        return await invoke(request, metadata=self.last_headers)

    async def refused(
        self,
        method: str,
        request: Message,
        token: str = "",
        headers: Sequence[tuple[str, str]] = (),
    ) -> grpc.StatusCode:
        """The code that a call is refused with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, request, token, headers)
        assert caught.value.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        return caught.value.code()

    @property
    def as_operator(self) -> str:
        credential = Credential.load(self.credentials / "operator.pem")
        return self.token(
            Role.ROLE_OPERATOR,
            Role.ROLE_CITIZEN,
            subject=self.operator,
            certificate=fingerprint_of(credential.certificate),
        )

    @property
    def as_registrar(self) -> str:
        return self.token(Role.ROLE_REGISTRAR, Role.ROLE_CITIZEN)

    @property
    def as_auditor(self) -> str:
        return self.token(Role.ROLE_AUDITOR, Role.ROLE_CITIZEN)

    @property
    def as_service(self) -> str:
        return self.token(Role.ROLE_SERVICE, subject="services/registry", internal=True)

    @property
    def as_signing(self) -> str:
        return self.token(Role.ROLE_SERVICE, subject="services/signing", internal=True)

    def as_citizen(self, subject: str, certificate: str = CERTIFICATE) -> str:
        return self.token(Role.ROLE_CITIZEN, subject=subject, certificate=certificate)

    def as_officer(
        self,
        organization: str,
        subject: str = "subjects/x",
        certificate: str = CERTIFICATE,
    ) -> str:
        return self.token(
            Role.ROLE_OFFICER, subject=subject, organization=organization, certificate=certificate
        )

    async def official(
        self, role: access_pb2.Role = access_pb2.ROLE_OPERATOR, *, made: Made = Made()
    ) -> Official:
        """A new member of the platform's organization with a certificate, put into the database as
        `init` does: no other operator has a part in it but those of `made`."""
        person = await self.person()
        now = self.clock()
        certificate = StoredCertificate.of(
            x509.load_der_x509_certificate(self_signed_credential().certificate),
            subject=person,
            usage=CertificateUsage.SIGN,
            own=True,
            now=now,
        )
        async with self.database.transaction() as connection:
            membership = Membership(
                self.platform,
                person,
                int(role),
                now,
                begin_time=now,
                proposer=made.membership_proposer,
                approver=made.membership_approver,
            )
            await add_membership(connection, membership)
            certificate = replace(
                certificate, proposer=made.certificate_proposer, approver=made.certificate_approver
            )
            await add_certificate(connection, certificate)
        token = self.token(
            role, Role.ROLE_CITIZEN, subject=person, certificate=certificate.fingerprint
        )
        return Official(person, token, certificate.fingerprint)

    async def dismiss(self, person: str) -> None:
        """End the person's membership of the platform's organization."""
        async with self.database.transaction() as connection:
            membership = await get_membership(connection, self.platform, person)
            assert membership is not None
            await end_membership(connection, membership, self.clock())

    async def approve(
        self, waiting: certificates_pb2.Certificate, token: str = ""
    ) -> certificates_pb2.Certificate:
        """The certificate that waited, approved by the token's holder; by a second operator if
        unset."""
        if not token:
            self._second = self._second or await self.official()
            token = self._second.token
        approved: certificates_pb2.Certificate = await self.call(
            "CertificateService/ApproveCertificate",
            certificates_pb2.ApproveCertificateRequest(name=waiting.name),
            token,
        )
        return approved

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
        self,
        organization: str,
        person: str,
        role: access_pb2.Role = access_pb2.ROLE_OFFICER,
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
        self,
        subject: str,
        *,
        usage: certificates_pb2.CertificateUsage = SIGN,
        organization: str = "",
        key: Any = None,
    ) -> tuple[certificates_pb2.Certificate, Any]:
        """A new certificate of the subject, and its key: by two operators, where it takes two."""
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
        if made.state == certificates_pb2.CERTIFICATE_STATE_PENDING:
            made = await self.approve(made)
        return made, key

    async def revoke(
        self,
        name: str,
        token: str,
        reason: certificates_pb2.RevocationReason = UNSPECIFIED,
    ) -> certificates_pb2.Certificate:
        """The certificate, revoked by the token's holder."""
        revoked: certificates_pb2.Certificate = await self.call(
            "CertificateService/RevokeCertificate",
            certificates_pb2.RevokeCertificateRequest(name=name, reason=reason),
            token,
        )
        return revoked

    async def certificates(self, subject: str) -> list[certificates_pb2.Certificate]:
        """The subject's certificates."""
        listed = await self.call(
            "CertificateService/ListCertificates",
            certificates_pb2.ListCertificatesRequest(subject=subject),
            self.as_operator,
        )
        return list(listed.certificates)

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

    async def time_stamp(self, request: bytes) -> bytes:
        """The time-stamping authority's answer to a TimeStampReq, both DER."""
        answer = await self.call(
            "AuthorityService/AnswerTimeStamp",
            certificates_pb2.AnswerTimeStampRequest(body=HttpBody(data=request)),
        )
        assert answer.content_type == "application/timestamp-reply"
        data: bytes = answer.data
        return data

    def iin(self) -> str:
        return self._number("9503014")

    def bin(self) -> str:
        return self._number("200140")

    def _number(self, prefix: str) -> str:
        while True:
            first = f"{prefix}{next(self._numbers):0{11 - len(prefix)}d}"
            digit = check_digit(first)
            if digit is not None:
                return f"{first}{digit}"


def certificate_request(key: Any, *, signs: bool = False) -> bytes:
    """PKCS#10, DER; signs: it asks for usage SIGN, as the signing service's do."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if signs:
        usage = key_usage("digital_signature", "content_commitment")
        builder = builder.add_extension(usage, critical=True)
    hashed = isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    request = builder.sign(key, hashes.SHA256() if hashed else None)
    return request.public_bytes(Encoding.DER)


def issue_request(
    subject: str,
    *,
    usage: certificates_pb2.CertificateUsage = SIGN,
    organization: str = "",
    request_id: str = "",
    signs: bool = False,
) -> certificates_pb2.IssueCertificateRequest:
    """A request for a certificate over a new key; signs: as in certificate_request."""
    key = ec.generate_private_key(ec.SECP256R1())
    return certificates_pb2.IssueCertificateRequest(
        subject=subject,
        certificate_request=certificate_request(key, signs=signs),
        usage=usage,
        organization=organization,
        request_id=request_id,
    )


async def outcomes(*calls: Awaitable[Any]) -> Counter[str]:
    """How many of the concurrent calls ended with which code."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(
        result.code().name if isinstance(result, grpc.aio.AioRpcError) else "OK"
        for result in results
    )


@asynccontextmanager
async def running_identity(tmp_path: Path, database_url: str) -> AsyncIterator[Identity]:
    """The service over a migrated database; it trusts no external authority."""
    clock = Clock()
    # Tests list who may report: the service reads it at each call.
    swap_reporters: set[str] = set()
    folder, credentials = tmp_path / "identity", tmp_path / "credentials"
    made = create_secrets(
        folder,
        Platform("Qagazsyz", number("200140", 99_999)),
        Operator(number("9503014", 9_999), "Оператор", "Бірінші"),
        services=["signing"],
        now=clock() - timedelta(hours=1),
        randomness=system_randomness,
    )
    credentials.mkdir()
    (credentials / "operator.pem").write_bytes(made.operator)
    (credentials / "signing.pem").write_bytes(made.services["signing"])
    seed = json.loads((folder / SEED).read_bytes())
    database = Database(database_url)
    validator = Validator(
        folder=TrustFolder(folder / TRUST_FOLDER),
        fetch=Network(),
        clock=clock,
        randomness=system_randomness,
    )
    events = EventRecorder(clock, system_randomness)
    await import_seed(database, seed, events)
    keys = TokenKeys(folder / TOKEN_KEYS_FOLDER)
    authority = load_authority(folder, ISSUING)
    stamper = load_time_stamper(folder, authority, now=clock(), randomness=system_randomness)
    await register_time_stamper(database, stamper.certificate, events, clock())
    challenges = Challenges(b"k" * 32, PLATFORM, system_randomness)
    acts = ActChallenges(database=database, challenges=challenges, clock=clock)
    server = build(
        database=database,
        idempotency=IdempotencyStore(requests, database, clock),
        authority=authority,
        root=load_certificate(folder, ROOT),
        time_stamps=TimeStampAuthority.of(stamper, authority, STAMP_POLICY),
        token_keys=keys,
        challenges=challenges,
        external=validator,
        numbers=load_number_vault(folder, system_randomness),
        page_secret=b"secret",
        confirmations=confirmations(
            acts.use, of_any_certificate=True, of_services=acts.find_certificate
        ),
        membership_delay_seconds=int(MEMBERSHIP_DELAY.total_seconds()),
        sim_swap_reporters=swap_reporters,
        clock=clock,
    )
    port = server.listen("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Identity(
            channel,
            clock,
            keys,
            challenges,
            folder,
            credentials,
            database,
            seed["platform"]["name"],
            seed["operator"]["name"],
            swap_reporters,
        )
    await server.stop()
    validator.close()
    await database.close()


def number(prefix: str, serial: int) -> str:
    """An IIN or BIN with that serial number, or the next one that is issued."""
    width = 11 - len(prefix)
    digit = check_digit(f"{prefix}{serial:0{width}d}")
    if digit is None:
        return number(prefix, serial - 1)
    return f"{prefix}{serial:0{width}d}{digit}"
