"""Revocation of external certificates: which sources are asked, in which order, and believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.identity.validation.interface import CertificateStatus
from signatures import oids
from signatures.der import Reader, encode
from tests.unit.identity.authorities import BEFORE, CRL, HOUR, OCSP, External, revocation_list
from tests.unit.identity.chains import NOW, Made, Profile, key_usage, make, sign


async def test_a_certificate_that_names_no_source_is_unknown(external: External) -> None:
    assert await external.status(external.leaf()) == "UNKNOWN"


async def test_a_list_that_cannot_be_reached_is_unknown_and_never_good(external: External) -> None:
    assert await external.status(external.leaf(crls=[CRL])) == "UNKNOWN"


async def test_a_failure_makes_one_certificate_unknown_and_is_logged_by_its_fingerprint(
    external: External, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: bytes) -> bytes:
        raise RuntimeError("an answer that nobody foresaw")

    external.network.responders[OCSP] = fail
    leaf = external.leaf(ocsp=[OCSP])
    assert await external.status(leaf) == "UNKNOWN"
    (record,) = (one for one in caplog.records if hasattr(one, "sha256"))
    assert vars(record)["sha256"] == leaf.parsed.fingerprint(hashes.SHA256()).hex()
    assert "nobody foresaw" not in caplog.text


async def test_a_list_in_the_trust_folder_serves_if_the_network_does_not(
    external: External,
) -> None:
    leaf, revoked = external.leaf(crls=[CRL]), external.leaf()
    (external.folder / "authority.crl").write_bytes(
        revocation_list(external.authority, [(revoked, BEFORE)])
    )
    assert await external.status(leaf) == "GOOD"
    assert await external.status(revoked) == "REVOKED"
    external.clock.move(hours=24)
    assert await external.status(leaf) == "UNKNOWN", "it has expired"


async def test_an_expired_certificate_that_is_not_listed_may_have_been_dropped(
    external: External,
) -> None:
    external.publishes()
    leaf = external.leaf(crls=[CRL], not_after=NOW - timedelta(days=1))
    assert await external.status(leaf) == "EXPIRED"
    assert await external.status(leaf, NOW - timedelta(days=2)) == "UNKNOWN"


async def test_a_list_that_keeps_expired_certificates_answers_for_them(external: External) -> None:
    since = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(oids.EXPIRED_CERTS_ON_CRL), b"\x18\x0f20200101000000Z"
    )
    external.publishes(extensions=[(since, False)])
    leaf = external.leaf(crls=[CRL], not_after=NOW - timedelta(days=1))
    assert await external.status(leaf, NOW - timedelta(days=2)) == "GOOD"


async def test_an_expired_certificate_that_is_listed_is_revoked(external: External) -> None:
    leaf = external.leaf(crls=[CRL], not_after=NOW - timedelta(days=1))
    external.publishes((leaf, NOW - timedelta(days=3)))
    assert await external.status(leaf, NOW - timedelta(days=2)) == "REVOKED"


RESPONDER = Profile(
    common_name="Responder",
    usage=key_usage("digital_signature"),
    purposes=[ExtendedKeyUsageOID.OCSP_SIGNING],
    extensions=[(x509.OCSPNoCheck(), False)],
)


async def test_a_responder_that_the_issuer_authorized_is_believed(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf, responder=make(RESPONDER, external.authority))
    assert await external.status(leaf) == "GOOD"


BAD_RESPONDERS: dict[str, Callable[[External], Made]] = {
    "without the purpose": lambda e: make(replace(RESPONDER, purposes=None), e.authority),
    "with other purposes": lambda e: make(
        replace(RESPONDER, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]), e.authority
    ),
    "by the issuer's issuer": lambda e: make(RESPONDER, e.root),
    "self-signed": lambda e: make(RESPONDER),
    "expired": lambda e: make(replace(RESPONDER, not_after=NOW - HOUR), e.authority),
    "without ocsp-nocheck and without a CRL": lambda e: make(
        replace(RESPONDER, extensions=[]), e.authority
    ),
}


@pytest.mark.parametrize("bad", BAD_RESPONDERS)
async def test_another_responder_is_not_believed(external: External, bad: str) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf, responder=BAD_RESPONDERS[bad](external))
    assert await external.status(leaf) == "UNKNOWN"


@pytest.mark.parametrize("revoked", [False, True])
async def test_a_responder_without_ocsp_nocheck_is_looked_up_in_the_list(
    external: External, revoked: bool
) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    responder = make(replace(RESPONDER, extensions=[], crls=[CRL]), external.authority)
    external.answers(leaf, responder=responder)
    external.publishes(*([(responder, BEFORE)] if revoked else []))
    assert await external.status(leaf) == ("UNKNOWN" if revoked else "GOOD")


async def test_the_responder_goes_before_the_list(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP], crls=[CRL])
    external.publishes()
    external.answers(leaf, revoked_since=BEFORE)
    assert await external.status(leaf) == "REVOKED"


async def test_the_list_serves_if_the_responder_is_silent(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP], crls=[CRL])
    external.publishes()
    assert await external.status(leaf) == "GOOD"
    assert external.network.asked == [OCSP, CRL]


async def test_concurrent_look_ups_of_a_certificate_are_one_request(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf)
    external.network.gate = asyncio.Event()
    callers = [
        asyncio.create_task(external.validator.validate_many({str(index): leaf.der}, at=NOW))
        for index in range(20)
    ]
    await external.network.reached.wait()
    external.network.gate.set()
    answers = await asyncio.gather(*callers)
    statuses = {result.status for answer in answers for result in answer.values()}
    assert statuses == {CertificateStatus.GOOD}
    assert external.network.asked == [OCSP]


def signed_again(der: bytes, authority: Made, *changes: tuple[bytes, bytes]) -> bytes:
    """The list with other values of the same lengths, under the authority's signature."""
    outer = Reader(der).sequence()
    (_, _, content), (_, _, algorithm) = outer.any(), outer.any()
    for old, new in changes:
        assert len(old) == len(new) and old in content
        content = content.replace(old, new)
    signature = encode(0x03, b"\0" + sign(authority.key, content))
    return encode(0x30, content + algorithm + signature)


async def statuses(external: External, *leaves: Made) -> list[str]:
    found = await external.validator.validate_many(
        {str(place): leaf.der for place, leaf in enumerate(leaves)}, at=NOW
    )
    return [result.status.name for result in found.values()]


@pytest.mark.parametrize("odd", [b"20200101000000", b"00000101000000Z"])
async def test_a_list_whose_time_compares_with_no_other_is_unusable_and_breaks_no_batch(
    external: External, odd: bytes
) -> None:
    since = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(oids.EXPIRED_CERTS_ON_CRL), bytes([0x18, len(odd)]) + odd
    )
    external.publishes(extensions=[(since, False)])
    ends = external.leaf(crls=[CRL], not_after=NOW + timedelta(minutes=1))
    other = external.leaf(crls=[CRL])
    for _ in range(3):
        assert await statuses(external, ends, other) == ["UNKNOWN", "UNKNOWN"]
        external.clock.move(minutes=6)


async def test_an_entry_whose_date_cannot_be_read_leaves_that_certificate_unknown_alone(
    external: External,
) -> None:
    # A GeneralizedTime, as of dates from 2050 on, which then says the year 0.
    late = datetime(2050, 1, 1, tzinfo=UTC)
    bad, good = external.leaf(crls=[CRL]), external.leaf(crls=[CRL])
    made = revocation_list(external.authority, [(bad, late)])
    external.network.crls[CRL] = signed_again(
        made, external.authority, (b"20500101000000Z", b"00000101000000Z")
    )
    for _ in range(3):
        assert await statuses(external, bad, good) == ["UNKNOWN", "GOOD"]
        external.clock.move(minutes=6)
