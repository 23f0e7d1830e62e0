"""A confirmation holds for one call by its caller, and for nothing else."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from qagazsyz.common.v1 import confirmation_pb2
from qagazsyz.confirmations import HEADER, confirm, read_header
from qagazsyz.identity.v1 import subjects_pb2
from services.runtime.access import Caller
from services.runtime.acts.confirmations import HEADER_LIMIT, Confirmations
from services.runtime.errors import Unauthenticated
from signatures.x509 import is_signed_by_certificate
from tests.builders import self_signed_credential
from tests.confirming import CERTIFICATE, CHALLENGE, CREDENTIAL, confirmations

METHOD = "/qagazsyz.identity.v1.SubjectService/RemoveMembership"
REQUEST = subjects_pb2.RemoveMembershipRequest(name="a/b")
CALLER = Caller("subjects/a", "subjects/o", frozenset(), certificate=CERTIFICATE)


def header(**changes: Any) -> str:
    """The header that confirms the call, with what is changed of it."""
    parts: dict[str, Any] = {
        "credential": CREDENTIAL,
        "method": METHOD,
        "subject": CALLER.subject,
        "organization": CALLER.organization,
        "challenge": CHALLENGE,
        "request": REQUEST,
    } | changes
    return confirm(parts.pop("credential"), **parts)


async def check(value: str, caller: Caller = CALLER, checks: Confirmations | None = None) -> str:
    metadata = {HEADER: value} if value else {}
    return await (checks or confirmations()).check(
        metadata, method=METHOD, caller=caller, request=REQUEST
    )


async def refusal(value: str, caller: Caller = CALLER, checks: Confirmations | None = None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await check(value, caller, checks)
    return caught.value.reason


async def test_the_callers_own_signature_over_the_call_confirms_it() -> None:
    assert await check(header())


async def test_the_same_confirmation_is_the_same_act_and_another_is_another() -> None:
    first = header()
    assert await check(first) == await check(first)
    assert await check(first) != await check(header(challenge=CHALLENGE + b"other"))


async def test_a_call_without_a_confirmation_is_asked_for_one() -> None:
    assert await refusal("") == "CONFIRMATION_REQUIRED"


@pytest.mark.parametrize(
    "changes",
    [
        {"method": METHOD.replace("Remove", "Add")},
        {"subject": "subjects/b"},
        {"organization": ""},
        {"request": subjects_pb2.RemoveMembershipRequest(name="a/c")},
        {"request": subjects_pb2.RemoveMembershipRequest(name="a/b", request_id="x")},
        {"credential": self_signed_credential()},
    ],
    ids=["method", "subject", "organization", "content", "request id", "key"],
)
async def test_a_confirmation_of_something_else_is_invalid(changes: dict[str, Any]) -> None:
    assert await refusal(header(**changes)) == "CONFIRMATION_INVALID"


async def test_a_confirmation_with_another_challenge_in_it_is_invalid() -> None:
    confirmation = read_header(header())
    confirmation.challenge += b"x"
    assert await refusal(encode(confirmation)) == "CONFIRMATION_INVALID"


MOBILE = "mobileSignatures/m"


def by_phone(**changes: Any) -> tuple[str, Confirmations]:
    """The header that names a mobile signature over the call, with what is changed of the call, and
    a check that finds it."""
    signed = read_header(header(**changes))
    named = confirmation_pb2.Confirmation(challenge=CHALLENGE, mobile_signature=MOBILE)
    kept = {MOBILE: (int(signed.algorithm), signed.signature)}
    return encode(named), confirmations(mobile=kept)


async def test_a_mobile_signature_over_the_call_confirms_it_as_any_other() -> None:
    value, checks = by_phone()
    assert await check(value, checks=checks) == await check(header())


@pytest.mark.parametrize(
    "changes",
    [
        {"method": METHOD.replace("Remove", "Add")},
        {"subject": "subjects/b"},
        {"request": subjects_pb2.RemoveMembershipRequest(name="a/c")},
        {"challenge": CHALLENGE + b"other"},
        {"credential": self_signed_credential()},
    ],
    ids=["method", "subject", "content", "challenge", "key"],
)
async def test_a_mobile_signature_over_something_else_is_invalid(changes: dict[str, Any]) -> None:
    value, checks = by_phone(**changes)
    assert await refusal(value, checks=checks) == "CONFIRMATION_INVALID"


async def test_a_mobile_signature_that_is_not_kept_confirms_nothing() -> None:
    value, _ = by_phone()
    assert await refusal(value) == "CONFIRMATION_INVALID"


async def test_a_confirmation_has_one_signature() -> None:
    both = read_header(header())
    both.mobile_signature = MOBILE
    _, checks = by_phone()
    assert await refusal(encode(both), checks=checks) == "CONFIRMATION_INVALID"


@pytest.mark.parametrize("value", ["none", "AA=", "ё", "A" * (HEADER_LIMIT + 4), "CgA"])
async def test_bytes_that_are_no_confirmation_are_invalid(value: str) -> None:
    assert await refusal(value) == "CONFIRMATION_INVALID"


async def test_a_token_that_names_no_certificate_confirms_nothing() -> None:
    assert await refusal(header(), replace(CALLER, certificate="")) == "CONFIRMATION_INVALID"


async def test_a_certificate_that_is_not_valid_confirms_nothing() -> None:
    other = replace(CALLER, certificate="00" * 32)
    assert await refusal(header(), other) == "CONFIRMATION_INVALID"


async def test_a_challenge_that_does_not_serve_confirms_nothing() -> None:
    async def used(_challenge: bytes, _act: bytes) -> bool:
        return False

    assert await refusal(header(), checks=confirmations(used)) == "CONFIRMATION_INVALID"


async def test_a_challenge_is_not_used_up_by_a_signature_that_does_not_hold() -> None:
    async def use(_challenge: bytes, _act: bytes) -> bool:
        raise AssertionError("it was used")

    async def find(_subject: str, _fingerprint: str) -> bytes:
        return CREDENTIAL.certificate

    async def find_none(_name: str) -> None:
        return None

    checks = Confirmations(find, is_signed_by_certificate, use, find_none)
    forged = header(credential=self_signed_credential())
    assert await refusal(forged, checks=checks) == "CONFIRMATION_INVALID"


def encode(confirmation: confirmation_pb2.Confirmation) -> str:
    return base64.urlsafe_b64encode(confirmation.SerializeToString()).rstrip(b"=").decode()
