"""Hash with Streebog (GOST R 34.11-2012, RFC 6986), by look-up tables.

S, P and L of a round are one look-up a byte: L is linear, so the words that a byte can contribute
are computed beforehand.
"""

from __future__ import annotations

from struct import Struct

_BLOCK = 64
_MASK = (1 << 512) - 1

# RFC 6986, section 6.2.
_PI = bytes.fromhex(
    "FCEEDD11CF6E3116FBC4FADA23C5044DE977F0DB932E99BA1736F1BB14CD5FC1"
    "F918655AE25CEF21811C3C428B018E4F058402AEE36A8FA0060BED987FD4D31F"
    "EB342C51EAC848ABF22A68A2FD3ACECCB5700E56080C7612BF7213479CB75D87"
    "15A19629107B9AC7F391786F9D9EB2B13275193DFF358A7E6D54C680C3BD0D57"
    "DFF524A93EA843C9D779D6F67C22B903E00FECDE7A94B0BCDCE828504E330A4A"
    "A79760731E0062441AB83882649F2641AD454692275E552F8CA3A57D69D5953B"
    "0758B34086AC1DF730376BE488D9E789E11B83494C3FF8FE8D53AA90CAD88561"
    "207167A42D2B095BCB9B25D0BEE56C5259A674D2E6F4B4C0D166AFC2394B63B6"
)

# RFC 6986, section 6.4: the rows of the matrix A, for the highest bit first.
_A = Struct(">64Q").unpack(
    bytes.fromhex(
        "8E20FAA72BA0B470 47107DDD9B505A38 AD08B0E0C3282D1C D8045870EF14980E "
        "6C022C38F90A4C07 3601161CF205268D 1B8E0B0E798C13C8 83478B07B2468764 "
        "A011D380818E8F40 5086E740CE47C920 2843FD2067ADEA10 14AFF010BDD87508 "
        "0AD97808D06CB404 05E23C0468365A02 8C711E02341B2D01 46B60F011A83988E "
        "90DAB52A387AE76F 486DD4151C3DFDB9 24B86A840E90F0D2 125C354207487869 "
        "092E94218D243CBA 8A174A9EC8121E5D 4585254F64090FA0 ACCC9CA9328A8950 "
        "9D4DF05D5F661451 C0A878A0A1330AA6 60543C50DE970553 302A1E286FC58CA7 "
        "18150F14B9EC46DD 0C84890AD27623E0 0642CA05693B9F70 0321658CBA93C138 "
        "86275DF09CE8AAA8 439DA0784E745554 AFC0503C273AA42A D960281E9D1D5215 "
        "E230140FC0802984 71180A8960409A42 B60C05CA30204D21 5B068C651810A89E "
        "456C34887A3805B9 AC361A443D1C8CD2 561B0D22900E4669 2B838811480723BA "
        "9BCF4486248D9F5D C3E9224312C8C1A0 EFFA11AF0964EE50 F97D86D98A327728 "
        "E4FA2054A80B329C 727D102A548B194E 39B008152ACB8227 9258048415EB419D "
        "492C024284FBAEC0 AA16012142F35760 550B8E9E21F7A530 A48B474F9EF5DC18 "
        "70A6A56E2440598E 3853DC371220A247 1CA76E95091051AD 0EDD37C48A08A6D8 "
        "07E095624504536C 8D70C431AC02A736 C83862965601DD1B 641C314B2B8EE083"
    )
)

# RFC 6986, section 6.5.
_C = [
    int(constant, 16)
    for constant in (
        "B1085BDA1ECADAE9EBCB2F81C0657C1F2F6A76432E45D016714EB88D7585C4FC"
        "4B7CE09192676901A2422A08A460D31505767436CC744D23DD806559F2A64507",
        "6FA3B58AA99D2F1A4FE39D460F70B5D7F3FEEA720A232B9861D55E0F16B50131"
        "9AB5176B12D699585CB561C2DB0AA7CA55DDA21BD7CBCD56E679047021B19BB7",
        "F574DCAC2BCE2FC70A39FC286A3D843506F15E5F529C1F8BF2EA7514B1297B7B"
        "D3E20FE490359EB1C1C93A376062DB09C2B6F443867ADB31991E96F50ABA0AB2",
        "EF1FDFB3E81566D2F948E1A05D71E4DD488E857E335C3C7D9D721CAD685E353F"
        "A9D72C82ED03D675D8B71333935203BE3453EAA193E837F1220CBEBC84E3D12E",
        "4BEA6BACAD4747999A3F410C6CA923637F151C1F1686104A359E35D7800FFFBD"
        "BFCD1747253AF5A3DFFF00B723271A167A56A27EA9EA63F5601758FD7C6CFE57",
        "AE4FAEAE1D3AD3D96FA4C33B7A3039C02D66C4F95142A46C187F9AB49AF08EC6"
        "CFFAA6B71C9AB7B40AF21F66C2BEC6B6BF71C57236904F35FA68407A46647D6E",
        "F4C70E16EEAAC5EC51AC86FEBF240954399EC6C7E6BF87C9D3473E33197A93C9"
        "0992ABC52D822C3706476983284A05043517454CA23C4AF38886564D3A14D493",
        "9B1F5B424D93C9A703E7AA020C6E41414EB7F8719C36DE1E89B4443B4DDBC49A"
        "F4892BCB929B069069D18D2BD1A5C42F36ACC2355951A8D9A47F0DD4BF02E71E",
        "378F5A541631229B944C9AD8EC165FDE3A7D3A1B258942243CD955B7E00D0984"
        "800A440BDBB2CEB17B2B8A9AA6079C540E38DC92CB1F2A607261445183235ADB",
        "ABBEDEA680056F52382AE548B2E4F3F38941E71CFF8A78DB1FFFE18A1B336103"
        "9FE76702AF69334B7A1E6C303B7652F43698FAD1153BB6C374B4C7FB98459CED",
        "7BCD9ED0EFC889FB3002C6CD635AFE94D8FA6BBBEBAB07612001802114846679"
        "8A1D71EFEA48B9CAEFBACD1D7D476E98DEA2594AC06FD85D6BCAA4CD81F32D1B",
        "378EE767F11631BAD21380B00449B17ACDA43C32BCDF1D77F82012D430219F9B"
        "5D80EF9D1891CC86E71DA4AA88E12852FAF417D5D9B21B9948BC924AF11BD720",
    )
]

_WORDS = Struct("<8Q")


def _table(position: int) -> list[int]:
    """Return the contribution of each value of a word's byte at `position` to the result's word."""
    rows = [_A[63 - 8 * position - bit] for bit in range(8)]
    table = []
    for value in _PI:
        word = 0
        for bit in range(8):
            if value >> bit & 1:
                word ^= rows[bit]
        table.append(word)
    return table


_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7 = (_table(position) for position in range(8))


def _lps(state: int) -> int:
    """Return L(P(S(state))). P is a transposition: word i takes byte i of every word."""
    data = state.to_bytes(_BLOCK, "little")
    columns = zip(
        data[:8],
        data[8:16],
        data[16:24],
        data[24:32],
        data[32:40],
        data[40:48],
        data[48:56],
        data[56:],
        strict=True,
    )
    words = [
        _T0[a] ^ _T1[b] ^ _T2[c] ^ _T3[d] ^ _T4[e] ^ _T5[f] ^ _T6[g] ^ _T7[h]
        for a, b, c, d, e, f, g, h in columns
    ]
    return int.from_bytes(_WORDS.pack(*words), "little")


def _compress(count: int, state: int, block: int) -> int:
    """Return g of RFC 6986, section 8; `count` is the number of bits hashed before this block."""
    key = _lps(state ^ count)
    text = block
    for constant in _C:
        text = _lps(key ^ text)
        key = _lps(key ^ constant)
    return key ^ text ^ state ^ block


def _hash(message: bytes, state: int) -> bytes:
    count = checksum = 0
    whole = len(message) // _BLOCK * _BLOCK
    for start in range(0, whole, _BLOCK):
        block = int.from_bytes(message[start : start + _BLOCK], "little")
        state = _compress(count, state, block)
        checksum = checksum + block & _MASK
        count += 8 * _BLOCK
    rest = message[whole:]
    # Padding: a one bit above the rest, then zeros.
    block = int.from_bytes(rest, "little") | 1 << 8 * len(rest)
    state = _compress(count, state, block)
    checksum = checksum + block & _MASK
    state = _compress(0, state, count + 8 * len(rest))
    return _compress(0, state, checksum).to_bytes(_BLOCK, "little")


def streebog512(message: bytes) -> bytes:
    """Return the 64 bytes of the digest, in the order of files and certificates.

    RFC 6986 writes messages and digests as numbers, with their bytes in reverse.
    """
    return _hash(message, 0)


def streebog256(message: bytes) -> bytes:
    """Return the 32 bytes of the digest, in the same order."""
    return _hash(message, int.from_bytes(b"\x01" * _BLOCK, "little"))[32:]
