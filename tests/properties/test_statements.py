"""Laws of statements: what is signed says everything, in one form, and nothing else is the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from qagazsyz.canonical_texts import format_microseconds, format_seconds
from services.registry.log.canonical_json import canonical_json
from services.registry.model.statements import (
    StatementVersion,
    encode_statement,
    statement_key,
)

names = st.from_regex(r"subjects/[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
times = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
statements = st.fixed_dictionaries(
    {
        "version": st.sampled_from(StatementVersion),
        "issuer": names,
        "content_sha256": st.binary(min_size=32, max_size=32),
        "document_type": st.from_regex(r"documentTypes/[a-z][a-z0-9]{0,20}", fullmatch=True),
        "media_type": st.text(st.characters(codec="utf-8"), max_size=40),
        "subjects": st.lists(names, min_size=1, max_size=16, unique=True),
        "expire_time": st.none() | times,
    }
)


values = st.recursive(
    st.text(st.characters(codec="utf-8")) | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z_0-9]{1,12}", fullmatch=True), values))
def test_the_fast_encoder_writes_what_the_general_one_does(members: dict[str, object]) -> None:
    assert canonical_json(members) == rfc8785.dumps(members)  # type: ignore[arg-type]


@given(statements)
def test_a_statement_is_canonical_and_says_all(members: dict[str, object]) -> None:
    made = encode_statement(**members)  # type: ignore[arg-type]
    read = json.loads(made)
    assert rfc8785.dumps(read) == made
    expire_time = members["expire_time"]
    expected = {
        "v": members["version"].value,  # type: ignore[attr-defined]
        "content_sha256": members["content_sha256"].hex(),  # type: ignore[attr-defined]
        "document_type": members["document_type"],
        "media_type": members["media_type"],
        "subjects": members["subjects"],
    }
    if members["version"] is StatementVersion.WITH_ISSUER:
        expected["issuer"] = members["issuer"]
    if isinstance(expire_time, datetime):
        expected["expire_time"] = format_seconds(expire_time)
    assert read == expected


@given(statements, statements)
def test_two_statements_are_the_same_only_where_all_is(
    one: dict[str, object], two: dict[str, object]
) -> None:
    if one["version"] is StatementVersion.WITHOUT_ISSUER:
        one = one | {"issuer": two["issuer"]}
    same = encode_statement(**one) == encode_statement(**two)  # type: ignore[arg-type]
    assert same == (one == two)


@given(statements, names, names)
def test_a_statement_is_its_issuers_own(members: dict[str, object], one: str, two: str) -> None:
    assume(one != two)
    members = members | {"version": StatementVersion.WITHOUT_ISSUER}
    made = encode_statement(**members)  # type: ignore[arg-type]
    assert statement_key(one, made) == statement_key(one, made)
    assert statement_key(one, made) != statement_key(two, made)


@given(times)
def test_times_read_back_as_they_were(moment: datetime) -> None:
    assert datetime.fromisoformat(format_seconds(moment)) == moment
    assert datetime.fromisoformat(format_microseconds(moment)) == moment
    assert len(format_seconds(moment)) == len("2027-01-31T00:00:00Z")
