//! Eight words of 64 bits in one register, as all that is done in eight lanes has them.

use std::arch::x86_64::*;

/// Returns the words of 64 bytes, each lowest byte first.
pub fn from_bytes(bytes: &[u8; 64]) -> [u64; 8] {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

/// Returns eight neighbouring words as one register.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn row(w: &[u64; 8]) -> __m512i {
    let w = w.map(|word| word as i64);
    _mm512_set_epi64(w[7], w[6], w[5], w[4], w[3], w[2], w[1], w[0])
}

/// Returns the words of a register.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn words(row: __m512i) -> [u64; 8] {
    let mut words = [0; 8];
    let quarters = [
        _mm512_castsi512_si128(row),
        _mm512_extracti32x4_epi32::<1>(row),
        _mm512_extracti32x4_epi32::<2>(row),
        _mm512_extracti32x4_epi32::<3>(row),
    ];
    for (i, quarter) in quarters.into_iter().enumerate() {
        words[2 * i] = _mm_cvtsi128_si64(quarter) as u64;
        words[2 * i + 1] = _mm_cvtsi128_si64(_mm_unpackhi_epi64(quarter, quarter)) as u64;
    }
    words
}

/// Turns word i of row j into word j of row i.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn transpose(r: [__m512i; 8]) -> [__m512i; 8] {
    let mut pairs = r;
    for i in 0..4 {
        pairs[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
    }
    let mut out = r;
    for odd in 0..2 {
        let [a, b, c, d] = [pairs[odd], pairs[2 + odd], pairs[4 + odd], pairs[6 + odd]];
        let low = _mm512_shuffle_i64x2::<0x88>(a, b);
        let high = _mm512_shuffle_i64x2::<0xdd>(a, b);
        let low2 = _mm512_shuffle_i64x2::<0x88>(c, d);
        let high2 = _mm512_shuffle_i64x2::<0xdd>(c, d);
        out[odd] = _mm512_shuffle_i64x2::<0x88>(low, low2);
        out[4 + odd] = _mm512_shuffle_i64x2::<0xdd>(low, low2);
        out[2 + odd] = _mm512_shuffle_i64x2::<0x88>(high, high2);
        out[6 + odd] = _mm512_shuffle_i64x2::<0xdd>(high, high2);
    }
    out
}

/// Returns four neighbouring words as one register of AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub fn row4(w: &[u64; 4]) -> __m256i {
    let w = w.map(|word| word as i64);
    _mm256_set_epi64x(w[3], w[2], w[1], w[0])
}

/// Returns the words of a register of AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub fn words4(row: __m256i) -> [u64; 4] {
    let halves = [_mm256_castsi256_si128(row), _mm256_extracti128_si256::<1>(row)];
    let low = halves.map(|half| _mm_cvtsi128_si64(half) as u64);
    let high = halves.map(|half| _mm_cvtsi128_si64(_mm_unpackhi_epi64(half, half)) as u64);
    [low[0], high[0], low[1], high[1]]
}

/// Turns word i of row j into word j of row i.
#[inline]
#[target_feature(enable = "avx2")]
pub fn transpose4([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (low, high) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (low2, high2) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    [
        _mm256_permute2x128_si256::<0x20>(low, low2),
        _mm256_permute2x128_si256::<0x20>(high, high2),
        _mm256_permute2x128_si256::<0x31>(low, low2),
        _mm256_permute2x128_si256::<0x31>(high, high2),
    ]
}
