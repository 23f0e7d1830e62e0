//! SHA-512 of four messages at a time in lanes of AVX2.

// The same lane in several arrays.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use crate::rows::{row4, transpose4, words4};
use crate::sha512_lanes::{BLOCK, INITIAL, Parts, ROUNDS, digest_of, fill};

const LANES: usize = 4;

/// Returns the digest of each message.
#[target_feature(enable = "avx2")]
pub fn digests(messages: &[Parts]) -> Vec<[u8; 64]> {
    crate::sha512_lanes::digests(messages, |messages, blocks| hash(messages, blocks))
}

/// Hashes four messages, each of that many blocks; the first has the most.
#[target_feature(enable = "avx2")]
fn hash(messages: [&Parts; LANES], blocks: [usize; LANES]) -> [[u8; 64]; LANES] {
    let mut state = INITIAL.map(|word| _mm256_set1_epi64x(word as i64));
    let mut block = [[0; BLOCK]; LANES];
    for number in 0..blocks[0] {
        let going = fill(&mut block, messages, blocks, number);
        let bits = _mm256_set_epi64x(8, 4, 2, 1);
        let going = _mm256_and_si256(_mm256_set1_epi64x(going.into()), bits);
        let going = _mm256_cmpeq_epi64(going, bits);
        let next = compress(state, &block);
        for (word, next) in state.iter_mut().zip(next) {
            *word = _mm256_blendv_epi8(*word, next, going);
        }
    }
    let [a, b, c, d, e, f, g, h] = state;
    let (first, second) = (transpose4([a, b, c, d]), transpose4([e, f, g, h]));
    std::array::from_fn(|lane| {
        let [a, b, c, d] = words4(first[lane]);
        let [e, f, g, h] = words4(second[lane]);
        digest_of([a, b, c, d, e, f, g, h])
    })
}

/// The compression function: FIPS 180-4, section 6.4.2.
#[target_feature(enable = "avx2")]
fn compress(state: [__m256i; 8], block: &[[u8; BLOCK]; LANES]) -> [__m256i; 8] {
    let mut w = [_mm256_setzero_si256(); 16];
    for quarter in 0..4 {
        let mut rows = [_mm256_setzero_si256(); LANES];
        for lane in 0..LANES {
            let (words, _) = block[lane][32 * quarter..][..32].as_chunks::<8>();
            rows[lane] = row4(&std::array::from_fn(|i| u64::from_be_bytes(words[i])));
        }
        w[4 * quarter..][..4].copy_from_slice(&transpose4(rows));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    for sixteen in 0..5 {
        for i in 0..16 {
            if sixteen > 0 {
                let (w1, w14) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                let s0 = xor3(ror::<1, 63>(w1), ror::<8, 56>(w1), _mm256_srli_epi64::<7>(w1));
                let s1 = xor3(ror::<19, 45>(w14), ror::<61, 3>(w14), _mm256_srli_epi64::<6>(w14));
                w[i] = add(add(w[i], s0), add(w[(i + 9) % 16], s1));
            }
            let constant = _mm256_set1_epi64x(ROUNDS[16 * sixteen + i] as i64);
            let s1 = xor3(ror::<14, 50>(e), ror::<18, 46>(e), ror::<41, 23>(e));
            let choice = xor(g, _mm256_and_si256(e, xor(f, g)));
            let t1 = add(add(add(h, constant), w[i]), add(s1, choice));
            let s0 = xor3(ror::<28, 36>(a), ror::<34, 30>(a), ror::<39, 25>(a));
            let majority = xor(b, _mm256_and_si256(xor(a, b), xor(b, c)));
            let t2 = add(s0, majority);
            (h, g, f, e) = (g, f, e, add(d, t1));
            (d, c, b, a) = (c, b, a, add(t1, t2));
        }
    }
    let after = [a, b, c, d, e, f, g, h];
    let mut sum = state;
    for i in 0..8 {
        sum[i] = add(state[i], after[i]);
    }
    sum
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi64(a, b)
}

/// Rotates right by BITS and so left by the REST of 64.
#[inline]
#[target_feature(enable = "avx2")]
fn ror<const BITS: i32, const REST: i32>(a: __m256i) -> __m256i {
    const { assert!(BITS + REST == 64) };
    _mm256_or_si256(_mm256_srli_epi64::<BITS>(a), _mm256_slli_epi64::<REST>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    xor(a, xor(b, c))
}
