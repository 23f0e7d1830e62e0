"""Laws of the strict reader: what it takes re-encodes to itself, and it fails in one way only."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from signatures.der import (
    INTEGER,
    SEQUENCE,
    MalformedDer,
    Reader,
    decode_oid,
    encode,
    encode_oid,
    encode_unsigned,
)
from signatures.gost.curves import TC26_256_B
from signatures.keys import MalformedKey, UnsupportedKey, certificate_spki, load_public_key
from signatures.portable import split_dss
from tests.unit.signatures.builders import VECTORS, dss, ed25519_spki, gost_spki, multiple

# Some of the tags that keys and certificates use, so that random bytes get somewhere.
TAGS = st.sampled_from([0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x31, 0xA0, 0xA3])
NUMBERS = st.integers(min_value=0, max_value=2**600)
KEYS = [
    ed25519_spki(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")),
    gost_spki("1.2.643.7.1.1.1.1", "1.2.643.7.1.2.1.1.2", multiple(TC26_256_B, 5)),
    (VECTORS / "asymmetric/MLDSA/mldsa44_pub.der").read_bytes(),
    (VECTORS / "asymmetric/Ed25519/ed25519-pub.der").read_bytes(),
]


@given(tag=TAGS, content=st.binary(max_size=300), after=st.binary(max_size=4))
@example(tag=0x04, content=bytes(127), after=b"")
@example(tag=0x04, content=bytes(128), after=b"")
@example(tag=0x04, content=bytes(70_000), after=b"")
def test_what_is_encoded_is_read_back(tag: int, content: bytes, after: bytes) -> None:
    reader = Reader(encode(tag, content) + after)

    assert reader.any() == (tag, content, encode(tag, content))
    assert reader.rest() == after


@given(st.binary(max_size=40))
@example(b"\x02\x81\x01\x00")
@example(b"\x02\x82\x00\x81" + bytes(129))
def test_what_is_read_has_no_other_encoding(data: bytes) -> None:
    try:
        tag, content, whole = Reader(data).any()
    except MalformedDer:
        return
    assert encode(tag, content) == whole == data[: len(whole)]


@given(NUMBERS)
def test_a_number_has_one_encoding(number: int) -> None:
    assert Reader(encode_unsigned(number)).unsigned() == number


@given(st.binary(max_size=20))
def test_an_integer_that_is_read_is_minimal(content: bytes) -> None:
    try:
        number = Reader(encode(INTEGER, content)).unsigned()
    except MalformedDer:
        return
    assert encode_unsigned(number) == encode(INTEGER, content)


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**60), max_size=8))
def test_an_object_identifier_is_read_back(first: int, second: int, arcs: list[int]) -> None:
    dotted = ".".join(map(str, [first, second, *arcs]))

    assert Reader(encode_oid(dotted)).object_identifier() == dotted


@given(st.binary(max_size=12))
def test_an_object_identifier_that_is_read_re_encodes_to_itself(content: bytes) -> None:
    try:
        dotted = decode_oid(content)
    except MalformedDer:
        return
    assert encode_oid(dotted) == encode(0x06, content)


@given(NUMBERS, NUMBERS, st.binary(max_size=3))
def test_a_dss_signature_is_read_back_and_takes_nothing_after_it(
    r: int, s: int, after: bytes
) -> None:
    try:
        assert split_dss(dss(r, s) + after) == (r, s)
    except MalformedDer:
        assert after
    else:
        assert not after


@given(
    st.one_of(st.binary(max_size=80), st.builds(encode, st.just(SEQUENCE), st.binary(max_size=80)))
)
def test_a_dss_signature_that_is_read_is_the_only_encoding_of_its_numbers(data: bytes) -> None:
    try:
        r, s = split_dss(data)
    except MalformedDer:
        return
    assert dss(r, s) == data


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_as_a_key_and_as_a_certificate(data: bytes) -> None:
    for read in (load_public_key, certificate_spki):
        try:
            read(data)
        except (MalformedKey, UnsupportedKey):
            continue
        raise AssertionError("random bytes were taken")


@given(
    key=st.sampled_from(KEYS),
    at=st.integers(0, 2000),
    value=st.integers(0, 255),
    cut=st.integers(0, 4),
    after=st.binary(max_size=3),
)
def test_a_spoiled_key_is_refused_in_our_own_words_or_is_another_key(
    key: bytes, at: int, value: int, cut: int, after: bytes
) -> None:
    at %= len(key)
    spoiled = key[:at] + bytes([value]) + key[at + 1 : len(key) - cut] + after
    try:
        load_public_key(spoiled)
    except (MalformedKey, UnsupportedKey):
        return
    # A length never changes unnoticed; only what the key says may be another.
    assert len(spoiled) == len(key)
