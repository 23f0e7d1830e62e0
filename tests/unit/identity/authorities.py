"""An external authority: its CRLs, its OCSP responder, and a network and a validator between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import core
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from services.identity.validation.interface import ValidationResult
from services.identity.validation.safe_http import Unreachable
from services.identity.validation.trust_store import TrustFolder
from services.identity.validation.validator import LOOKUP_SECONDS, Validator
from services.runtime.clock import system_randomness
from tests.clock import Clock
from tests.unit.identity.chains import AUTHORITY, NOW, ROOT, Made, Profile, make, sign

CRL = "http://authority.example/list.crl"
DELTA = "http://authority.example/delta.crl"
OCSP = "http://authority.example/ocsp"
HOUR = timedelta(hours=1)
BEFORE = NOW - HOUR


def digest_for(key: Any) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def revocation_list(
    issuer: Made,
    revoked: Sequence[tuple[Made, datetime]] = (),
    *,
    this_update: datetime = NOW - timedelta(hours=1),
    next_update: datetime = NOW + timedelta(hours=23),
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    key: Any = None,
    name: x509.Name | None = None,
    reason: x509.ReasonFlags = x509.ReasonFlags.key_compromise,
    entry_extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """A list, DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or issuer.name)
        .last_update(this_update)
        .next_update(next_update)
    )
    for made, since in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(made.parsed.serial_number)
            .revocation_date(since)
            .add_extension(x509.CRLReason(reason), critical=False)
        )
        for extension, critical in entry_extensions:
            entry = entry.add_extension(extension, critical)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    key = key or issuer.key
    return builder.sign(key, digest_for(key)).public_bytes(Encoding.DER)


def ocsp_answer(
    question: bytes,
    certificate: Made,
    issuer: Made,
    *,
    revoked_since: datetime | None = None,
    this_update: datetime = NOW,
    next_update: datetime | None = NOW + timedelta(hours=1),
    responder: Made | None = None,
    nonce: bytes | None = None,
    with_nonce: bool = True,
    about: Made | None = None,
    unknown: bool = False,
    with_certificate: bool = True,
) -> bytes:
    """A responder's answer, DER. responder: who signs, if not the issuer."""
    request = ocsp.load_der_ocsp_request(question)
    status = ocsp.OCSPCertStatus.GOOD
    if revoked_since is not None:
        status = ocsp.OCSPCertStatus.REVOKED
    if unknown:
        status = ocsp.OCSPCertStatus.UNKNOWN
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=(about or certificate).parsed,
        issuer=issuer.parsed,
        algorithm=hashes.SHA1(),  # noqa: S303
        cert_status=status,
        this_update=this_update,
        next_update=next_update,
        revocation_time=revoked_since,
        revocation_reason=None,
    )
    signer = responder or issuer
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.parsed)
    if responder is not None and with_certificate:
        builder = builder.certificates([responder.parsed])
    if with_nonce:
        asked = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        builder = builder.add_extension(x509.OCSPNonce(nonce or asked), critical=False)
    return builder.sign(signer.key, digest_for(signer.key)).public_bytes(Encoding.DER)


def with_single_extensions(answer: bytes, issuer: Made, *extensions: dict[str, Any]) -> bytes:
    """A responder's answer that says more of the certificate, signed anew by the issuer."""
    response = asn1_ocsp.OCSPResponse.load(answer)
    basic = response["response_bytes"]["response"].parsed
    told = basic["tbs_response_data"]
    told["responses"][0]["single_extensions"] = list(extensions)
    basic["signature"] = sign(issuer.key, told.dump(force=True))
    response["response_bytes"]["response"] = core.ParsableOctetString(basic.dump(force=True))
    encoded: bytes = response.dump(force=True)
    return encoded


@dataclass
class Network:
    """What answers at which URL, and which were requested. A URL without an answer is dead."""

    crls: dict[str, bytes] = field(default_factory=dict)
    responders: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    # Set at the first request; answers wait for `gate`, if there is one.
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None

    async def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        return await self._answer(url, lambda: self.crls[url])

    async def post(
        self, url: str, body: bytes, *, content_type: str, limit: int, seconds: float
    ) -> bytes:
        assert content_type == "application/ocsp-request"
        return await self._answer(url, lambda: self.responders[url](body))

    async def _answer(self, url: str, answer: Callable[[], bytes]) -> bytes:
        self.asked.append(url)
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        try:
            return answer()
        except KeyError:
            raise Unreachable("no answer") from None


@dataclass
class External:
    """A root, an authority under it, a validator that trusts the root, and a network."""

    folder: Path
    network: Network = field(default_factory=Network)
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    root: Made = field(default_factory=lambda: make(ROOT))
    lookup_seconds: float = LOOKUP_SECONDS
    made_ahead: frozenset[str] = frozenset()
    grace: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "root.pem").write_bytes(self.root.pem)
        self.authority = self.root
        self.replace_authority(make(AUTHORITY, self.root))
        self.ticks = 0.0
        self.validator = Validator(
            folder=TrustFolder(self.folder, now=self._tick),
            fetch=self.network,
            clock=self.clock,
            randomness=system_randomness,
            lookup_seconds=self.lookup_seconds,
            made_ahead=self.made_ahead,
            grace=self.grace,
        )

    def close(self) -> None:
        self.validator.close()

    def _tick(self) -> float:
        # The folder is checked at each request.
        self.ticks += 1.0
        return self.ticks

    def replace_authority(self, made: Made) -> None:
        """Put another certificate in place of the authority's in the trust folder."""
        self.authority = made
        (self.folder / "authority.der").write_bytes(made.der)

    def leaf(self, *, crls: Sequence[str] = (), ocsp: Sequence[str] = (), **more: Any) -> Made:
        """A certificate by the authority that names these URLs."""
        return make(replace(Profile(crls=crls, ocsp=ocsp), **more), self.authority)

    def answers(self, leaf: Made, **more: Any) -> None:
        """The responder answers about the leaf from now on."""
        self.network.responders[OCSP] = lambda request: ocsp_answer(
            request, leaf, self.authority, **more
        )

    def publishes(self, *revoked: tuple[Made, datetime], **more: Any) -> None:
        """The authority publishes a list of these certificates."""
        self.network.crls[CRL] = revocation_list(self.authority, revoked, **more)

    async def validate(self, leaf: Made, at: datetime | None = None) -> ValidationResult:
        """What the leaf is worth for documents."""
        name = leaf.parsed.fingerprint(hashes.SHA256()).hex()
        results = await self.validator.validate_many({name: leaf.der}, at=at or self.clock())
        return results[name]

    async def status(self, leaf: Made, at: datetime | None = None) -> str:
        """The name of the leaf's status."""
        return (await self.validate(leaf, at)).status.name
