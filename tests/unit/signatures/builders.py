"""Keys and signatures for the tests of the library, and where published vectors lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import cryptography_vectors
import pytest

from qagazsyz.common.v1 import signatures_pb2
from signatures.der import (
    BIT_STRING,
    NULL,
    OCTET_STRING,
    SEQUENCE,
    encode,
    encode_oid,
    encode_unsigned,
)
from signatures.gost.curves import CURVES_BY_OID, Curve, Point

# A folder beside the project's own; absent from most clones.
SHARED_DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
VECTORS = Path(cryptography_vectors.__file__).parent

NIST_OIDS = {256: "1.2.840.10045.3.1.7", 384: "1.3.132.0.34", 521: "1.3.132.0.35"}


def shared(name: str) -> Any:
    """The JSON of a file in the shared data; skips the test where it is absent."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip("the shared data is not there")
    return json.loads(path.read_text())


def shared_certificate(name: str) -> bytes:
    """The DER of one of NCA's certificates; skips the test where they are absent."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    path = SHARED_DATA / "nca" / name
    if not path.exists():
        pytest.skip("the shared data is not there")
    data = path.read_bytes()
    if data.startswith(b"-----"):
        return x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER)
    return data


def contract_algorithm(number: int) -> signatures_pb2.SignatureAlgorithm:
    """The number as a message's field takes it, be it an algorithm's or not."""
    return cast("signatures_pb2.SignatureAlgorithm", int(number))


def spki(oid: str, parameters: bytes, bits: bytes) -> bytes:
    """A SubjectPublicKeyInfo of any content."""
    algorithm = encode(SEQUENCE, encode_oid(oid) + parameters)
    return encode(SEQUENCE, algorithm + encode(BIT_STRING, b"\0" + bits))


def ed25519_spki(point: bytes) -> bytes:
    return spki("1.3.101.112", b"", point)


def ec_spki(bits: int, point: bytes) -> bytes:
    return spki("1.2.840.10045.2.1", encode_oid(NIST_OIDS[bits]), point)


def rsa_spki(modulus: int, exponent: int, parameters: bytes = encode(NULL, b"")) -> bytes:
    numbers = encode(SEQUENCE, encode_unsigned(modulus) + encode_unsigned(exponent))
    return spki("1.2.840.113549.1.1.1", parameters, numbers)


def gost_spki(key_oid: str, curve_oid: str, point: Point, digest_oid: str | None = None) -> bytes:
    length = CURVES_BY_OID[curve_oid].length
    names = encode_oid(curve_oid) + (b"" if digest_oid is None else encode_oid(digest_oid))
    encoded = b"".join(coordinate.to_bytes(length, "little") for coordinate in point)
    return spki(key_oid, encode(SEQUENCE, names), encode(OCTET_STRING, encoded))


def dss(r: int, s: int) -> bytes:
    """r and s in DER."""
    return encode(SEQUENCE, encode_unsigned(r) + encode_unsigned(s))


def multiple(curve: Curve, scalar: int, point: Point | None = None) -> Point:
    """scalar · point, or of the base point; it must not be infinity."""
    product = curve.sum_of([(scalar, curve.odd_multiples(point or curve.base))])
    assert product is not None
    return product


def gost_sign(curve: Curve, secret: int, nonce: int, digest: bytes) -> tuple[int, int]:
    """r and s by RFC 7091, section 6.1, for a nonce that the test chooses."""
    e = int.from_bytes(digest, "little") % curve.q or 1
    r = multiple(curve, nonce)[0] % curve.q
    return r, (r * secret + nonce * e) % curve.q


@cache
def _lines(name: str) -> list[str]:
    return (VECTORS / name).read_text().splitlines()


def nist_records(name: str, last: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The section's heading and the fields so far, each time that the field `last` is met."""
    section = ""
    fields: dict[str, str] = {}
    for line in _lines(name):
        if line.startswith("["):
            section, fields = line.strip("[]"), {}
        elif " = " in line:
            field, value = line.split(" = ", 1)
            fields[field.strip()] = value.strip()
            if field.strip() == last:
                yield section, dict(fields)
