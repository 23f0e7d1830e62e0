"""Paths of external certificates: which are valid, which are not, and from when to when."""

from __future__ import annotations

import gc
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import x509 as asn1
from asn1crypto.keys import PublicKeyInfo
from cryptography import x509

from services.identity.validation.interface import (
    REASON_LIMIT,
    CertificateStatus,
    Chain,
    Refused,
)
from services.identity.validation.path_engine import PolicyInputs
from services.identity.validation.paths import CONSTRAINTS_LIMIT, PATHS_LIMIT, PathFinder
from services.identity.validation.trust_store import TrustStore
from services.identity.x509.inspection import load, usage_of
from services.identity.x509.limits import NAME_LIMIT_BYTES
from services.identity.x509.usages import CertificateUsage
from signatures.x509 import verify_x509_signature
from tests.unit.identity import certificate_cases as cases
from tests.unit.identity.chains import (
    AUTHORITY,
    NOW,
    ROOT,
    Made,
    Profile,
    make,
    name_of,
    new_key,
    spki_of,
)
from tests.unit.signatures.builders import shared_certificate


def status_of(chain: cases.Chain) -> str:
    """The status, revocation aside, without its prefix."""
    paths = PathFinder(
        TrustStore(chain.anchors, chain.intermediates),
        PolicyInputs(chain.policies, bool(chain.policies)),
    )
    found = paths.find(chain.leaf, chain.at)
    if isinstance(found, Refused):
        return found.status.name
    return "GOOD" if usage_of(load(chain.leaf)) is CertificateUsage.SIGN else "WRONG_USAGE"


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.id)
def test_a_chain_has_the_status_that_rfc_5280_says(case: cases.Case) -> None:
    assert status_of(case.build()) == case.status


def test_a_chain_is_valid_while_all_of_its_certificates_are() -> None:
    root = make(ROOT)
    authority = make(replace(AUTHORITY, not_after=NOW + timedelta(days=10)), root)
    leaf = make(Profile(not_before=NOW - timedelta(days=5)), authority)
    found = PathFinder(TrustStore((root.der,), (authority.der,))).find(leaf.der, NOW)
    assert isinstance(found, Chain)
    assert found.valid_from == NOW - timedelta(days=5)
    assert found.valid_until == NOW + timedelta(days=10)
    assert found.covers(found.valid_until) and found.covers(found.valid_from)
    assert not found.covers(found.valid_until + timedelta(seconds=1))
    assert not found.covers(found.valid_from - timedelta(microseconds=1))


def test_intermediates_that_come_along_help_but_are_not_trusted() -> None:
    root, stranger = make(ROOT), make(replace(ROOT, common_name="Stranger"))
    authority = make(AUTHORITY, root)
    leaf = make(Profile(), authority)
    paths = PathFinder(TrustStore((root.der,)))
    assert isinstance(paths.find(leaf.der, NOW), Refused)
    assert isinstance(paths.find(leaf.der, NOW, [authority.der]), Chain)
    own = make(Profile(), stranger)
    assert isinstance(paths.find(own.der, NOW, [stranger.der]), Refused)
    # An intermediate that came with one certificate does not serve for another.
    assert isinstance(paths.find(leaf.der, NOW), Refused)


def test_many_issuers_of_one_name_make_no_endless_search() -> None:
    root = make(ROOT)
    same = [make(replace(ROOT, common_name="Same")) for _ in range(8)]
    ring = [make(replace(AUTHORITY, common_name="Same"), made).der for made in same]
    leaf = make(Profile(), same[0])
    assert isinstance(PathFinder(TrustStore((root.der,))).find(leaf.der, NOW, ring), Refused)


def forged(like: Made, *, issuer: Made, with_serial: bool = False) -> bytes:
    """What anybody can make: an authority's name and key, or its serial number."""
    name = name_of("Forged") if with_serial else like.name
    made = asn1.Certificate.load(make(Profile(name=name), Made(b"", new_key(), issuer.name)).der)
    inner = made["tbs_certificate"]
    if with_serial:
        inner["serial_number"] = like.parsed.serial_number
    else:
        inner["subject_public_key_info"] = PublicKeyInfo.load(spki_of(like))
    der: bytes = made.dump(force=True)
    return der


def test_a_forged_certificate_does_not_hide_the_paths_of_others() -> None:
    root = make(ROOT)
    authority = make(AUTHORITY, root)
    # The authority has a new key, certified under its old one.
    renewed = make(AUTHORITY, authority)
    paths = PathFinder(TrustStore((root.der,), (authority.der, renewed.der)))
    for issuer in (authority, renewed):
        for forgery in (
            forged(root, issuer=issuer),
            forged(renewed, issuer=issuer, with_serial=True),
            forged(authority, issuer=root, with_serial=True),
        ):
            assert isinstance(paths.find(forgery, NOW), Refused)
        assert isinstance(paths.find(make(Profile(), issuer).der, NOW), Chain)


def named(text: str, length: int) -> x509.Name:
    attribute = x509.NameAttribute(x509.NameOID.COMMON_NAME, text * length, _validate=False)
    return x509.Name([attribute])


def presented(authority: Made, length: int) -> list[tuple[bytes, list[bytes]]]:
    """Certificates that each bear another long name, with the intermediates that come along: what
    an attacker may send without end."""
    key = new_key()
    found: list[tuple[bytes, list[bytes]]] = []
    for letter in "abcdefghijklmnopqrst":
        name = named(letter, length)
        stranger = Made(b"", key, name)
        intermediate = make(replace(AUTHORITY, name=name), stranger, key=key)
        found += [
            (make(Profile(), stranger).der, []),
            (make(Profile(name=name), authority).der, []),
            (make(Profile(), intermediate).der, [intermediate.der]),
        ]
    return found


@pytest.mark.parametrize("length", [2_000, 50_000])
def test_little_memory_is_kept_of_what_callers_present(length: int) -> None:
    root = make(ROOT)
    authority = make(AUTHORITY, root)
    paths = PathFinder(TrustStore((root.der,), (authority.der,)))
    certificates = presented(authority, length)
    paths.find(make(Profile(), authority).der, NOW)
    tracemalloc.start()
    try:
        for der, intermediates in certificates:
            paths.find(der, NOW, intermediates)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10 * 2_000, "not ten of twenty names"


def test_the_reason_of_a_refusal_is_short() -> None:
    unknown: list[tuple[x509.ExtensionType, bool]] = [
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{index}"), b"\x05\0"), True)
        for index in range(1_000)
    ]
    root = make(ROOT)
    found = PathFinder(TrustStore((root.der,))).find(
        make(Profile(extensions=unknown), root).der, NOW
    )
    assert isinstance(found, Refused) and len(found.reason) <= REASON_LIMIT


def test_an_issuer_of_a_longer_name_than_any_authoritys_is_untrusted() -> None:
    root = make(replace(ROOT, name=named("a", NAME_LIMIT_BYTES)))
    found = PathFinder(TrustStore((root.der,))).find(make(Profile(), root).der, NOW)
    assert isinstance(found, Refused) and found.status is CertificateStatus.UNTRUSTED


def test_an_authority_of_the_store_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = cases.usual()
    verified = []

    def counted(
        spki: bytes, algorithm: str, parameters: bytes | None, tbs: bytes, signature: bytes
    ) -> bool:
        verified.append(tbs)
        return verify_x509_signature(spki, algorithm, parameters, tbs, signature)

    monkeypatch.setattr("services.identity.validation.path_engine.verify_x509_signature", counted)
    paths = PathFinder(TrustStore(chain.anchors, chain.intermediates))
    for _ in range(3):
        assert isinstance(paths.find(chain.leaf, NOW), Chain)
    assert len(verified) == 4, "the authority once, the leaf three times"


@pytest.mark.parametrize("count", [5, 30])
@pytest.mark.parametrize("rooted", [0, 1, -1])
def test_a_short_path_is_found_among_authorities_that_certify_each_other(
    count: int, rooted: int
) -> None:
    root = make(ROOT)
    every = [Made(b"", new_key(), name_of(f"CA {place}")) for place in range(count)]
    crossed = [
        make(replace(AUTHORITY, name=one.name), other, key=one.key).der
        for one in every
        for other in every
        if one is not other
    ]
    below_root = every[rooted]
    crossed.append(make(replace(AUTHORITY, name=below_root.name), root, key=below_root.key).der)
    paths = PathFinder(TrustStore((root.der,), tuple(crossed)))
    assert isinstance(paths.find(make(Profile(), every[0]).der, NOW), Chain)


LEAF_TIME = datetime(2022, 6, 1, tzinfo=UTC)


def test_nca_leaf_is_valid_under_its_authority_in_its_time() -> None:
    authority = shared_certificate("nca_rsa_test.crt")
    leaf = shared_certificate("individual_valid_sign_2004_rsa.cer")
    paths = PathFinder(TrustStore(anchors=(authority,)))
    assert isinstance(paths.find(leaf, LEAF_TIME), Chain)
    expired = paths.find(leaf, NOW)
    assert isinstance(expired, Refused)
    # The authority itself has expired by now.
    assert expired.status == CertificateStatus.UNTRUSTED
    year_later = paths.find(leaf, datetime(2023, 6, 1, tzinfo=UTC))
    assert isinstance(year_later, Refused)
    assert year_later.status == CertificateStatus.EXPIRED


def test_nca_authentication_leaf_has_a_path_and_signs_nothing() -> None:
    authority = shared_certificate("nca_rsa_test.crt")
    leaf = shared_certificate("individual_valid_sign_2004_rsa_auth.cer")
    assert isinstance(PathFinder(TrustStore((authority,))).find(leaf, LEAF_TIME), Chain)
    assert usage_of(load(leaf)) is CertificateUsage.AUTHENTICATE


def test_nca_gost_authority_is_valid_under_the_gost_root() -> None:
    root = shared_certificate("root_test_gost_2022.cer")
    authority = shared_certificate("nca_gost2022_test.cer")
    found = PathFinder(TrustStore((root,))).find(authority, NOW)
    assert isinstance(found, Chain)
    assert found.links[0].crl_urls == ("http://crl.root.gov.kz/gost_test_2022.crl",)


def test_a_leaf_of_the_older_gost_is_untrusted() -> None:
    leaf = shared_certificate("ceo_valid_sign_2004_gost.cer")
    authority = shared_certificate("nca_gost_test.crt")
    found = PathFinder(TrustStore((authority,))).find(leaf, LEAF_TIME)
    assert isinstance(found, Refused)
    assert found.status == CertificateStatus.UNTRUSTED


@pytest.mark.parametrize("count", [5, 8])
def test_authorities_that_certify_each_other_make_no_endless_search(count: int) -> None:
    roots = [make(replace(ROOT, common_name=f"Authority {n}")) for n in range(count)]
    crossed = [
        make(replace(AUTHORITY, name=subject.name), issuer, key=subject.key).der
        for subject in roots
        for issuer in roots
        if subject is not issuer
    ]
    leaf = make(Profile(), roots[0])
    anchored = PathFinder(TrustStore((roots[-1].der,), tuple(crossed)))
    assert isinstance(anchored.find(leaf.der, NOW), Chain)
    stranger = make(ROOT)
    lost = PathFinder(TrustStore((stranger.der,), tuple(crossed)))
    assert isinstance(lost.find(leaf.der, NOW), Refused)


def test_no_name_with_the_same_key_stands_twice_in_a_path() -> None:
    root, first, second = make(ROOT), make(ROOT), make(replace(ROOT, common_name="Second"))
    by_root = make(AUTHORITY, root)
    again = make(AUTHORITY, second, key=by_root.key)
    crossed = make(replace(AUTHORITY, name=second.name), by_root, key=second.key)
    paths = PathFinder(TrustStore((root.der,), (by_root.der, again.der, crossed.der)))
    found = paths.find(make(Profile(), by_root).der, NOW)
    assert isinstance(found, Chain)
    assert len(found.links) == 2
    assert isinstance(paths.find(make(Profile(), first).der, NOW), Refused)


def test_thousands_of_name_constraints_refuse_a_path_at_once() -> None:
    root = make(ROOT)
    subtrees = [x509.DNSName(f"host-{n}.example") for n in range(CONSTRAINTS_LIMIT + 1)]
    constraints = x509.NameConstraints(subtrees, None)
    authority = make(replace(AUTHORITY, extensions=[(constraints, True)]), root)
    found = PathFinder(TrustStore((root.der,), (authority.der,))).find(
        make(Profile(), authority).der, NOW
    )
    assert isinstance(found, Refused)
    assert found.status is CertificateStatus.UNTRUSTED


def behind_constraints() -> tuple[Made, Made, list[bytes], Profile]:
    """A root, an authority with the key of others that the root certified under many constraints,
    and a leaf that each of those refuses at its last one."""
    root = make(ROOT)
    free = make(AUTHORITY, root)
    refused = x509.DNSName("refused.example")
    subtrees = [*(x509.DNSName(f"host-{n}.example") for n in range(700)), refused]
    profile = replace(AUTHORITY, extensions=[(x509.NameConstraints(None, subtrees), True)])
    others = [make(profile, root, key=free.key).der for _ in range(PATHS_LIMIT - 1)]
    names = [*(x509.DNSName(f"name-{n}.example") for n in range(59)), refused]
    return root, free, others, Profile(extensions=[(x509.SubjectAlternativeName(names), False)])


def test_name_constraints_of_all_paths_together_take_little_time() -> None:
    root, authority, others, leaf = behind_constraints()
    paths = PathFinder(TrustStore((root.der,), tuple(others)))
    before = time.thread_time()
    found = paths.find(make(leaf, authority).der, NOW)
    # A tenth of a second; compared on all of the paths, they take six.
    assert time.thread_time() - before < 2.0
    assert isinstance(found, Refused)
    assert found.status is CertificateStatus.UNTRUSTED


def test_a_path_of_few_constraints_is_found_among_paths_of_many() -> None:
    root, authority, others, leaf = behind_constraints()
    subtrees = [x509.DNSName(f"host-{n}.example") for n in range(200)]
    profile = replace(AUTHORITY, extensions=[(x509.NameConstraints(None, subtrees), True)])
    few = make(profile, root, key=authority.key)
    paths = PathFinder(TrustStore((root.der,), (*others, few.der)))
    assert isinstance(paths.find(make(leaf, authority).der, NOW), Chain)


def test_an_authority_of_the_trust_folder_that_cannot_be_used_hides_no_other() -> None:
    root = make(ROOT)
    authority = make(AUTHORITY, root)
    nested = with_many_units(2_000)
    subtrees = [x509.DNSName(f"host-{n}.example") for n in range(5_000)]
    constraints = x509.NameConstraints(None, subtrees)
    large = make(replace(AUTHORITY, extensions=[(constraints, True)]), root, key=authority.key)
    unusable = (b"\x30\x00", nested, large.der)
    paths = PathFinder(TrustStore((nested, root.der), (*unusable, authority.der)))
    assert isinstance(paths.find(make(Profile(), authority).der, NOW), Chain)


def with_many_units(count: int) -> bytes:
    """A certificate of its own with so many organizational units in its names."""
    units = [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "u") for _ in range(count)]
    return make(replace(ROOT, name=x509.Name(units))).der


def test_a_certificate_that_a_library_fails_over_is_malformed_alone() -> None:
    paths = PathFinder(TrustStore((make(ROOT).der,)))
    found = paths.find(with_many_units(1_000), NOW)
    assert isinstance(found, Refused)
    assert found.status in (CertificateStatus.UNTRUSTED, CertificateStatus.MALFORMED)


@pytest.mark.parametrize("count", [0, 1, 65, 1_000, 3_000])
def test_there_is_an_answer_about_any_number_of_names(count: int) -> None:
    root = make(ROOT)
    paths = PathFinder(TrustStore((root.der,)))
    der = with_many_units(count) if count else make(replace(ROOT, name=None)).der
    assert isinstance(paths.find(der, NOW), Chain | Refused)
