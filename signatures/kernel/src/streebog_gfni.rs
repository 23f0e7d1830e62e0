//! Streebog with the whole state in one register, by GFNI, VBMI and AVX-512.
//!
//! A word of the state is a 64-bit lane, the lowest first; a round is L(P(S(x))) (RFC 6986, section
//! 6): S substitutes each byte, P transposes the eight by eight bytes, L multiplies each word by a
//! matrix over GF(2). The transposition is done last here: before it, byte i of word j has to be
//! multiplied into byte i of word k by the eight by eight bits M[k][j], which are one lane of an
//! affine instruction, once word j is rotated into lane k.
//!
//! Nothing that is hashed here is secret.

use std::arch::x86_64::*;

use crate::rows::{from_bytes, row, words};
use crate::streebog_constants::{A, C, PI};

const BLOCK: usize = 64;

/// MATRICES[r][k] is M[k][(k + r) mod 8] for r below 4, else M[(k + 4) mod 8][(k + r − 4) mod 8]: the
/// same r for the lane into which the sum of the last four is rotated. A matrix is as vgf2p8affineqb
/// takes it: its byte 7 − i has the bits that bit i of the product is the sum of.
const MATRICES: [[u64; 8]; 8] = matrices();

const fn matrices() -> [[u64; 8]; 8] {
    let mut matrices = [[0; 8]; 8];
    let mut turn = 0;
    while turn < 8 {
        let mut k = 0;
        while k < 8 {
            let lane = if turn < 4 { k } else { (k + 4) % 8 };
            matrices[turn][k] = matrix(lane, (lane + turn) % 8);
            k += 1;
        }
        turn += 1;
    }
    matrices
}

/// Returns M[k][j]: what byte j of a word adds to byte k of the product.
const fn matrix(k: usize, j: usize) -> u64 {
    let mut rows = 0;
    let mut i = 0;
    while i < 8 {
        let mut row = 0;
        let mut bit = 0;
        while bit < 8 {
            row |= ((A[63 - (8 * j + bit)] >> (8 * k + i)) & 1) << bit;
            bit += 1;
        }
        rows |= row << (8 * (7 - i));
        i += 1;
    }
    rows
}

/// Which byte of the state each byte is after the transposition: byte i of word k is byte k of word
/// i.
const TRANSPOSED: [u64; 8] = transposed();

const fn transposed() -> [u64; 8] {
    let mut places = [0; 8];
    let mut word = 0;
    while word < 8 {
        let mut byte = 0;
        while byte < 8 {
            places[word] |= ((8 * byte + word) as u64) << (8 * byte);
            byte += 1;
        }
        word += 1;
    }
    places
}

/// Returns a quarter of π, as eight words.
const fn quarter(number: usize) -> [u64; 8] {
    let mut words = [0; 8];
    let mut at = 0;
    while at < 64 {
        words[at / 8] |= (PI[64 * number + at] as u64) << (8 * (at % 8));
        at += 1;
    }
    words
}

/// The constants in registers.
#[derive(Clone, Copy)]
struct Round {
    pi: [__m512i; 4],
    matrices: [__m512i; 8],
    transposed: __m512i,
}

/// Returns the sum of four products.
#[target_feature(enable = "avx512f,gfni")]
#[inline]
fn sum(lanes: &[__m512i; 4], matrices: &[__m512i]) -> __m512i {
    let product = |at: usize| _mm512_gf2p8affine_epi64_epi8::<0>(lanes[at], matrices[at]);
    let first = _mm512_xor_si512(product(0), product(1));
    _mm512_ternarylogic_epi64::<0x96>(first, product(2), product(3))
}

impl Round {
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        const QUARTERS: [[u64; 8]; 4] = [quarter(0), quarter(1), quarter(2), quarter(3)];
        Self {
            pi: QUARTERS.map(|quarter| row(&quarter)),
            matrices: MATRICES.map(|matrix| row(&matrix)),
            transposed: row(&TRANSPOSED),
        }
    }

    /// Returns L(P(S(state))).
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    #[inline]
    fn lps(&self, state: __m512i) -> __m512i {
        let low = _mm512_permutex2var_epi8(self.pi[0], state, self.pi[1]);
        let high = _mm512_permutex2var_epi8(self.pi[2], state, self.pi[3]);
        let s = _mm512_mask_blend_epi8(_mm512_movepi8_mask(state), low, high);
        let rotated = [
            s,
            _mm512_alignr_epi64::<1>(s, s),
            _mm512_alignr_epi64::<2>(s, s),
            _mm512_alignr_epi64::<3>(s, s),
        ];
        // The second four are summed where the first four are, and rotated together.
        let near = sum(&rotated, &self.matrices[..4]);
        let far = sum(&rotated, &self.matrices[4..]);
        let sum = _mm512_xor_si512(near, _mm512_alignr_epi64::<4>(far, far));
        _mm512_permutexvar_epi8(self.transposed, sum)
    }

    /// Returns the compression function g of RFC 6986, section 8, for the counter n.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    #[inline]
    fn compress(&self, h: __m512i, n: __m512i, message: __m512i) -> __m512i {
        let mut key = self.lps(_mm512_xor_si512(h, n));
        let mut block = message;
        for constant in C {
            block = self.lps(_mm512_xor_si512(block, key));
            key = self.lps(_mm512_xor_si512(key, row(&constant)));
        }
        let sum = _mm512_ternarylogic_epi64::<0x96>(block, key, message);
        _mm512_xor_si512(h, sum)
    }
}

/// Returns the 64 bytes of the last state, from the first one (RFC 6986, section 9).
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
pub fn digest(message: &[u8], initial: [u64; 8]) -> [u8; 64] {
    let round = Round::new();
    let mut state = row(&initial);
    let (mut counter, mut sum) = ([0; 8], [0; 8]);
    let (blocks, rest) = message.as_chunks::<BLOCK>();
    for block in blocks {
        let block = from_bytes(block);
        state = round.compress(state, row(&counter), row(&block));
        add(&mut counter, &[8 * BLOCK as u64, 0, 0, 0, 0, 0, 0, 0]);
        add(&mut sum, &block);
    }
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 1;
    let last = from_bytes(&last);
    state = round.compress(state, row(&counter), row(&last));
    add(&mut counter, &[8 * rest.len() as u64, 0, 0, 0, 0, 0, 0, 0]);
    add(&mut sum, &last);
    let zero = row(&[0; 8]);
    state = round.compress(state, zero, row(&counter));
    state = round.compress(state, zero, row(&sum));
    let mut bytes = [0; 64];
    for (at, word) in words(state).into_iter().enumerate() {
        bytes[8 * at..][..8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Adds modulo 2^512.
fn add(sum: &mut [u64; 8], other: &[u64; 8]) {
    let mut carry = false;
    for (one, &more) in sum.iter_mut().zip(other) {
        let (sum, first) = one.overflowing_add(more);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (*one, carry) = (sum, first | second);
    }
}
