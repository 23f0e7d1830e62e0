"""Paths of outside authorities' certificates: what holds, what does not, and from when to when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import x509 as asn1
from asn1crypto.keys import PublicKeyInfo
from cryptography import x509

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.validation.paths import REASON_LIMIT, Chain, Paths, Refused
from services.identity.validation.trust_store import TrustStore
from services.identity.x509.inspection import load, usage_of
from services.identity.x509.issuing import Usage
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


def judged(chain: cases.Chain) -> str:
    """The status, revocation aside, without its prefix."""
    paths = Paths(TrustStore(chain.anchors, chain.intermediates), frozenset(chain.policies))
    found = paths.find(chain.leaf, chain.at)
    if isinstance(found, Refused):
        return Status.Name(found.status).removeprefix("CERTIFICATE_STATUS_")
    return "GOOD" if usage_of(load(chain.leaf)) is Usage.SIGN else "WRONG_USAGE"


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.id)
def test_a_chain_is_worth_what_rfc_5280_says(case: cases.Case) -> None:
    assert judged(case.build()) == case.status


def test_a_chain_holds_while_all_of_its_certificates_do() -> None:
    root = make(ROOT)
    authority = make(replace(AUTHORITY, not_after=NOW + timedelta(days=10)), root)
    leaf = make(Profile(not_before=NOW - timedelta(days=5)), authority)
    found = Paths(TrustStore((root.der,), (authority.der,))).find(leaf.der, NOW)
    assert isinstance(found, Chain)
    assert found.valid_from == NOW - timedelta(days=5)
    assert found.valid_until == NOW + timedelta(days=10)
    assert found.covers(found.valid_until) and found.covers(found.valid_from)
    assert not found.covers(found.valid_until + timedelta(seconds=1))
    assert not found.covers(found.valid_from - timedelta(microseconds=1))


def test_issuers_that_come_along_help_but_are_not_trusted() -> None:
    root, stranger = make(ROOT), make(replace(ROOT, common_name="Stranger"))
    authority = make(AUTHORITY, root)
    leaf = make(Profile(), authority)
    paths = Paths(TrustStore((root.der,)))
    assert isinstance(paths.find(leaf.der, NOW), Refused)
    assert isinstance(paths.find(leaf.der, NOW, [authority.der]), Chain)
    own = make(Profile(), stranger)
    assert isinstance(paths.find(own.der, NOW, [stranger.der]), Refused)
    # One that was shown once is not remembered for others.
    assert isinstance(paths.find(leaf.der, NOW), Refused)


def test_many_issuers_of_one_name_make_no_endless_search() -> None:
    root = make(ROOT)
    same = [make(replace(ROOT, common_name="Same")) for _ in range(8)]
    ring = [make(replace(AUTHORITY, common_name="Same"), made).der for made in same]
    leaf = make(Profile(), same[0])
    assert isinstance(Paths(TrustStore((root.der,))).find(leaf.der, NOW, ring), Refused)


def forged(like: Made, *, issuer: Made, with_number: bool = False) -> bytes:
    """What anybody can make: an authority's name and key, or its number, under another's name."""
    name = name_of("Forged") if with_number else like.name
    made = asn1.Certificate.load(make(Profile(name=name), Made(b"", new_key(), issuer.name)).der)
    inner = made["tbs_certificate"]
    if with_number:
        inner["serial_number"] = like.parsed.serial_number
    else:
        inner["subject_public_key_info"] = PublicKeyInfo.load(spki_of(like))
    der: bytes = made.dump(force=True)
    return der


def test_no_forged_certificate_hides_the_ways_of_others() -> None:
    root = make(ROOT)
    authority = make(AUTHORITY, root)
    # The authority has a new key, certified under its old one.
    renewed = make(AUTHORITY, authority)
    paths = Paths(TrustStore((root.der,), (authority.der, renewed.der)))
    for issuer in (authority, renewed):
        for forgery in (
            forged(root, issuer=issuer),
            forged(renewed, issuer=issuer, with_number=True),
            forged(authority, issuer=root, with_number=True),
        ):
            assert isinstance(paths.find(forgery, NOW), Refused)
        assert isinstance(paths.find(make(Profile(), issuer).der, NOW), Chain)


def test_what_is_remembered_of_a_stranger_is_short() -> None:
    long_name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 50_000, _validate=False)]
    )
    stranger = make(Profile(), Made(b"", new_key(), long_name))
    oids = [x509.ObjectIdentifier(f"1.2.3.{number}") for number in range(1_000)]
    unknown = [(x509.UnrecognizedExtension(oid, b"\x05\0"), True) for oid in oids]
    root = make(ROOT)
    paths = Paths(TrustStore((root.der,)))
    for der in (stranger.der, make(Profile(extensions=unknown), root).der):
        found = paths.find(der, NOW)
        assert isinstance(found, Refused) and len(found.reason) <= REASON_LIMIT
    assert all(len(key) == 32 for key in paths._ways)


def test_an_authority_of_the_store_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.identity.validation import paths as module

    chain = cases.usual()
    verified = []
    verify = module.verify_x509_signature

    def counted(*arguments: object) -> bool:
        verified.append(arguments)
        return verify(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "verify_x509_signature", counted)
    paths = Paths(TrustStore(chain.anchors, chain.intermediates))
    for _ in range(3):
        assert isinstance(paths.find(chain.leaf, NOW), Chain)
    assert len(verified) == 4, "the authority once, the leaf three times"


LEAF_TIME = datetime(2022, 6, 1, tzinfo=UTC)


def test_nca_leaf_holds_under_its_authority_in_its_time() -> None:
    authority = shared_certificate("nca_rsa_test.crt")
    leaf = shared_certificate("individual_valid_sign_2004_rsa.cer")
    paths = Paths(TrustStore(anchors=(authority,)))
    assert isinstance(paths.find(leaf, LEAF_TIME), Chain)
    expired = paths.find(leaf, NOW)
    assert isinstance(expired, Refused)
    # The authority itself has expired by now.
    assert expired.status == Status.CERTIFICATE_STATUS_UNTRUSTED
    year_later = paths.find(leaf, datetime(2023, 6, 1, tzinfo=UTC))
    assert isinstance(year_later, Refused)
    assert year_later.status == Status.CERTIFICATE_STATUS_EXPIRED


def test_nca_authentication_leaf_has_a_path_and_signs_nothing() -> None:
    authority = shared_certificate("nca_rsa_test.crt")
    leaf = shared_certificate("individual_valid_sign_2004_rsa_auth.cer")
    assert isinstance(Paths(TrustStore((authority,))).find(leaf, LEAF_TIME), Chain)
    assert usage_of(load(leaf)) is Usage.AUTHENTICATE


def test_nca_gost_authority_holds_under_the_gost_root() -> None:
    root = shared_certificate("root_test_gost_2022.cer")
    authority = shared_certificate("nca_gost2022_test.cer")
    found = Paths(TrustStore((root,))).find(authority, NOW)
    assert isinstance(found, Chain)
    assert found.links[0].lists == ("http://crl.root.gov.kz/gost_test_2022.crl",)


def test_a_leaf_of_the_older_gost_is_untrusted_and_no_error() -> None:
    leaf = shared_certificate("ceo_valid_sign_2004_gost.cer")
    authority = shared_certificate("nca_gost_test.crt")
    found = Paths(TrustStore((authority,))).find(leaf, LEAF_TIME)
    assert isinstance(found, Refused)
    assert found.status == Status.CERTIFICATE_STATUS_UNTRUSTED
