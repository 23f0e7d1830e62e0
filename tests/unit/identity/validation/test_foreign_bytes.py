"""Whatever bytes come as a certificate, there is an answer about it, and no exception."""

from __future__ import annotations

import contextlib
import os
import random
from dataclasses import replace

import pytest

from services.identity.certificates.messages import to_info
from services.identity.validation.crl import read_crl
from services.identity.validation.evidence import UnusableEvidence
from services.identity.validation.interface import Chain, Issuer, Refused
from services.identity.validation.paths import PathFinder
from services.identity.validation.trust_store import TrustStore
from services.identity.x509.certification_requests import InvalidRequest, read_certification_request
from services.identity.x509.time_stamp_tokens import MalformedTimeStamp, read_token
from tests.unit.identity.chains import AUTHORITY, NOW, ROOT, Profile, make, spki_of

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
    for _ in range(COUNT):
        data = mutated(random_.choice((leaf.der, authority.der)), random_)
        found = paths.find(data, NOW)
        assert isinstance(found, Chain | Refused)
        to_info(data)
        paths.find(leaf.der, NOW, [data])
        for read in (read_token, read_certification_request, lambda data: read_crl(data, issuer)):
            with contextlib.suppress(MalformedTimeStamp, InvalidRequest, UnusableEvidence):
                read(data)


@pytest.mark.parametrize("count", [0, 1, 65, 1_000, 3_000])
def test_there_is_an_answer_about_any_number_of_names(count: int) -> None:
    from tests.unit.identity.validation.test_paths import with_many_units

    root = make(ROOT)
    paths = PathFinder(TrustStore((root.der,)))
    der = with_many_units(count) if count else make(replace(ROOT, name=None)).der
    assert isinstance(paths.find(der, NOW), Chain | Refused)
    to_info(der)
