"""What the signing service's tests arrange: callers, keys, certificates, requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from qagazsyz.common.v1 import access_pb2
from qagazsyz.signing.v1 import verification_pb2
from services.runtime.access import Caller
from services.runtime.errors import Unavailable
from services.signing.keys.sealing import KeyEncryptionKey, KeyVault
from services.signing.verification.signers import CertificateCheck, Holder, Status
from services.signing.verification.time_stamp import Stamp, StampStatus
from signatures.algorithms import Algorithm

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINISTRY, BANK = "subjects/ministry", "subjects/bank"
Role = access_pb2.Role

FIRST_KEY = KeyEncryptionKey("first", bytes(range(32)))
SECOND_KEY = KeyEncryptionKey("second", bytes(range(32, 64)))


def vault() -> KeyVault:
    return KeyVault(FIRST_KEY)


@dataclass(slots=True)
class FakeCall:
    """The part of services.runtime.server.Call that servicers use."""

    caller: Caller
    remaining: float | None = None

    def time_remaining(self) -> float | None:
        return self.remaining


def officer(organization: str = MINISTRY) -> FakeCall:
    return FakeCall(Caller("subjects/officer", organization, frozenset({Role.ROLE_OFFICER})))


def operator() -> FakeCall:
    roles = frozenset({Role.ROLE_CITIZEN, Role.ROLE_OPERATOR})
    return FakeCall(Caller("subjects/operator", "", roles))


def auditor() -> FakeCall:
    return FakeCall(
        Caller("subjects/auditor", "", frozenset({Role.ROLE_CITIZEN, Role.ROLE_AUDITOR}))
    )


def citizen(expire_time: float = 0.0) -> FakeCall:
    return FakeCall(
        Caller("subjects/citizen", "", frozenset({Role.ROLE_CITIZEN}), expire_time=expire_time)
    )


@dataclass(slots=True)
class FakeIdentity:
    """Identity as the signing service asks it: answers that a test sets, questions it counts."""

    checks: dict[bytes, CertificateCheck] = field(default_factory=dict)
    # Answers for another time than now.
    checks_at: dict[tuple[bytes, datetime], CertificateCheck] = field(default_factory=dict)
    holders: dict[bytes, Holder] = field(default_factory=dict)
    stamp: Stamp = field(default_factory=lambda: Stamp(StampStatus.UNKNOWN))
    organizations: frozenset[str] = frozenset({MINISTRY, BANK})
    reachable: bool = True
    asked: list[list[bytes]] = field(default_factory=list)
    held: list[bytes] = field(default_factory=list)

    async def check_certificates(
        self, certificates: Sequence[bytes], at: datetime | None
    ) -> list[CertificateCheck]:
        self.asked.append(list(certificates))
        if not self.reachable:
            raise Unavailable("not there")
        unknown = CertificateCheck(Status.UNTRUSTED, fresh_until=NOW + timedelta(seconds=5))
        if at is not None:
            return [self.checks_at.get((der, at), unknown) for der in certificates]
        return [self.checks.get(der, unknown) for der in certificates]

    async def inspect_certificates(self, certificates: Sequence[bytes]) -> list[Holder]:
        self.asked.append(list(certificates))
        if not self.reachable:
            raise Unavailable("not there")
        return [self.holders.get(der, Holder()) for der in certificates]

    async def verify_time_stamp(self, token: bytes, data: bytes) -> Stamp:
        self.asked.append([token, data])
        if not self.reachable:
            raise Unavailable("not there")
        return self.stamp

    async def organization_exists(self, name: str, _call: object) -> bool:
        return name in self.organizations

    async def hold_keys(self, public_keys: Sequence[bytes], _call: object = None) -> None:
        if not self.reachable:
            raise Unavailable("not there")
        self.held += public_keys


@dataclass(frozen=True, slots=True)
class TestKey:
    """An Ed25519 key that signs test items."""

    __test__ = False
    private: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)

    @property
    def spki(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def item(
        self, signer: int = 0, message: bytes = b"m", *, good: bool = True
    ) -> verification_pb2.SignedItem:
        signature = self.private.sign(message if good else message + b"!")
        return verification_pb2.SignedItem(
            signer=signer,
            algorithm=int(Algorithm.ED25519),  # type: ignore[arg-type]
            message=message,
            signature=signature,
        )

    def certificate(
        self,
        not_before: datetime = NOW - timedelta(days=30),
        not_after: datetime = NOW + timedelta(days=30),
    ) -> bytes:
        """Of an authority that is made for it; identity is a fake that judges it by its bytes."""
        issuer = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .sign(issuer, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.DER)


def good(subject: str = "subjects/signer", **fields: datetime | None) -> CertificateCheck:
    return checked(Status.GOOD, subject, **fields)


def checked(
    status: Status,
    subject: str = "subjects/signer",
    revoke_time: datetime | None = None,
    fresh_until: datetime | None = NOW + timedelta(seconds=5),
    **fields: datetime | None,
) -> CertificateCheck:
    return CertificateCheck(status, subject, revoke_time, fresh_until, **fields)
