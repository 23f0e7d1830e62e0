"""Whatever bytes come as a certificate, a list, an answer or a token, there is an answer about it,
and no exception."""

from __future__ import annotations

import contextlib
import os
import random
from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509

from services.identity.certificates.messages import to_info
from services.identity.validation.crl import read_crl
from services.identity.validation.evidence import UnusableEvidence
from services.identity.validation.interface import Chain, Issuer, Refused
from services.identity.validation.ocsp_client import build_request, read_answer
from services.identity.validation.paths import PathFinder
from services.identity.validation.trust_store import TrustStore
from services.identity.x509.certification_requests import InvalidRequest, read_certification_request
from services.identity.x509.time_stamp_tokens import MalformedTimeStamp, read_token
from signatures.der import BIT_STRING, OCTET_STRING, SEQUENCE, Reader, encode, encode_oid
from tests.unit.identity.authorities import CRL, OCSP, ocsp_answer, revocation_list
from tests.unit.identity.chains import AUTHORITY, NOW, ROOT, Profile, make, sign, spki_of

# A twentieth of what LONG_RUN=1 makes.
COUNT = 40_000 if os.environ.get("LONG_RUN") else 2_000
# Lengths, tags and numbers that parsers stumble over.
ODD = [
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\x81",
    b"\x84\xff\xff\xff\xff",
    b"\xff",
    b"\x30\x80",
    b"\x02\x00",
]


def mutated(der: bytes, random_: random.Random) -> bytes:
    """The bytes with one to three places changed, cut out, doubled, or replaced by odd ones."""
    data = bytearray(der)
    for _ in range(random_.randint(1, 3)):
        at = random_.randrange(len(data))
        match random_.randrange(5):
            case 0:
                data[at] = random_.randrange(256)
            case 1:
                data[at] ^= 1 << random_.randrange(8)
            case 2:
                del data[at : at + random_.randint(1, 4)]
            case 3:
                data[at:at] = data[at : at + random_.randint(1, 64)]
            case _:
                odd = random_.choice(ODD)
                data[at : at + len(odd)] = odd
        if not data:
            return b"\x00"
    return bytes(data)


def mutated_and_signed(der: bytes, key: Any, random_: random.Random) -> bytes:
    """The signed content mutated, under a good signature by the key: what an authority in the trust
    folder might make, which is read further than what nobody signed."""
    parts = Reader(der).sequence()
    content, algorithm = parts.any()[2], parts.any()[2]
    content = mutated(content, random_)
    signature = encode(BIT_STRING, b"\0" + sign(key, content))
    return encode(SEQUENCE, content + algorithm + signature)


@pytest.fixture
def random_() -> random.Random:
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(2**32)
    print(f"SEED={seed}")
    return random.Random(seed)


def test_there_is_an_answer_about_any_bytes(random_: random.Random) -> None:
    root = make(ROOT)
    authority = make(AUTHORITY, root)
    leaf = make(Profile(ocsp=["http://ocsp.example"], crls=["http://crl.example"]), authority)
    paths = PathFinder(TrustStore((root.der,), (authority.der,)))
    issuer = Issuer(
        name=authority.parsed.subject.public_bytes(), spki=spki_of(authority), signs_crls=True
    )
    for turn in range(COUNT):
        der = random_.choice((leaf.der, authority.der))
        data = (
            mutated_and_signed(der, authority.key, random_) if turn % 2 else mutated(der, random_)
        )
        found = paths.find(data, NOW)
        assert isinstance(found, Chain | Refused)
        to_info(data)
        paths.find(leaf.der, NOW, [data])
        for read in (read_token, read_certification_request, lambda data: read_crl(data, issuer)):
            with contextlib.suppress(MalformedTimeStamp, InvalidRequest, UnusableEvidence):
                read(data)


def test_any_list_and_any_ocsp_answer_is_read_or_unusable(random_: random.Random) -> None:
    root = make(ROOT)
    authority = make(AUTHORITY, root)
    leaf = make(Profile(ocsp=[OCSP], crls=[CRL]), authority)
    chain = PathFinder(TrustStore((root.der,), (authority.der,))).find(leaf.der, NOW)
    assert isinstance(chain, Chain)
    about = chain.links[0]
    nonce = bytes(32)
    details = [(x509.InvalidityDate(NOW), False)]
    crl = revocation_list(authority, [(leaf, NOW)], entry_extensions=details)
    answer = ocsp_answer(build_request(about, nonce), leaf, authority, revoked_since=NOW)
    basic = asn1_ocsp.OCSPResponse.load(answer)["response_bytes"]["response"].contents
    read = 0
    for _ in range(COUNT // 4):
        with contextlib.suppress(UnusableEvidence):
            data = mutated_and_signed(crl, authority.key, random_)
            read_crl(data, about.issuer).find(about, NOW)
            read += 1
        with contextlib.suppress(UnusableEvidence):
            content = mutated_and_signed(basic, authority.key, random_)
            read_answer(in_ocsp_response(content), about, nonce, NOW)
            read += 1
    # Some come through, or none would be read to its end.
    assert read > 0


def in_ocsp_response(basic: bytes) -> bytes:
    """A successful OCSPResponse with the BasicOCSPResponse (RFC 6960, section 4.2.1)."""
    typed = encode_oid("1.3.6.1.5.5.7.48.1.1") + encode(OCTET_STRING, basic)
    return encode(SEQUENCE, b"\x0a\x01\0" + encode(0xA0, encode(SEQUENCE, typed)))


@pytest.mark.parametrize("count", [0, 1, 65, 1_000, 3_000])
def test_there_is_an_answer_about_any_number_of_names(count: int) -> None:
    from tests.unit.identity.validation.test_paths import with_many_units

    root = make(ROOT)
    paths = PathFinder(TrustStore((root.der,)))
    der = with_many_units(count) if count else make(replace(ROOT, name=None)).der
    assert isinstance(paths.find(der, NOW), Chain | Refused)
    to_info(der)
