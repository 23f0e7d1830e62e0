//! SHA-512 of eight messages at a time in lanes of AVX-512.

// The same lane in several arrays.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use crate::rows::{from_bytes, row, transpose, words};
use crate::sha512_lanes::{BLOCK, INITIAL, Parts, ROUNDS, digest_of, fill};

const LANES: usize = 8;

/// Returns the digest of each message.
#[target_feature(enable = "avx512f,avx512bw")]
pub fn digests(messages: &[Parts]) -> Vec<[u8; 64]> {
    crate::sha512_lanes::digests(messages, |messages, blocks| hash(messages, blocks))
}

/// Hashes eight messages, each of that many blocks; the first has the most.
#[target_feature(enable = "avx512f,avx512bw")]
fn hash(messages: [&Parts; LANES], blocks: [usize; LANES]) -> [[u8; 64]; LANES] {
    let mut state = INITIAL.map(|word| _mm512_set1_epi64(word as i64));
    let mut block = [[0; BLOCK]; LANES];
    for number in 0..blocks[0] {
        let going = fill(&mut block, messages, blocks, number);
        let next = compress(state, &block);
        for (word, next) in state.iter_mut().zip(next) {
            *word = _mm512_mask_mov_epi64(*word, going, next);
        }
    }
    transpose(state).map(|row| digest_of(words(row)))
}

/// The compression function: FIPS 180-4, section 6.4.2.
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(state: [__m512i; 8], block: &[[u8; BLOCK]; LANES]) -> [__m512i; 8] {
    let swap = _mm512_set4_epi64(
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
    );
    let mut w = [_mm512_setzero_si512(); 16];
    for half in 0..2 {
        let mut rows = [_mm512_setzero_si512(); LANES];
        for lane in 0..LANES {
            let bytes: &[u8; 64] = block[lane][64 * half..][..64].try_into().unwrap();
            rows[lane] = _mm512_shuffle_epi8(row(&from_bytes(bytes)), swap);
        }
        w[8 * half..][..8].copy_from_slice(&transpose(rows));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    for sixteen in 0..5 {
        for i in 0..16 {
            if sixteen > 0 {
                let (w1, w14) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                let s0 = xor3(ror::<1>(w1), ror::<8>(w1), _mm512_srli_epi64::<7>(w1));
                let s1 = xor3(ror::<19>(w14), ror::<61>(w14), _mm512_srli_epi64::<6>(w14));
                w[i] = add(add(w[i], s0), add(w[(i + 9) % 16], s1));
            }
            let constant = _mm512_set1_epi64(ROUNDS[16 * sixteen + i] as i64);
            let s1 = xor3(ror::<14>(e), ror::<18>(e), ror::<41>(e));
            let choice = _mm512_ternarylogic_epi64::<0xca>(e, f, g);
            let t1 = add(add(add(h, constant), w[i]), add(s1, choice));
            let s0 = xor3(ror::<28>(a), ror::<34>(a), ror::<39>(a));
            let majority = _mm512_ternarylogic_epi64::<0xe8>(a, b, c);
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
#[target_feature(enable = "avx512f")]
fn add(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn ror<const BITS: i32>(a: __m512i) -> __m512i {
    _mm512_ror_epi64::<BITS>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}
