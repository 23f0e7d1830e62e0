"""GOST 34.10-2012: published signatures, both encodings, keys that are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from signatures.algorithms import Algorithm, Verdict
from signatures.der import OCTET_STRING, SEQUENCE, encode, encode_oid
from signatures.gost.curves import (
    CURVES_BY_OID,
    TC26_256_A,
    TC26_512_A,
    TC26_512_B,
    TC26_512_C,
    Curve,
    Point,
)
from signatures.gost.streebog import streebog256, streebog512
from signatures.gost.verification import GostKey, holds
from signatures.keys import MalformedKey, UnsupportedKey, load_public_key
from signatures.portable import verify
from tests.unit.signatures.builders import gost_sign, gost_spki, multiple, shared, spki

MESSAGE = "Мекенжай анықтамасы".encode()
SECRET = 0x7A929ADE789BB9BE10ED359DD39A72C11B60961F49397EEE1D19CE9891EC3B28
NONCE = 0x77105C9B20BCD3122823C8CF6FCC7B956DE33814E95B7FE64FED924594DCEAB3

# RFC 7091, section 7.1: the curve of the example, which has no place in keys.
EXAMPLE_256 = Curve(
    "example of 256 bits",
    p=0x8000000000000000000000000000000000000000000000000000000000000431,
    a=7,
    b=0x5FBFF498AA938CE739B8E022FBAFEF40563F6E6A3472FC2A514C0CE9DAE23B7E,
    q=0x8000000000000000000000000000000150FE8A1892976154C59CFC193ACCF5B3,
    cofactor=1,
    base=(2, 0x08E2A8A0E65147D4BD6316030E16D19C85C97F0A9CA267122B96ABBCEA7E8FC8),
)
# RFC 7091, section 7.2.
EXAMPLE_512 = Curve(
    "example of 512 bits",
    p=int(
        "4531ACD1FE0023C7550D267B6B2FEE80922B14B2FFB90F04D4EB7C09B5D2D15D"
        "F1D852741AF4704A0458047E80E4546D35B8336FAC224DD81664BBF528BE6373",
        16,
    ),
    a=7,
    b=int(
        "1CFF0806A31116DA29D8CFA54E57EB748BC5F377E49400FDD788B649ECA1AC43"
        "61834013B2AD7322480A89CA58E0CF74BC9E540C2ADD6897FAD0A3084F302ADC",
        16,
    ),
    q=int(
        "4531ACD1FE0023C7550D267B6B2FEE80922B14B2FFB90F04D4EB7C09B5D2D15D"
        "A82F2D7ECB1DBAC719905C5EECC423F1D86E25EDBE23C595D644AAF187E6E6DF",
        16,
    ),
    cofactor=1,
    base=(
        int(
            "24D19CC64572EE30F396BF6EBBFD7A6C5213B3B3D7057CC825F91093A68CD762"
            "FD60611262CD838DC6B60AA7EEE804E28BC849977FAC33B4B530F1B120248A9A",
            16,
        ),
        int(
            "2BB312A43BD2CE6E0D020613C857ACDDCFBF061E91E5F2C3F32447C259F39B2C"
            "83AB156D77F1496BF7EB3351E1EE4E43DC1A18B91B24640B6DBB92CB1ADD371E",
            16,
        ),
    ),
)


def test_the_first_example_of_rfc_7091_verifies() -> None:
    point = multiple(EXAMPLE_256, SECRET)
    assert point == (
        0x7F2B49E270DB6D90D8595BEC458B50C58585BA1D4E9B788F6689DBD8E56FD80B,
        0x26F1B489D6701DD185C8413A977B3CBBAF64D1C593D26627DFFB101A87FF77DA,
    )
    digest = bytes.fromhex("2DFBC1B372D89A1188C09C52E0EEC61FCE52032AB1022E8E67ECE6672B043EE5")[::-1]
    r = 0x41AA28D2F1AB148280CD9ED56FEDA41974053554A42767B83AD043FD39DC0493
    s = 0x01456C64BA4642A1653C235A98A60249BCD6D3F746B631DF928014F6C5BF9C40
    key = GostKey(EXAMPLE_256, point, True, EXAMPLE_256.odd_multiples(point))

    assert gost_sign(EXAMPLE_256, SECRET, NONCE, digest) == (r, s)
    assert holds(key, digest, r, s)
    assert not holds(key, digest, r, s ^ 1)
    assert not holds(key, bytes(32), r, s)


def test_the_second_example_of_rfc_7091_verifies() -> None:
    secret = int(
        "0BA6048AADAE241BA40936D47756D7C93091A0E8514669700EE7508E508B1020"
        "72E8123B2200A0563322DAD2827E2714A2636B7BFD18AADFC62967821FA18DD4",
        16,
    )
    point = multiple(EXAMPLE_512, secret)
    assert point == (
        int(
            "115DC5BC96760C7B48598D8AB9E740D4C4A85A65BE33C1815B5C320C854621DD"
            "5A515856D13314AF69BC5B924C8B4DDFF75C45415C1D9DD9DD33612CD530EFE1",
            16,
        ),
        int(
            "37C7C90CD40B0F5621DC3AC1B751CFA0E2634FA0503B3D52639F5D7FB72AFD61"
            "EA199441D943FFE7F0C70A2759A3CDB84C114E1F9339FDF27F35ECA93677BEEC",
            16,
        ),
    )
    digest = bytes.fromhex(
        "3754F3CFACC9E0615C4F4A7C4D8DAB531B09B6F9C170C533A71D147035B0C591"
        "7184EE536593F4414339976C647C5D5A407ADEDB1D560C4FC6777D2972075B8C"
    )[::-1]
    r = int(
        "2F86FA60A081091A23DD795E1E3C689EE512A3C82EE0DCC2643C78EEA8FCACD3"
        "5492558486B20F1C9EC197C90699850260C93BCBCD9C5C3317E19344E173AE36",
        16,
    )
    s = int(
        "1081B394696FFE8E6585E7A9362D26B6325F56778AADBC081C0BFBE933D52FF5"
        "823CE288E8C4F362526080DF7F70CE406A6EEB1F56919CB92A9853BDE73E5B4A",
        16,
    )
    key = GostKey(EXAMPLE_512, point, True, EXAMPLE_512.odd_multiples(point))

    assert holds(key, digest, r, s)
    assert not holds(key, digest[::-1], r, s)


def kazakh(r: int, s: int, length: int) -> bytes:
    return r.to_bytes(length, "little") + s.to_bytes(length, "little")


def tc26(r: int, s: int, length: int) -> bytes:
    return s.to_bytes(length, "big") + r.to_bytes(length, "big")


Write = Callable[[int, int, int], bytes]
KEYS: list[tuple[str, int, Write, Algorithm]] = [
    ("1.2.643.7.1.1.1.1", 32, tc26, Algorithm.GOST3410_2012_256),
    ("1.2.643.7.1.1.1.2", 64, tc26, Algorithm.GOST3410_2012_512),
    ("1.2.398.3.10.1.1.2.1", 32, kazakh, Algorithm.GOST3410_2012_256),
    ("1.2.398.3.10.1.1.2.2", 64, kazakh, Algorithm.GOST3410_2012_512),
]


@pytest.mark.parametrize("curve_oid", list(CURVES_BY_OID))
@pytest.mark.parametrize(("key_oid", "length", "write", "algorithm"), KEYS)
def test_every_curve_verifies_in_the_encoding_of_the_key_s_oid(
    key_oid: str, length: int, write: Write, algorithm: Algorithm, curve_oid: str
) -> None:
    curve = CURVES_BY_OID[curve_oid]
    spki = gost_spki(key_oid, curve_oid, multiple(curve, SECRET))
    if curve.length != length:
        with pytest.raises(UnsupportedKey):
            load_public_key(spki)
        return
    key = load_public_key(spki)
    digest = (streebog256 if length == 32 else streebog512)(MESSAGE)
    r, s = gost_sign(curve, SECRET, NONCE, digest)
    signature = write(r, s, length)

    assert verify(key, algorithm, message=MESSAGE, signature=signature) is Verdict.VALID
    assert verify(key, algorithm, digest=digest, signature=signature) is Verdict.VALID
    assert (
        verify(key, algorithm, message=MESSAGE + b"\0", signature=signature)
        is Verdict.INVALID_SIGNATURE
    )
    assert verify(key, algorithm, message=MESSAGE, signature=signature[::-1]) in (
        Verdict.INVALID_SIGNATURE,
        Verdict.MALFORMED_SIGNATURE,
    )
    assert (
        verify(key, algorithm, digest=digest[1:], signature=signature) is Verdict.MALFORMED_DIGEST
    )
    for bad_r, bad_s in ((0, s), (r, 0), (curve.q, s), (r, curve.q)):
        assert (
            verify(key, algorithm, message=MESSAGE, signature=write(bad_r, bad_s, length))
            is Verdict.MALFORMED_SIGNATURE
        )
    for malformed in (b"", signature[1:], signature + b"\0"):
        assert (
            verify(key, algorithm, message=MESSAGE, signature=malformed)
            is Verdict.MALFORMED_SIGNATURE
        )


@pytest.mark.parametrize("curve", [TC26_256_A, TC26_512_A], ids=lambda curve: curve.name)
def test_a_digest_of_zero_modulo_the_order_counts_as_one(curve: Curve) -> None:
    algorithm = KEYS[0 if curve.length == 32 else 1][3]
    key_oid = "1.2.643.7.1.1.1.1" if curve.length == 32 else "1.2.643.7.1.1.1.2"
    curve_oid = next(oid for oid, known in CURVES_BY_OID.items() if known is curve)
    key = load_public_key(gost_spki(key_oid, curve_oid, multiple(curve, SECRET)))
    for digest in (bytes(curve.length), curve.q.to_bytes(curve.length, "little")):
        r, s = gost_sign(curve, SECRET, NONCE, digest)

        verdict = verify(key, algorithm, digest=digest, signature=tc26(r, s, curve.length))

        assert verdict is Verdict.VALID


def test_signatures_of_nca_s_hierarchy_hold_and_spoiled_ones_do_not() -> None:
    vectors = shared("gost/nca-gost2015-512.json")["vectors"]
    for vector in vectors:
        point = (
            int.from_bytes(bytes.fromhex(vector["pubkey_x_le_hex"]), "little"),
            int.from_bytes(bytes.fromhex(vector["pubkey_y_le_hex"]), "little"),
        )
        spki = gost_spki(
            "1.2.398.3.10.1.1.2.2", "1.2.398.3.10.1.1.2.2.1", point, "1.2.398.3.10.1.3.3"
        )
        key = load_public_key(spki)
        message = bytes.fromhex(vector["message_hex"])
        signature = bytes.fromhex(vector["signature_wire_hex"])
        algorithm = Algorithm.GOST3410_2012_512

        assert verify(key, algorithm, message=message, signature=signature) is Verdict.VALID
        for at in (0, 64):
            flipped = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
            assert (
                verify(key, algorithm, message=message, signature=flipped)
                is Verdict.INVALID_SIGNATURE
            )
        assert (
            verify(key, algorithm, message=b"\x31" + message[1:], signature=signature)
            is Verdict.INVALID_SIGNATURE
        ) == (message[0] != 0x31)

    assert len(vectors) == 3


def test_a_key_of_the_other_size_is_a_mismatch() -> None:
    point = multiple(TC26_512_B, SECRET)
    key = load_public_key(gost_spki("1.2.643.7.1.1.1.2", "1.2.643.7.1.2.1.2.2", point))

    verdict = verify(key, Algorithm.GOST3410_2012_256, message=MESSAGE, signature=bytes(64))

    assert verdict is Verdict.KEY_MISMATCH


def point_of_order_2(curve: Curve) -> Point:
    """The point (x, 0): q times any point has an order that divides the cofactor."""
    x = 0
    while True:
        x += 1
        square = ((x * x + curve.a) * x + curve.b) % curve.p
        y = pow(square, (curve.p + 1) // 4, curve.p)
        if (y * y - square) % curve.p == 0:
            small = curve.sum_of([(curve.q, curve.odd_multiples((x, y)))])
            if small is not None:
                doubled = curve.sum_of([(2, curve.odd_multiples(small))])
                return doubled or small


@pytest.mark.parametrize(
    ("curve", "key_oid", "curve_oid"),
    [
        (TC26_256_A, "1.2.643.7.1.1.1.1", "1.2.643.7.1.2.1.1.1"),
        (TC26_512_C, "1.2.643.7.1.1.1.2", "1.2.643.7.1.2.1.2.3"),
    ],
    ids=["256 A", "512 C"],
)
def test_points_outside_the_group_are_no_keys(curve: Curve, key_oid: str, curve_oid: str) -> None:
    assert curve.p % 4 == 3
    low = point_of_order_2(curve)
    assert low[1] == 0
    good = multiple(curve, SECRET)
    mixed = curve.sum_of([(1, curve.odd_multiples(good)), (1, [low])])
    assert mixed is not None

    for point in (low, mixed):
        assert curve.has(point)
        with pytest.raises(MalformedKey):
            load_public_key(gost_spki(key_oid, curve_oid, point))
    load_public_key(gost_spki(key_oid, curve_oid, good))


def test_what_is_no_point_or_no_parameters_is_malformed() -> None:
    x, y = multiple(TC26_512_A, SECRET)
    key_oid, curve_oid = "1.2.398.3.10.1.1.2.2", "1.2.398.3.10.1.1.2.2.1"
    named = encode(SEQUENCE, encode_oid(curve_oid))
    encoded = x.to_bytes(64, "little") + y.to_bytes(64, "little")
    octets = encode(OCTET_STRING, encoded)
    spoiled = [
        gost_spki(key_oid, curve_oid, (x, y ^ 1)),
        gost_spki(key_oid, curve_oid, (y, x)),
        gost_spki(key_oid, curve_oid, (0, 0)),
        gost_spki(key_oid, curve_oid, (TC26_512_A.p, y)),
        spki(key_oid, b"", octets),
        spki(key_oid, b"\5\0", octets),
        spki(key_oid, named + b"\5\0", octets),
        spki(key_oid, encode(SEQUENCE, b""), octets),
        spki(key_oid, encode(SEQUENCE, encode_oid(curve_oid) + b"\5\0"), octets),
        spki(
            key_oid,
            encode(SEQUENCE, encode_oid(curve_oid) * 1 + encode_oid("1.2.643.7.1.1.2.3") * 2),
            octets,
        ),
        spki(key_oid, named, encoded),
        spki(key_oid, named, octets + b"\0"),
        spki(key_oid, named, encode(OCTET_STRING, encoded[:-1])),
        spki(key_oid, named, encode(OCTET_STRING, encoded + b"\0")),
    ]
    for der in spoiled:
        with pytest.raises(MalformedKey):
            load_public_key(der)


def test_another_curve_or_hash_is_unsupported() -> None:
    point = multiple(TC26_512_A, SECRET)
    key_oid, curve_oid = "1.2.398.3.10.1.1.2.2", "1.2.398.3.10.1.1.2.2.1"
    for digest_oid in ("1.2.398.3.10.1.3.2", "1.2.643.7.1.1.2.2", "1.2.3"):
        with pytest.raises(UnsupportedKey):
            load_public_key(gost_spki(key_oid, curve_oid, point, digest_oid))
    for digest_oid in ("1.2.398.3.10.1.3.3", "1.2.643.7.1.1.2.3"):
        load_public_key(gost_spki(key_oid, curve_oid, point, digest_oid))
    with pytest.raises(UnsupportedKey):
        load_public_key(spki(key_oid, encode(SEQUENCE, encode_oid("1.2.643.7.1.2.1.2.0")), b""))
