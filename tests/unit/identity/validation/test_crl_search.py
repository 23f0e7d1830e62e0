"""Several lists together: delta lists, lists in the trust folder, lists by reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from tests.unit.identity.authorities import (
    BEFORE,
    CRL,
    DELTA,
    HOUR,
    OCSP,
    External,
    revocation_list,
)
from tests.unit.identity.chains import AUTHORITY, NOW, Made, make

FRESHEST = x509.FreshestCRL(
    [x509.DistributionPoint([x509.UniformResourceIdentifier(DELTA)], None, None, None)]
)
HOLD = x509.ReasonFlags.certificate_hold


def leaf_with_delta(external: External) -> Made:
    return external.leaf(crls=[CRL], extensions=[(FRESHEST, False)])


def publish_base(external: External, *revoked: Made, age: timedelta = 5 * HOUR) -> None:
    external.publishes(
        *((made, BEFORE) for made in revoked),
        this_update=NOW - age,
        extensions=[(x509.CRLNumber(5), False)],
        reason=HOLD,
    )


def publish_delta(
    external: External,
    *revoked: Made,
    base: int = 5,
    reason: x509.ReasonFlags = x509.ReasonFlags.key_compromise,
) -> None:
    external.network.crls[DELTA] = revocation_list(
        external.authority,
        [(made, BEFORE) for made in revoked],
        extensions=[(x509.CRLNumber(6), False), (x509.DeltaCRLIndicator(base), True)],
        reason=reason,
    )


async def test_a_certificate_that_only_the_delta_list_revokes_is_revoked(
    external: External,
) -> None:
    leaf = leaf_with_delta(external)
    publish_base(external)
    publish_delta(external, leaf)
    assert await external.status(leaf) == "REVOKED"
    assert await external.status(leaf_with_delta(external)) == "GOOD"
    assert external.network.asked == [CRL, DELTA]


async def test_a_delta_list_takes_a_hold_back(external: External) -> None:
    leaf = leaf_with_delta(external)
    publish_base(external, leaf)
    publish_delta(external, leaf, reason=x509.ReasonFlags.remove_from_crl)
    assert await external.status(leaf) == "GOOD"


@pytest.mark.parametrize(("age", "status"), [(HOUR / 2, "GOOD"), (HOUR, "UNKNOWN")])
async def test_without_the_delta_list_only_a_young_list_serves(
    external: External, age: timedelta, status: str
) -> None:
    leaf = leaf_with_delta(external)
    publish_base(external, age=age)
    assert await external.status(leaf) == status


async def test_a_delta_list_of_another_list_does_not_serve(external: External) -> None:
    publish_base(external)
    publish_delta(external, base=7)
    assert await external.status(leaf_with_delta(external)) == "UNKNOWN"


async def test_a_list_may_name_the_delta_list_itself(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes(
        this_update=NOW - 5 * HOUR, extensions=[(x509.CRLNumber(5), False), (FRESHEST, False)]
    )
    publish_delta(external, leaf)
    assert await external.status(leaf) == "REVOKED"


async def test_a_list_in_the_trust_folder_revokes_an_authority_in_it(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes()
    assert await external.status(leaf) == "GOOD"
    stored = external.folder / "root.crl"
    stored.write_bytes(revocation_list(external.root, [(external.authority, BEFORE)]))
    assert await external.status(leaf) == "UNTRUSTED"
    stored.write_bytes(revocation_list(external.root))
    assert await external.status(leaf) == "GOOD"
    stored.write_bytes(revocation_list(external.root, next_update=NOW - HOUR / 2))
    assert await external.status(leaf) == "UNKNOWN", "it is meant to be asked"


async def test_a_list_in_the_trust_folder_is_asked_beside_the_responder(
    external: External,
) -> None:
    leaf, other = external.leaf(ocsp=[OCSP]), external.leaf(ocsp=[OCSP])
    (external.folder / "list.crl").write_bytes(
        # Out of date: only a hold is ever taken back.
        revocation_list(external.authority, [(leaf, BEFORE)], next_update=NOW)
    )
    external.answers(leaf)
    assert await external.status(leaf) == "REVOKED"
    external.answers(other)
    assert await external.status(other) == "GOOD"


def by_reason(*reasons: x509.ReasonFlags) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(None, None, False, False, frozenset(reasons), False, False)


async def test_lists_by_reason_serve_if_together_they_cover_all(external: External) -> None:
    every = set(x509.ReasonFlags) - {
        x509.ReasonFlags.unspecified,
        x509.ReasonFlags.remove_from_crl,
    }
    some = {x509.ReasonFlags.key_compromise, x509.ReasonFlags.ca_compromise}
    urls = [CRL, CRL + "2"]
    leaf = external.leaf(crls=urls)
    for url, reasons in zip(urls, (some, every - some), strict=True):
        external.network.crls[url] = revocation_list(
            external.authority, extensions=[(by_reason(*reasons), True)]
        )
    assert await external.status(leaf) == "GOOD"
    assert await external.status(external.leaf(crls=urls[:1])) == "UNKNOWN"


async def test_a_renewed_key_of_the_authority_signs_lists_for_the_old_one(
    external: External,
) -> None:
    leaf = external.leaf(crls=[CRL])
    renewed = make(AUTHORITY, external.root)
    external.network.crls[CRL] = revocation_list(renewed)
    assert await external.status(leaf) == "UNKNOWN"
    (external.folder / "renewed.der").write_bytes(renewed.der)
    external.clock.move(minutes=1)
    assert await external.status(leaf) == "GOOD"
    (external.folder / "root.crl").write_bytes(revocation_list(external.root, [(renewed, BEFORE)]))
    assert await external.status(leaf) == "UNKNOWN"


async def test_a_namesake_under_another_anchor_signs_no_lists(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    other_root = make(replace(AUTHORITY, common_name="Other Root"))
    namesake = make(AUTHORITY, other_root)
    (external.folder / "other.pem").write_bytes(other_root.pem + namesake.pem)
    external.network.crls[CRL] = revocation_list(namesake)
    assert await external.status(leaf) == "UNKNOWN"
