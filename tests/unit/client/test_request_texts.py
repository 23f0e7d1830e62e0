"""The texts that let an office act for somebody, by the vectors, and what is no such text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qagazsyz.canonical_texts import TEXT_LIMIT_BYTES, TextError
from qagazsyz.request_texts import (
    ConsentStatement,
    Evidence,
    Mandate,
    RequestStatement,
    WithdrawalStatement,
    check_same_service,
)
from qagazsyz.signed_texts import PREFIX

Text = Mandate | RequestStatement | ConsentStatement | WithdrawalStatement

VECTORS = Path(__file__).parents[2] / "vectors" / "request_texts.json"

ADDRESS = Evidence(
    document_type="documentTypes/address",
    purpose="address-certificate",
    attributes=("/address/city", "/address/street"),
)
DIPLOMA = Evidence(document_type="documentTypes/diploma", purpose="address-certificate")

TEXTS: dict[str, Text] = {
    "mandate of a service that is decided by rule": Mandate(
        platform="qagazsyz.example",
        public_service="publicServices/address-certificate",
        service_version=3,
        provider="subjects/ministry",
        time=datetime(2026, 11, 27, 9, 30, 0, 125000, UTC),
        evidence=(ADDRESS,),
        required=(True,),
        output="documentTypes/address-certificate",
        time_limit_days=0,
        key="keys/seal-123456789012",
        output_template='{"city":"{evidence/0/address/city}","name":"{applicant/family_name}"}',
    ),
    "mandate of a service that an officer decides": Mandate(
        platform="qagazsyz.example",
        public_service="publicServices/school-place",
        service_version=1,
        provider="subjects/school",
        time=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
        evidence=(ADDRESS, DIPLOMA),
        required=(True, False),
        output="documentTypes/school-place",
        time_limit_days=5,
        appeal_body="subjects/ministry",
    ),
    "statement of an applicant": RequestStatement(
        platform="qagazsyz.example",
        request="serviceRequests/01a4c9d2-3b7d-7000-8000-000000000001",
        public_service="publicServices/address-certificate",
        service_version=3,
        provider="subjects/ministry",
        applicant="subjects/aigerim",
        at_office=False,
        form_sha256=bytes(range(32)),
        evidence=(ADDRESS,),
        expire_time=datetime(2026, 12, 4, 9, 30, tzinfo=UTC),
        nonce=bytes(range(16)),
    ),
    "statement that an officer signs": RequestStatement(
        platform="qagazsyz.example",
        request="serviceRequests/01a4c9d2-3b7d-7000-8000-000000000002",
        public_service="publicServices/school-place",
        service_version=1,
        provider="subjects/school",
        applicant="subjects/aigerim",
        at_office=True,
        form_sha256=bytes(32),
        evidence=(ADDRESS, DIPLOMA),
        expire_time=datetime(2026, 12, 4, 9, 30, tzinfo=UTC),
        nonce=bytes(16),
    ),
    "consent": ConsentStatement(
        platform="qagazsyz.example",
        request="consentRequests/01a4c9d2-3b7d-7000-8000-000000000003",
        subject="subjects/aigerim",
        organization="subjects/first-bank",
        document_type="documentTypes/address",
        purpose="mortgage-application",
        purpose_text="Ипотека бойынша өтінім",
        expire_time=datetime(2027, 2, 25, 9, 30, tzinfo=UTC),
    ),
    "withdrawal": WithdrawalStatement(
        platform="qagazsyz.example",
        consent="consents/01a4c9d2-3b7d-7000-8000-000000000004",
        subject="subjects/aigerim",
    ),
}


def vectors() -> dict[str, str]:
    """What tests/vectors/request_texts.json holds: each text by its name."""
    return {name: text.encode().decode() for name, text in TEXTS.items()}


@pytest.mark.parametrize("name", TEXTS)
def test_each_text_is_the_one_of_the_vector_and_is_read_as_what_it_was_made_of(name: str) -> None:
    text = TEXTS[name]
    assert text.encode().decode() == json.loads(VECTORS.read_text())[name]
    assert type(text).parse(text.encode()) == text
    assert text.encode().startswith(PREFIX.encode())


def altered(text: Text) -> dict[str, Text]:
    """The text with each of its members altered, one at a time."""
    made: dict[str, Text] = {}
    for each in fields(text):
        value: Any = getattr(text, each.name)
        other = _another(value)
        changes = {each.name: other}
        if isinstance(text, Mandate) and each.name in ("evidence", "required"):
            changes = {"evidence": (ADDRESS, ADDRESS), "required": (True, each.name == "evidence")}
        made[each.name] = replace(text, **changes)
    return made


def _another(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case datetime():
            return value + timedelta(seconds=1)
        case _:
            return (value[0], *value)


@pytest.mark.parametrize("name", TEXTS)
def test_each_member_is_part_of_the_text(name: str) -> None:
    text = TEXTS[name]
    for member, other in altered(text).items():
        assert other.encode() != text.encode(), member
        assert type(text).parse(other.encode()) == other, member


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + b"\n",
        lambda text: text.replace(b",", b", ", 1),
        lambda text: text.replace(b'"v":1', b'"v":2'),
        lambda text: text.replace(b'"v":1', b'"v":1,"w":1'),
        lambda text: text.replace(b'"v":1', b'"v":1.0'),
        lambda text: text.replace(b'"platform":', b'"platform":"","platform":'),
        lambda text: text.replace(b'"platform":"qagazsyz.example",', b""),
        lambda text: text.replace(b'"platform":"qagazsyz.example"', b'"platform":1'),
        lambda text: text.replace(b" v1\n", b" v2\n"),
        lambda text: text.partition(b"\n")[2],
        lambda text: text.partition(b"\n")[0] + b"\n[]",
        lambda text: text.partition(b"\n")[0] + b"\n" + b'{"v":' * 2_000,
        lambda text: text + b" " * TEXT_LIMIT_BYTES,
        lambda text: b"",
    ],
)
def test_what_is_not_exactly_the_text_is_refused(
    name: str, spoil: Callable[[bytes], bytes]
) -> None:
    spoiled = spoil(TEXTS[name].encode())
    assert spoiled != TEXTS[name].encode()
    with pytest.raises(TextError):
        type(TEXTS[name]).parse(spoiled)


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_is_read_as_another_kind(name: str) -> None:
    for kind in (Mandate, RequestStatement, ConsentStatement, WithdrawalStatement):
        if kind is not type(TEXTS[name]):
            with pytest.raises(TextError):
                kind.parse(TEXTS[name].encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"2026-12-04T09:30:00Z"', b'"2026-12-04T09:30:00+00:00"'),
        (b'"2026-12-04T09:30:00Z"', b'"2026-12-04T09:30:00.000000Z"'),
        (b'"2026-12-04T09:30:00Z"', b'"2026-12-04 09:30:00Z"'),
        (b'"2026-12-04T09:30:00Z"', b'"soon"'),
        (b'"service_version":3', b'"service_version":-3'),
        (b'"service_version":3', b'"service_version":true'),
        (b'"at_office":false', b'"at_office":0'),
        (b"0001020304", b"000102030A"),
        (b'["/address/city","/address/street"]', b'"/address/city"'),
        (b'["/address/city","/address/street"]', b"[1]"),
        (b'["/address/city","/address/street"]', b"[" + b",".join([b'"/a"'] * 17) + b"]"),
    ],
)
def test_a_member_of_another_form_is_refused(old: bytes, new: bytes) -> None:
    text = TEXTS["statement of an applicant"].encode()
    assert old in text
    with pytest.raises(TextError):
        RequestStatement.parse(text.replace(old, new))


def test_a_statement_belongs_to_the_mandate_of_exactly_its_service() -> None:
    mandate = TEXTS["mandate of a service that is decided by rule"]
    statement = TEXTS["statement of an applicant"]
    assert isinstance(mandate, Mandate)
    assert isinstance(statement, RequestStatement)
    check_same_service(mandate, statement)
    bound = {"platform", "public_service", "service_version", "provider", "evidence"}
    for name, other in altered(statement).items():
        assert isinstance(other, RequestStatement)
        if name in bound:
            with pytest.raises(TextError, match=name):
                check_same_service(mandate, other)
        else:
            check_same_service(mandate, other)
