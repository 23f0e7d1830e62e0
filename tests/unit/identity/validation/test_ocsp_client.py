"""OCSP answers of external authorities: which are accepted, and what they say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto.core import GeneralizedTime

from services.identity.validation.interface import CertificateStatus
from tests.unit.identity.authorities import (
    BEFORE,
    HOUR,
    OCSP,
    External,
    ocsp_answer,
    with_single_extensions,
)
from tests.unit.identity.chains import NOW


async def test_a_responder_says_good(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf)
    assert await external.status(leaf) == "GOOD"


async def test_a_responder_says_since_when_a_certificate_is_revoked(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf, revoked_since=BEFORE)
    result = await external.validate(leaf)
    assert result.status is CertificateStatus.REVOKED
    assert result.revoke_time == BEFORE
    assert await external.status(leaf, BEFORE - HOUR) == "GOOD"


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "to another request": {"nonce": b"n" * 32},
    "out of date": {"this_update": NOW - HOUR, "next_update": NOW},
    "dated in the future": {"this_update": NOW + timedelta(minutes=6)},
    "without a nonce, made ahead for too long": {
        "with_nonce": False,
        "this_update": NOW - timedelta(days=11),
        "next_update": NOW + timedelta(days=20),
    },
    "without a nonce, made ahead by more than an hour": {
        "with_nonce": False,
        "this_update": NOW - timedelta(minutes=66),
        "next_update": NOW + timedelta(days=7),
    },
    "without a nonce and out of date": {
        "with_nonce": False,
        "this_update": NOW - HOUR / 2,
        "next_update": NOW,
    },
    "without a nonce and nextUpdate, and five minutes old": {
        "with_nonce": False,
        "next_update": None,
        "this_update": NOW - timedelta(minutes=5),
    },
    "whose nextUpdate is before its thisUpdate": {
        "this_update": NOW + timedelta(minutes=4),
        "next_update": NOW + timedelta(minutes=3),
    },
    "that the certificate is not known": {"unknown": True},
}


async def test_an_answer_that_was_made_ahead_holds_until_its_next_update(
    external: External,
) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(
        leaf, with_nonce=False, this_update=NOW - HOUR, next_update=NOW + timedelta(days=7)
    )
    assert await external.status(leaf) == "GOOD"


async def test_an_operator_lets_a_responders_answers_be_a_day_old(tmp_path: Path) -> None:
    external = External(tmp_path / "trust", made_ahead=frozenset({"authority.example"}))
    try:
        for hours, status in ((23, "GOOD"), (25, "UNKNOWN")):
            leaf = external.leaf(ocsp=[OCSP])
            external.answers(
                leaf,
                with_nonce=False,
                this_update=NOW - hours * HOUR,
                next_update=NOW + timedelta(days=7),
            )
            assert await external.status(leaf) == status
    finally:
        external.close()


async def test_an_answer_with_our_nonce_may_be_of_any_age(external: External) -> None:
    for next_update in (None, NOW + HOUR):
        leaf = external.leaf(ocsp=[OCSP])
        external.answers(leaf, this_update=NOW - timedelta(days=11), next_update=next_update)
        assert await external.status(leaf) == "GOOD"


@pytest.mark.parametrize("bad", BAD_ANSWERS)
async def test_an_unusable_answer_leaves_the_certificate_unknown(
    external: External, bad: str
) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf, **BAD_ANSWERS[bad])
    assert await external.status(leaf) == "UNKNOWN"


@pytest.mark.parametrize("data", [b"", b"\x30\x03\x0a\x01\x06", b"<html>"])
async def test_bytes_that_are_not_an_answer_leave_the_certificate_unknown(
    external: External, data: bytes
) -> None:
    external.network.responders[OCSP] = lambda _: data
    assert await external.status(external.leaf(ocsp=[OCSP])) == "UNKNOWN"


async def test_an_answer_about_another_certificate_is_unusable(external: External) -> None:
    leaf, other = external.leaf(ocsp=[OCSP]), external.leaf()
    external.answers(leaf, about=other)
    assert await external.status(leaf) == "UNKNOWN"


async def test_an_unknown_critical_extension_makes_an_answer_unusable(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP])

    def says(**extension: Any) -> None:
        external.network.responders[OCSP] = lambda request: with_single_extensions(
            ocsp_answer(request, leaf, external.authority, revoked_since=BEFORE),
            external.authority,
            extension,
        )

    says(extn_id="invalidity_date", extn_value=GeneralizedTime(BEFORE - HOUR))
    assert (await external.validate(leaf)).revoke_time == BEFORE - HOUR
    for critical, status in ((False, "REVOKED"), (True, "UNKNOWN")):
        says(extn_id="1.2.3.4", critical=critical, extn_value=b"\x05\0")
        external.clock.move(minutes=6)
        assert await external.status(leaf) == status


async def test_a_fresh_answer_without_a_nonce_is_accepted(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP])
    external.answers(leaf, with_nonce=False)
    assert await external.status(leaf) == "GOOD"


async def test_an_answer_with_a_forged_signature_is_unusable(external: External) -> None:
    leaf = external.leaf(ocsp=[OCSP])

    def forged(request: bytes) -> bytes:
        answer = bytearray(ocsp_answer(request, leaf, external.authority))
        answer[-1] ^= 1
        return bytes(answer)

    external.network.responders[OCSP] = forged
    assert await external.status(leaf) == "UNKNOWN"
