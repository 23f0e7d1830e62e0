"""Time-stamp requests, and tokens of an external authority, good ones and bad ones, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from signatures import oids
from signatures.gost.streebog import streebog256, streebog512
from tests.unit.identity.chains import NOW, GostKey, Made, Profile, key_usage, sign

DATA = b"a signature"
THEN = NOW - timedelta(days=2)
SHA1, SHA256, SHA512 = oids.SHA1, oids.SHA256, oids.SHA512
STREEBOG256, STREEBOG512 = oids.KZ_STREEBOG256, oids.KZ_STREEBOG512

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    SHA1: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    SHA256: lambda data: hashlib.sha256(data).digest(),
    SHA512: lambda data: hashlib.sha512(data).digest(),
    STREEBOG256: streebog256,
    STREEBOG512: streebog512,
}


def stamping(*, critical: bool = True, more: Sequence[x509.ObjectIdentifier] = ()) -> Any:
    """The extension of a certificate that stamps the time."""
    return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, *more]), critical


STAMPER = Profile(
    common_name="TSA",
    usage=key_usage("digital_signature"),
    purposes=None,
    extensions=(stamping(),),
)


def stamper(**changes: Any) -> Profile:
    return replace(STAMPER, **changes)


@dataclass(frozen=True, slots=True)
class Token:
    """What a token is to say; each test changes one thing."""

    data: bytes = DATA
    time: datetime = THEN
    imprint: str = SHA256
    version: str = "v1"
    extensions: Sequence[tuple[str, bool]] = ()
    serial_number: int = 2**100 + 1
    # None: as the key has it.
    digest: str | None = None
    algorithm: str | None = None
    content_type: str = "tst_info"
    wrapped_as: str = "tst_info"
    # Over another content than the one that is carried.
    message_digest: bytes | None = None
    names: Callable[[Made], list[dict[str, Any]]] | None = None
    attributes: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda found: found
    certificates: Sequence[Made] | None = None
    by_key_identifier: bool = False
    sid_serial: int | None = None
    signers: int = 1
    cms_version: str = "v3"
    signed: bool = True


def by_sha256(made: Made) -> list[dict[str, Any]]:
    named = {"cert_hash": DIGESTS[SHA256](made.der)}
    return [{"type": "signing_certificate_v2", "values": [{"certs": [named]}]}]


def by_sha1(made: Made) -> list[dict[str, Any]]:
    named = {"cert_hash": DIGESTS[SHA1](made.der)}
    return [{"type": "signing_certificate", "values": [{"certs": [named]}]}]


def by_streebog(made: Made) -> list[dict[str, Any]]:
    named = {
        "hash_algorithm": {"algorithm": STREEBOG512},
        "cert_hash": streebog512(made.der),
    }
    return [{"type": "signing_certificate_v2", "values": [{"certs": [named]}]}]


def by_issuer_and_serial(made: Made, *, serial: int | None = None) -> list[dict[str, Any]]:
    certificate = asn1.Certificate.load(made.der)
    named = {
        "cert_hash": DIGESTS[SHA256](made.der),
        "issuer_serial": {
            "issuer": [asn1.GeneralName("directory_name", certificate.issuer)],
            "serial_number": certificate.serial_number if serial is None else serial,
        },
    }
    return [{"type": "signing_certificate_v2", "values": [{"certs": [named]}]}]


def algorithms(key: Any) -> tuple[str, str]:
    """The OIDs of the hash function and of the signature that go with a key."""
    if isinstance(key, GostKey):
        return STREEBOG512, oids.KZ_GOST_512_STREEBOG512
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return SHA512, oids.ED25519
    if isinstance(key, rsa.RSAPrivateKey):
        return SHA256, oids.RSA_SHA256
    return SHA256, oids.ECDSA_SHA256


def info(token: Token) -> bytes:
    """The TSTInfo, DER."""
    digest = DIGESTS[token.imprint](token.data)
    fields: dict[str, Any] = {
        "version": token.version,
        "policy": "1.2.398.3.3.2.6.4",
        "message_imprint": {
            "hash_algorithm": {"algorithm": token.imprint},
            "hashed_message": digest,
        },
        "serial_number": token.serial_number,
        "gen_time": token.time,
    }
    if token.extensions:
        fields["extensions"] = [
            {"extn_id": oid, "critical": critical, "extn_value": b""}
            for oid, critical in token.extensions
        ]
    encoded: bytes = tsp.TSTInfo(fields).dump()
    return encoded


def make_query(
    data: bytes = DATA, *, algorithm: str = "sha256", digest: bytes | None = None, **fields: Any
) -> bytes:
    """A TimeStampReq, DER."""
    imprint = {
        "hash_algorithm": {"algorithm": algorithm},
        "hashed_message": hashlib.sha256(data).digest() if digest is None else digest,
    }
    request = {"version": "v1", "message_imprint": imprint, "cert_req": True} | fields
    encoded: bytes = tsp.TimeStampReq(request).dump()
    return encoded


def make_token(signer: Made, token: Token | None = None, **changes: Any) -> bytes:
    """A TimeStampToken, DER."""
    token = replace(token or Token(), **changes)
    content = info(token)
    certificate = asn1.Certificate.load(signer.der)
    hash_, algorithm = algorithms(signer.key)
    hash_, algorithm = token.digest or hash_, token.algorithm or algorithm
    digest = token.message_digest or DIGESTS[hash_](content)
    attributes = cms.CMSAttributes(
        token.attributes(
            [
                {"type": "content_type", "values": [token.content_type]},
                {"type": "message_digest", "values": [digest]},
                *(token.names or by_sha256)(signer),
            ]
        )
    )
    pair = {
        "issuer": certificate.issuer,
        "serial_number": token.sid_serial or certificate.serial_number,
    }
    sid = cms.SignerIdentifier("issuer_and_serial_number", pair)
    if token.by_key_identifier:
        sid = cms.SignerIdentifier("subject_key_identifier", certificate.key_identifier)
    signed: dict[str, Any] = {
        "version": "v3" if token.by_key_identifier else "v1",
        "sid": sid,
        "digest_algorithm": {"algorithm": hash_},
        "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": algorithm}),
        "signature": sign(signer.key, attributes.dump() if token.signed else content),
    }
    if token.signed:
        signed["signed_attrs"] = attributes
    carried = [signer] if token.certificates is None else token.certificates
    data: dict[str, Any] = {
        "version": token.cms_version,
        "digest_algorithms": [{"algorithm": hash_}],
        "encap_content_info": {
            "content_type": token.wrapped_as,
            "content": core.ParsableOctetString(content),
        },
        "signer_infos": [signed] * token.signers,
    }
    if carried:
        data["certificates"] = [
            cms.CertificateChoices("certificate", asn1.Certificate.load(made.der))
            for made in carried
        ]
    wrapped = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)})
    encoded: bytes = wrapped.dump()
    return encoded
