"""What the signing service's tests arrange: callers, keys, certificates, requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from google.protobuf.descriptor import EnumDescriptor

from qagazsyz.common.v1 import access_pb2, signatures_pb2
from qagazsyz.signing.v1 import keys_pb2, verification_pb2
from services.runtime.errors import PermissionDenied, Unavailable
from services.runtime.sealing import SecretKey, Vault
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.signing.keys.generation import KeyGenerator
from services.signing.keys.rules import own_key_id
from services.signing.keys.servicer import KeyServicer
from services.signing.verification.time_stamp import TimeStamp, TimeStampStatus
from services.signing.verification.trust import CertificateStatus, CheckedCertificate, HolderRoles
from tests.calls import call

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLATFORM = "qagazsyz.example"
MINISTRY, BANK = "subjects/ministry", "subjects/bank"
Role = access_pb2.Role


def key_name(key_id: str, organization: str = MINISTRY) -> str:
    """The name of the organization's key of that id."""
    return f"keys/{own_key_id(key_id, organization)}"


SEAL = key_name("seal")

FIRST_KEY = SecretKey("first", bytes(range(32)))
SECOND_KEY = SecretKey("second", bytes(range(32, 64)))


def vault() -> Vault:
    return Vault(FIRST_KEY)


def officer(organization: str = MINISTRY) -> Call:
    return call("subjects/officer", organization, Role.ROLE_OFFICER)


def operator() -> Call:
    return call("subjects/operator", "", Role.ROLE_CITIZEN, Role.ROLE_OPERATOR)


def auditor() -> Call:
    return call("subjects/auditor", "", Role.ROLE_CITIZEN, Role.ROLE_AUDITOR)


def citizen(expire_time: float = 0.0) -> Call:
    return call("subjects/citizen", "", Role.ROLE_CITIZEN, expire_time=expire_time)


def contract_numbers(enum: EnumDescriptor, prefix: str) -> dict[str, int]:
    """The contract's numbers by name, without the prefix that protobuf's names have."""
    return {value.name.removeprefix(prefix): value.number for value in enum.values}


@dataclass(slots=True)
class FakeIdentity:
    """Stands for IdentityClient: returns the answers that a test sets, and records the requests."""

    checks: dict[bytes, CheckedCertificate] = field(default_factory=dict)
    # Answers for another time than now.
    checks_at: dict[tuple[bytes, datetime], CheckedCertificate] = field(default_factory=dict)
    holders: dict[bytes, HolderRoles] = field(default_factory=dict)
    stamp: TimeStamp = field(default_factory=lambda: TimeStamp(TimeStampStatus.UNKNOWN))
    organizations: frozenset[str] = frozenset({MINISTRY, BANK})
    officers: set[tuple[str, str]] = field(default_factory=set)
    reachable: bool = True
    asked: list[list[bytes]] = field(default_factory=list)
    announced: list[bytes] = field(default_factory=list)

    async def check_certificates(
        self, certificates: Sequence[bytes], at: datetime | None
    ) -> list[CheckedCertificate]:
        self.asked.append(list(certificates))
        if not self.reachable:
            raise Unavailable("not there")
        unknown = checked(CertificateStatus.UNTRUSTED, "")
        if at is not None:
            return [self.checks_at.get((der, at), unknown) for der in certificates]
        return [self.checks.get(der, unknown) for der in certificates]

    async def inspect_certificates(self, certificates: Sequence[bytes]) -> list[HolderRoles]:
        self.asked.append(list(certificates))
        if not self.reachable:
            raise Unavailable("not there")
        return [self.holders.get(der, HolderRoles()) for der in certificates]

    async def verify_time_stamp(self, token: bytes, data: bytes) -> TimeStamp:
        self.asked.append([token, data])
        if not self.reachable:
            raise Unavailable("not there")
        return self.stamp

    async def organization_exists(self, name: str, _call: object) -> bool:
        return name in self.organizations

    async def signers_of(
        self, texts: Sequence[signatures_pb2.SignedText], _call: object
    ) -> list[str]:
        """Take a certificate for its subject's name, and a signature over it for its text."""
        if not self.reachable:
            raise Unavailable("not there")
        if any(each.signature != each.certificate + each.text for each in texts):
            raise PermissionDenied
        return [each.certificate.decode() for each in texts]

    async def find_officers(
        self, organization: str, people: Sequence[str], _call: object
    ) -> frozenset[str]:
        if not self.reachable:
            raise Unavailable("not there")
        return frozenset(each for each in people if (organization, each) in self.officers)

    async def announce_keys(self, public_keys: Sequence[bytes], _call: object = None) -> None:
        if not self.reachable:
            raise Unavailable("not there")
        self.announced += public_keys


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
            algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
            message=message,
            signature=signature,
        )

    def certificate(
        self,
        not_before: datetime = NOW - timedelta(days=30),
        not_after: datetime = NOW + timedelta(days=30),
    ) -> bytes:
        """A certificate of an authority of its own: FakeIdentity knows it by its bytes."""
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


def good(subject: str = "subjects/signer", **fields: datetime | None) -> CheckedCertificate:
    return checked(CertificateStatus.GOOD, subject, **fields)


def checked(
    status: CertificateStatus,
    subject: str = "subjects/signer",
    revoke_time: datetime | None = None,
    fresh_until: datetime | None = NOW + timedelta(seconds=5),
    **fields: datetime | None,
) -> CheckedCertificate:
    return CheckedCertificate(status, subject, revoke_time, fresh_until, **fields)


def key_servicer(
    database: Database,
    keys: Vault,
    identity: FakeIdentity | None = None,
    *,
    keys_per_organization: int = 1_000,
    generator: KeyGenerator | None = None,
) -> KeyServicer:
    identity = identity or FakeIdentity()
    return KeyServicer(
        database=database,
        vault=keys,
        organization_exists=identity.organization_exists,
        announce_keys=identity.announce_keys,
        signers_of=identity.signers_of,
        find_officers=identity.find_officers,
        platform=PLATFORM,
        clock=lambda: NOW,
        keys_per_organization=keys_per_organization,
        generator=generator,
    )


async def create(
    service: KeyServicer,
    call: Call | None = None,
    *,
    organization: str = MINISTRY,
    algorithm: signatures_pb2.SignatureAlgorithm = signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
    key_id: str = "",
    request_id: str = "",
) -> keys_pb2.Key:
    request = keys_pb2.CreateKeyRequest(
        key=keys_pb2.Key(organization=organization, algorithm=algorithm),
        key_id=key_id,
        request_id=request_id,
    )
    return await service.CreateKey(request, call or officer())


async def sign(
    service: KeyServicer, key: str, call: Call | None = None, *, message: bytes = b"m"
) -> keys_pb2.SignResponse:
    return await service.Sign(keys_pb2.SignRequest(key=key, message=message), call or officer())


async def rotate(service: KeyServicer, name: str, call: Call | None = None) -> keys_pb2.Key:
    return await service.RotateKey(keys_pb2.RotateKeyRequest(name=name), call or officer())


async def disable(service: KeyServicer, name: str) -> keys_pb2.KeyVersion:
    return await service.DisableKeyVersion(keys_pb2.DisableKeyVersionRequest(name=name), officer())


async def enable(service: KeyServicer, name: str) -> keys_pb2.KeyVersion:
    return await service.EnableKeyVersion(keys_pb2.EnableKeyVersionRequest(name=name), officer())


async def destroy(service: KeyServicer, name: str) -> keys_pb2.KeyVersion:
    return await service.DestroyKeyVersion(keys_pb2.DestroyKeyVersionRequest(name=name), officer())
