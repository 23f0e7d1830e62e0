"""Validating external certificates: many at a time, without holding the event loop or the caller.

How long the loop is held is measured by `qagazsyz bench --only certificates`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.identity.validation.interface import CertificateStatus, ValidationResult
from services.identity.validation.validator import LOOKUP_CHUNK, VALIDATION_CHUNK
from services.identity.x509.inspection import NotACertificate, inspect
from signatures.der import Reader, encode
from tests.unit.identity.authorities import (
    BEFORE,
    CRL,
    HOUR,
    OCSP,
    External,
    revocation_list,
)
from tests.unit.identity.chains import AUTHORITY, NOW, ROOT, Made, Profile, key_usage, make, sign


class Turns:
    """How many turns the event loop had."""

    count = 0


@contextmanager
def counting_turns() -> Iterator[Turns]:
    """Count the event loop's turns beside the block."""
    turns = Turns()

    async def count() -> None:
        while True:
            turns.count += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    try:
        yield turns
    finally:
        task.cancel()


def by_name(leaves: Sequence[Made]) -> dict[str, bytes]:
    return {str(index): leaf.der for index, leaf in enumerate(leaves)}


def statuses(results: dict[str, ValidationResult]) -> set[CertificateStatus]:
    return {result.status for result in results.values()}


async def test_the_event_loop_goes_on_while_paths_are_searched(external: External) -> None:
    external.publishes()
    many = by_name([external.leaf(crls=[CRL]) for _ in range(4 * VALIDATION_CHUNK)])
    await external.validator.validate_many({}, at=NOW)
    with counting_turns() as turns:
        results = await external.validator.validate_many(many, at=NOW)
    assert statuses(results) == {CertificateStatus.GOOD}
    # On the loop itself, each of four chunks would take one turn of it.
    assert turns.count > 100


async def test_the_event_loop_goes_on_while_a_large_list_is_read(external: External) -> None:
    others = [(external.leaf(), BEFORE)] * 20_000
    external.publishes(*others)
    leaf = external.leaf(crls=[CRL])
    # Its path is cached, so what is left is the list.
    await external.validator.find_chain(leaf.der, [], at=NOW)
    with counting_turns() as turns:
        assert await external.status(leaf) == "GOOD"
    assert turns.count > 100


async def test_a_small_request_does_not_wait_for_a_large_one(external: External) -> None:
    external.publishes()
    many = by_name([external.leaf(crls=[CRL]) for _ in range(10 * VALIDATION_CHUNK)])
    other = {"other": external.leaf(crls=[CRL]).der}
    await external.validator.validate_many(other, at=NOW - HOUR)
    large = asyncio.create_task(external.validator.validate_many(many, at=NOW))
    await asyncio.sleep(0)
    small = asyncio.create_task(external.validator.validate_many(other, at=NOW))
    await asyncio.wait([large, small], return_when=asyncio.FIRST_COMPLETED)
    assert small.done() and not large.done()
    await large


async def test_cached_certificates_are_looked_up_in_chunks(external: External) -> None:
    external.publishes()
    leaf = external.leaf(crls=[CRL]).der
    many = {str(index): leaf for index in range(4 * LOOKUP_CHUNK)}
    await external.validator.validate_many(many, at=NOW)
    with counting_turns() as turns:
        results = await external.validator.validate_many(many, at=NOW)
    assert statuses(results) == {CertificateStatus.GOOD}
    # Paths, revocation and results, each in four chunks.
    assert turns.count >= 12


async def test_a_caller_waits_a_moment_for_the_network_and_the_look_up_goes_on(
    tmp_path: Path,
) -> None:
    external = External(tmp_path / "trust", lookup_seconds=0.05)
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf)
    external.network.gate = asyncio.Event()
    assert await external.status(leaf) == "UNKNOWN"
    external.network.gate.set()
    async with asyncio.timeout(30):
        while await external.status(leaf) == "UNKNOWN":
            pass
    assert await external.status(leaf) == "GOOD"
    assert external.network.asked == [OCSP], "the first request was not given up"
    external.close()


async def test_an_authority_that_names_a_list_is_looked_up_too(external: External) -> None:
    top = "http://root.example/list.crl"
    external.replace_authority(make(replace(AUTHORITY, crls=[top]), external.root))
    leaf = external.leaf(crls=[CRL])
    external.publishes()
    assert await external.status(leaf) == "UNKNOWN"
    external.clock.move(seconds=11)
    external.network.crls[top] = revocation_list(external.root)
    assert await external.status(leaf) == "GOOD"
    external.clock.move(minutes=6)
    external.network.crls[top] = revocation_list(
        external.root, [(external.authority, BEFORE)], this_update=NOW
    )
    external.clock.move(hours=1)
    await external.validator.renew()
    assert await external.status(leaf) == "UNTRUSTED"


async def test_a_revoked_certificate_of_an_unknown_issuer_has_no_other_times(
    external: External,
) -> None:
    dead = ["http://dead.example/"]
    external.replace_authority(make(replace(AUTHORITY, crls=dead), external.root))
    leaf = external.leaf(crls=[CRL])
    external.publishes((leaf, BEFORE))
    result = await external.validate(leaf)
    assert result.status == CertificateStatus.REVOKED
    assert result.valid_from is None and result.valid_until is None
    assert await external.status(leaf, BEFORE - HOUR) == "UNKNOWN"


async def test_an_intermediate_that_came_along_needs_a_revocation_check(external: External) -> None:
    (external.folder / "authority.der").unlink()
    external.publishes()
    leaf = external.leaf(crls=[CRL])
    result = await external.validator.validate(leaf.der, [external.authority.der], at=NOW)
    assert result.status == CertificateStatus.UNKNOWN
    # In the trust folder it needs none: the operator withdraws it there.
    (external.folder / "authority.der").write_bytes(external.authority.der)
    result = await external.validator.validate(leaf.der, [], at=NOW)
    assert result.status == CertificateStatus.GOOD


async def test_an_authentication_certificate_is_wrong_usage_without_a_look_up(
    external: External,
) -> None:
    leaf = external.leaf(
        ocsp=[OCSP],
        usage=key_usage("digital_signature", "key_encipherment"),
        purposes=[ExtendedKeyUsageOID.CLIENT_AUTH],
    )
    external.answers(leaf, revoked_since=BEFORE)
    assert await external.status(leaf) == "WRONG_USAGE"
    assert external.network.asked == []
    # For signing in it has to be valid otherwise.
    result = await external.validator.validate(leaf.der, [], at=NOW)
    assert result.status == CertificateStatus.REVOKED


# "No well-defined expiration date" (RFC 5280, section 4.1.2.5): 99991231235959Z.
FOREVER = datetime.max.replace(microsecond=0, tzinfo=UTC)


async def test_a_certificate_without_end_is_good_at_each_look(tmp_path: Path) -> None:
    root = make(replace(ROOT, not_after=FOREVER))
    external = External(tmp_path / "trust", root=root)
    try:
        external.replace_authority(make(replace(AUTHORITY, not_after=FOREVER), root))
        external.publishes()
        leaf = external.leaf(crls=[CRL], not_after=FOREVER)
        assert [await external.status(leaf) for _ in range(3)] == ["GOOD"] * 3
    finally:
        external.close()


async def test_any_time_may_be_asked_about(external: External) -> None:
    external.publishes()
    leaf = external.leaf(crls=[CRL])
    stranger = make(Profile(), make(ROOT))
    for at, status in (
        # Its authority is not valid then either.
        (FOREVER, "UNTRUSTED"),
        (datetime.min.replace(tzinfo=UTC), "UNTRUSTED"),
        (NOW, "GOOD"),
    ):
        assert [await external.status(leaf, at) for _ in range(2)] == [status] * 2
        assert [await external.status(stranger, at) for _ in range(2)] == ["UNTRUSTED"] * 2


async def test_a_certificate_that_was_revoked_and_has_expired_since_is_revoked(
    external: External,
) -> None:
    leaf = external.leaf(crls=[CRL], not_after=NOW - HOUR)
    external.publishes((leaf, BEFORE - HOUR))
    result = await external.validate(leaf)
    assert (result.status.name, result.revoke_time) == ("REVOKED", BEFORE - HOUR)
    single = await external.validator.validate(leaf.der, [], at=NOW)
    assert single.status is CertificateStatus.REVOKED
    other = external.leaf(crls=[CRL], not_after=NOW - HOUR)
    assert await external.status(other) == "EXPIRED"


async def test_the_last_second_has_the_same_answer_cold_and_cached(external: External) -> None:
    external.publishes()
    leaf = external.leaf(crls=[CRL], not_after=NOW)
    half = NOW + timedelta(milliseconds=500)
    assert [await external.status(leaf, half) for _ in range(2)] == ["GOOD", "GOOD"]


async def test_names_that_cannot_be_read_are_malformed_for_check_and_inspect_alike(
    external: External,
) -> None:
    external.publishes()
    leaf = external.leaf(crls=[CRL], common_name="Atyrau")
    bad = sign_again(leaf.der.replace(b"\x0c\x06Atyrau", b"\x0c\x06Atyra\xff"), external.authority)
    with pytest.raises(NotACertificate):
        inspect(bad)
    result = await external.validator.validate(bad, [], at=NOW)
    assert result.status is CertificateStatus.MALFORMED


def sign_again(der: bytes, issuer: Made) -> bytes:
    outer = Reader(der).sequence()
    (_, _, tbs), (_, _, algorithm) = outer.any(), outer.any()
    return encode(0x30, tbs + algorithm + encode(0x03, b"\0" + sign(issuer.key, tbs)))


@pytest.mark.parametrize(
    ("this_update", "at", "status"),
    [
        (-HOUR, -2 * HOUR, "GOOD"),
        (-HOUR, -HOUR / 2, "UNKNOWN"),  # made before the time in question
        (HOUR, -2 * HOUR, "UNKNOWN"),  # made after the certificate's end
    ],
)
async def test_a_list_from_its_own_time_proves_an_expired_certificate_good(
    external: External, this_update: timedelta, at: timedelta, status: str
) -> None:
    end = NOW - timedelta(days=300)
    leaf = external.leaf(not_before=end - timedelta(days=30), not_after=end)
    archived = revocation_list(
        external.authority, this_update=end + this_update, next_update=end + 24 * HOUR
    )
    (external.folder / "archived.crl").write_bytes(archived)
    assert await external.status(leaf, end + at) == status


async def test_a_later_list_that_revokes_wins(external: External) -> None:
    end = NOW - timedelta(days=300)
    leaf = external.leaf(not_before=end - timedelta(days=30), not_after=end)
    for name, revoked, made_at in (("a", [], end - HOUR), ("b", [(leaf, end - 3 * HOUR)], end)):
        (external.folder / f"{name}.crl").write_bytes(
            revocation_list(
                external.authority, revoked, this_update=made_at, next_update=end + 24 * HOUR
            )
        )
    assert await external.status(leaf, end - 2 * HOUR) == "REVOKED"
    assert await external.status(leaf, end - 4 * HOUR) == "GOOD"


async def test_a_grace_asks_for_a_later_list(tmp_path: Path) -> None:
    external = External(tmp_path / "trust", grace=HOUR)
    try:
        end = NOW - timedelta(days=300)
        leaf = external.leaf(not_before=end - timedelta(days=30), not_after=end)
        (external.folder / "archived.crl").write_bytes(
            revocation_list(external.authority, this_update=end, next_update=end + HOUR)
        )
        assert await external.status(leaf, end - HOUR) == "GOOD"
        assert await external.status(leaf, end - HOUR / 2) == "UNKNOWN"
    finally:
        external.close()
