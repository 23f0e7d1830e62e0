"""CRLs of external authorities: which are accepted, and what they say of a certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from asn1crypto import algos, core
from asn1crypto import crl as asn1_crl
from cryptography import x509

from services.identity.validation.interface import CertificateStatus
from signatures import oids
from tests.unit.identity.authorities import BEFORE, CRL, HOUR, External, revocation_list
from tests.unit.identity.chains import AUTHORITY, NOW, GostKey, key_usage, make


def scope(
    *,
    at: str | None = None,
    indirect: bool = False,
    authorities: bool = False,
    users: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=None if at is None else [x509.UniformResourceIdentifier(at)],
        relative_name=None,
        only_contains_user_certs=users,
        only_contains_ca_certs=authorities,
        only_some_reasons=reasons,
        indirect_crl=indirect,
        only_contains_attribute_certs=False,
    )


async def test_a_certificate_that_is_not_on_the_list_is_good(external: External) -> None:
    external.publishes()
    assert await external.status(external.leaf(crls=[CRL])) == "GOOD"


async def test_a_certificate_on_the_list_is_revoked_from_its_date_on(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes((leaf, BEFORE))
    result = await external.validate(leaf)
    assert result.status is CertificateStatus.REVOKED
    assert result.revoke_time == BEFORE
    assert await external.status(leaf, BEFORE - timedelta(seconds=1)) == "GOOD"
    assert await external.status(leaf, BEFORE) == "REVOKED"


BAD_LISTS: dict[str, Callable[[External], bytes]] = {
    "out of date": lambda e: revocation_list(e.authority, next_update=NOW),
    "dated in the future": lambda e: revocation_list(
        e.authority, this_update=NOW + timedelta(minutes=6)
    ),
    "by another key": lambda e: revocation_list(e.authority, key=e.root.key),
    "by another issuer": lambda e: revocation_list(e.root),
    "under the issuer's name by another": lambda e: revocation_list(e.root, name=e.authority.name),
    "a delta": lambda e: revocation_list(
        e.authority, extensions=[(x509.DeltaCRLIndicator(1), True)]
    ),
    "of authorities only": lambda e: revocation_list(
        e.authority, extensions=[(scope(authorities=True), True)]
    ),
    "for some reasons only": lambda e: revocation_list(
        e.authority,
        extensions=[(scope(reasons=frozenset({x509.ReasonFlags.key_compromise})), True)],
    ),
    "published elsewhere": lambda e: revocation_list(
        e.authority, extensions=[(scope(at="http://authority.example/other.crl"), True)]
    ),
    "with an unknown critical extension": lambda e: revocation_list(
        e.authority,
        extensions=[
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0"), True)
        ],
    ),
    "not a list": lambda e: b"<html>not found</html>",
    "truncated": lambda e: revocation_list(e.authority)[:-3],
}


@pytest.mark.parametrize("bad", BAD_LISTS)
async def test_an_unusable_list_leaves_the_certificate_unknown(
    external: External, bad: str
) -> None:
    external.network.crls[CRL] = BAD_LISTS[bad](external)
    assert await external.status(external.leaf(crls=[CRL])) == "UNKNOWN"


async def test_a_list_of_end_entities_published_at_this_url_serves(external: External) -> None:
    external.publishes(extensions=[(scope(at=CRL, users=True), True)])
    assert await external.status(external.leaf(crls=[CRL])) == "GOOD"


UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")


async def test_an_entry_with_an_unknown_critical_extension_is_unusable(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes((leaf, BEFORE), entry_extensions=[(UNKNOWN_EXTENSION, True)])
    assert await external.status(leaf) == "UNKNOWN"
    assert await external.status(external.leaf(crls=[CRL])) == "GOOD"


async def test_an_entry_of_another_issuer_makes_the_list_unusable(external: External) -> None:
    other = x509.CertificateIssuer([x509.DirectoryName(external.root.name)])
    external.publishes((external.leaf(), BEFORE), entry_extensions=[(other, True)])
    assert await external.status(external.leaf(crls=[CRL])) == "UNKNOWN"


async def test_a_certificate_is_revoked_from_its_invalidity_date_on(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    lost = x509.InvalidityDate((BEFORE - HOUR).replace(tzinfo=None))
    external.publishes((leaf, BEFORE), entry_extensions=[(lost, False)])
    assert (await external.validate(leaf)).revoke_time == BEFORE - HOUR
    assert await external.status(leaf, BEFORE - HOUR) == "REVOKED"
    assert await external.status(leaf, BEFORE - HOUR - timedelta(seconds=1)) == "GOOD"


async def test_the_list_of_an_issuer_that_may_not_sign_lists_is_unusable(
    external: External,
) -> None:
    usage = key_usage("key_cert_sign")
    external.replace_authority(make(replace(AUTHORITY, usage=usage), external.root))
    external.publishes()
    assert await external.status(external.leaf(crls=[CRL])) == "UNKNOWN"


async def test_the_list_of_a_gost_authority_is_verified(external: External) -> None:
    # Made by asn1crypto, because cryptography does not sign with such a key.
    key = GostKey()
    external.replace_authority(make(AUTHORITY, external.root, key=key))
    stand_in = revocation_list(external.authority, key=external.root.key)
    parsed = asn1_crl.CertificateList.load(stand_in)
    algorithm = algos.SignedDigestAlgorithm({"algorithm": oids.KZ_GOST_512_STREEBOG512})
    tbs = parsed["tbs_cert_list"]
    tbs["signature"] = algorithm
    content = tbs.dump(force=True)

    def signed_by(signature: bytes) -> bytes:
        whole: bytes = asn1_crl.CertificateList(
            {
                "tbs_cert_list": tbs,
                "signature_algorithm": algorithm,
                "signature": core.OctetBitString(signature),
            }
        ).dump(force=True)
        return whole

    external.network.crls[CRL] = signed_by(key.sign(content))
    leaf = external.leaf(crls=[CRL])
    assert await external.status(leaf) == "GOOD"
    other = "http://authority.example/forged.crl"
    external.network.crls[other] = signed_by(key.sign(content + b"!"))
    assert await external.status(external.leaf(crls=[other])) == "UNKNOWN"
