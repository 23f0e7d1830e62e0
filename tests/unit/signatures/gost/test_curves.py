"""The curves' parameters, and multiples of their base points that are published."""

from __future__ import annotations

import pytest

from signatures.gost.curves import CURVES_BY_OID, Curve
from tests.unit.signatures.builders import multiple

CURVES = sorted(set(CURVES_BY_OID.values()), key=lambda curve: curve.name)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_a_curve_s_parameters_are_consistent(curve: Curve) -> None:
    assert pow(2, curve.p - 1, curve.p) == pow(2, curve.q - 1, curve.q) == 1
    assert curve.has(curve.base)
    assert curve.sum_of([(curve.q, curve.odd_multiples(curve.base))]) is None
    # Hasse: the number of points differs from p + 1 by no more than twice the root of p.
    assert (curve.cofactor * curve.q - curve.p - 1) ** 2 <= 4 * curve.p


# RFC 8133, appendix B: one multiple of the base point on each curve of which it has one.
@pytest.mark.parametrize(
    ("oid", "scalar", "x"),
    [
        (
            "1.2.643.2.2.35.1",
            "1F2538097D5A031FA68BBB43C84D12B3DE47B7061C0D5E24993E0C873CDBA6B3",
            "BBC77CF42DC1E62D06227935379B4AA4D14FEA4F565DDF4CB4FA4D31579F9676",
        ),
        (
            "1.2.643.2.2.35.2",
            "499D72B90299CAB0DA1F8BE19D9122F622A13B32B730C46BD0664044F2144FAD",
            "61D6F916DB717222D74877F179F7EBEF7CD4D24D8C1F523C048E34A1DF30F8DD",
        ),
        (
            "1.2.643.2.2.35.3",
            "3A54AC3F19AD9D0B1EAC8ACDCEA70E581F1DAC33D13FEAFD81E762378639C1A8",
            "96B7F09C94D297C257A7DA48364C0076E59E48D221CBA604AE111CA3933B446A",
        ),
        (
            "1.2.643.7.1.2.1.1.1",
            "147B72F6684FB8FD1B418A899F7DBECAF5FCE60B13685BAA95328654A7F0707F",
            "33FBAC14EAE538275A769417829C431BD9FA622B6F02427EF55BD60EE6BC2888",
        ),
        (
            "1.2.643.7.1.2.1.2.1",
            "3CE54325DB52FE798824AEAD11BB16FA766857D04A4AF7D468672F16D90E7396"
            "046A46F815693E85B1CE5464DA9270181F82333B0715057BBE8D61D400505F0E",
            "B93093EB0FCC463239B7DF276E09E592FCFC9B635504EA4531655D76A0A3078E"
            "2B4E51CFE2FA400CC5DE9FBE369DB204B3E8ED7EDD85EE5CCA654C1AED70E396",
        ),
        (
            "1.2.643.7.1.2.1.2.2",
            "715E893FA639BF341296E0623E6D29DADF26B163C278767A7982A989462A3863"
            "FE12AEF8BD403D59C4DC4720570D4163DB0805C7C10C4E818F9CB785B04B9997",
            "10C479EA1C04D3C2C02B0576A9C42D96226FF033C1191436777F66916030D87D"
            "02FB93738ED7669D07619FFCE7C1F3C4DB5E5DF49E2186D6FA1E2EB5767602B9",
        ),
        (
            "1.2.643.7.1.2.1.2.3",
            "332F930421D14CFE260042159F18E49FD5A54167E94108AD80B1DE60B13DE799"
            "9A34D611E63F3F870E5110247DF8EC7466E648ACF385E52CCB889ABF491EDFF0",
            "561655966D52952E805574F4281F1ED3A2D498932B00CBA9DECB42837F09835B"
            "FFBFE2D84D6B6B242FE7B57F92E1A6F2413E12DDD6383E4437E13D72693469AD",
        ),
    ],
)
def test_published_multiples_come_out(oid: str, scalar: str, x: str) -> None:
    assert multiple(CURVES_BY_OID[oid], int(scalar, 16))[0] == int(x, 16)
