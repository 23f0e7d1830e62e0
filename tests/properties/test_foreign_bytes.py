"""Whatever strangers make of certificates, lists, answers and tokens is answered by itself."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509

from services.identity.certificates.messages import to_info
from services.identity.validation.crl import read_crl
from services.identity.validation.crl_search import ListEvidence
from services.identity.validation.evidence import UnusableEvidence
from services.identity.validation.interface import CertificateStatus, Chain, Link, Refused
from services.identity.validation.ocsp_client import build_request, read_answer
from services.identity.validation.paths import PathFinder
from services.identity.validation.trust_store import TrustStore
from services.identity.validation.validator import Validator
from services.identity.x509.certification_requests import InvalidRequest, read_certification_request
from services.identity.x509.time_stamp_tokens import MalformedTimeStamp, may_stamp, read_token
from signatures.der import OCTET_STRING, SEQUENCE, Reader, encode, encode_oid
from tests.properties.mutations import Mutator
from tests.unit.identity.authorities import (
    CRL,
    OCSP,
    External,
    ocsp_answer,
    revocation_list,
)
from tests.unit.identity.chains import AUTHORITY, NOW, ROOT, Profile, make, new_key, sign
from tests.unit.identity.service import certificate_request
from tests.unit.identity.stamps import STAMPER, make_token

# Items of a long run (LONG_RUN=1); a twentieth otherwise. SEED=n repeats the run that printed it.
LONG_RUN_ITEMS = 40_000
ITEMS = LONG_RUN_ITEMS if os.environ.get("LONG_RUN") else LONG_RUN_ITEMS // 20
TIMES = (
    NOW,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
)
NONCE = bytes(32)
OCSP_BASIC = "1.3.6.1.5.5.7.48.1.1"


@pytest.fixture(scope="module")
def random() -> Random:
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**32))
    print(f"SEED={seed}")
    return Random(seed)


def resigned(der: bytes, key: object) -> bytes:
    """What an authority would have signed: the changed content, under its own signature."""
    try:
        outer = Reader(der).sequence()
        _, _, content = outer.any()
        _, _, algorithm = outer.any()
    except ValueError:
        return der
    signature = encode(0x03, b"\0" + sign(key, content))
    return encode(0x30, content + algorithm + signature)


def mutants(random: Random, ders: list[bytes], key: object, count: int) -> Iterator[bytes]:
    """Mutated items, most of them signed by the key again where there is one."""
    mutator = Mutator(random)
    for _ in range(count):
        der = random.choice(ders)
        changed = mutator.garble(der) if random.random() < 0.2 else mutator.mutate(der)
        yield resigned(changed, key) if key and random.random() < 0.7 else changed


def answered(work: Callable[[], object], item: bytes) -> object:
    """Return what work returns. An exception fails the test with the item."""
    try:
        return work()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} for {item.hex()}") from error


ROOT_MADE = make(ROOT)
ISSUER = make(AUTHORITY, ROOT_MADE)
LEAF = make(
    Profile(
        crls=[CRL],
        ocsp=[OCSP],
        policies=["1.2.398.3.3.2.3"],
        extensions=[
            (x509.SubjectAlternativeName([x509.RFC822Name("a@example.kz")]), False),
            (
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ISSUER.key.public_key()),
                False,
            ),
        ],
    ),
    ISSUER,
)
CONSTRAINED = make(
    Profile(
        common_name="Constrained",
        authority=True,
        extensions=[(x509.NameConstraints([x509.DNSName("example.kz")], None), True)],
    ),
    ISSUER,
)


def test_every_certificate_has_a_path_or_a_reason_and_is_inspected(random: Random) -> None:
    paths = PathFinder(TrustStore((ROOT_MADE.der,), (ISSUER.der,)))
    ders = [LEAF.der, CONSTRAINED.der, ISSUER.der]
    for der in mutants(random, ders, ISSUER.key, ITEMS // 2):
        for at in TIMES:
            found = answered(partial(paths.find, der, at), der)
            assert isinstance(found, Chain | Refused)
        answered(partial(to_info, der), der)
        answered(partial(paths.find, LEAF.der, NOW, [der, der]), der)


def test_no_certificate_of_the_trust_folder_hides_the_others(random: Random) -> None:
    ders = [ROOT_MADE.der, ISSUER.der, CONSTRAINED.der]
    bad = list(mutants(random, ders, ROOT_MADE.key, ITEMS // 20))
    for start in range(0, len(bad), 10):
        chunk = bad[start : start + 10]
        store = TrustStore((ROOT_MADE.der, *chunk[:5]), (ISSUER.der, *chunk[5:]))
        found = PathFinder(store).find(LEAF.der, NOW)
        assert isinstance(found, Chain), [der.hex() for der in chunk]


async def test_the_certificates_beside_a_bad_one_keep_their_answers(
    random: Random, tmp_path: Path
) -> None:
    external = External(tmp_path / "trust")
    leaf = external.leaf(crls=[CRL])
    external.publishes()
    bad = list(mutants(random, [leaf.der], external.authority.key, ITEMS // 10))
    many = {str(place): der for place, der in enumerate(bad)} | {"good": leaf.der}
    results = await validate(external.validator, many)
    assert results.keys() == many.keys()
    assert results["good"] is CertificateStatus.GOOD
    external.close()


async def validate(validator: Validator, many: dict[str, bytes]) -> dict[str, CertificateStatus]:
    found = await validator.validate_many(many, at=NOW)
    return {name: result.status for name, result in found.items()}


def link() -> Link:
    found = PathFinder(TrustStore((ROOT_MADE.der,), (ISSUER.der,))).find(LEAF.der, NOW)
    assert isinstance(found, Chain)
    return found.links[0]


def test_every_list_is_read_or_unusable(random: Random) -> None:
    about = link()
    lists = [
        revocation_list(
            ISSUER, [(LEAF, NOW)], entry_extensions=[(x509.InvalidityDate(NOW), False)]
        ),
        revocation_list(ISSUER, extensions=[(x509.CRLNumber(7), False)]),
    ]
    read = 0
    for der in mutants(random, lists, ISSUER.key, ITEMS // 5):

        def look_up(der: bytes = der) -> bool:
            try:
                ListEvidence(about, timedelta(0)).add(read_crl(der, about.issuer), (), NOW)
            except UnusableEvidence:
                return False
            return True

        read += answered(look_up, der) is True
    # Some come through, or none would be read to its end.
    assert read > 0


def test_every_ocsp_answer_is_read_or_unusable(random: Random) -> None:
    about = link()
    answer = ocsp_answer(build_request(about, NONCE), LEAF, ISSUER, revoked_since=NOW)
    basic = asn1_ocsp.OCSPResponse.load(answer)["response_bytes"]["response"].contents
    usable = 0
    for der in mutants(random, [basic], ISSUER.key, ITEMS // 5):
        # OCSPResponse (RFC 6960, section 4.2.1): successful, and the content by its type.
        typed = encode_oid(OCSP_BASIC) + encode(OCTET_STRING, der)
        whole = encode(SEQUENCE, b"\x0a\x01\0" + encode(0xA0, encode(SEQUENCE, typed)))

        def read(data: bytes = whole) -> bool:
            try:
                read_answer(data, about, NONCE, NOW)
            except UnusableEvidence:
                return False
            return True

        usable += answered(read, whole) is True
    assert usable > 0


def test_every_time_stamp_is_read_or_malformed(random: Random) -> None:
    signer = make(STAMPER, ISSUER)
    whole = make_token(signer)
    for der in mutants(random, [whole], None, ITEMS // 10):

        def read(data: bytes = der) -> None:
            try:
                stamp = read_token(data)
            except MalformedTimeStamp:
                return
            for certificate in stamp.certificates:
                may_stamp(certificate)

        answered(read, der)


def test_every_certification_request_is_read_or_invalid(random: Random) -> None:
    key = new_key()
    der = certificate_request(key)
    for data in mutants(random, [der], key, ITEMS // 10):

        def read(data: bytes = data) -> None:
            with contextlib.suppress(InvalidRequest):
                read_certification_request(data)

        answered(read, data)
