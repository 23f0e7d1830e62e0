"""An outside authority that answers for its certificates: lists, OCSP, and the network between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import core
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from services.identity.validation.safe_http import Unreachable
from tests.unit.identity.chains import NOW, Made, sign


class Clock:
    """A time that stands still until a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **delta: float) -> None:
        self.now += timedelta(**delta)


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
    """What answers at which address, and what was asked. An address without an answer is dead."""

    lists: dict[str, bytes] = field(default_factory=dict)
    responders: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    # Somebody asked; answers wait for `held` where there is one.
    met: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event | None = None

    async def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        return await self._answer(url, lambda: self.lists[url])

    async def post(
        self, url: str, body: bytes, *, content_type: str, limit: int, seconds: float
    ) -> bytes:
        assert content_type == "application/ocsp-request"
        return await self._answer(url, lambda: self.responders[url](body))

    async def _answer(self, url: str, answer: Callable[[], bytes]) -> bytes:
        self.asked.append(url)
        self.met.set()
        if self.held is not None:
            await self.held.wait()
        try:
            return answer()
        except KeyError:
            raise Unreachable("nobody there") from None
