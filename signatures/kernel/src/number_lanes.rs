//! Arithmetic modulo a prime on eight numbers in step, by AVX-512 IFMA.
//!
//! A number is carried: its limbs are from 0 to 2⁵² − 1, because the products read 52 bits of a limb
//! and ignore the rest in silence. Its value may be a small multiple of p; builds with assertions
//! carry the bound along with each number, and check it at each step. The formulas of points have no
//! branches, so that one run of each proves its bounds for all numbers.
// Limbs of several numbers and constants go by one index.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;
use std::marker::PhantomData;

use crate::modular::Words;
use crate::primes::{BITS, MASK, Prime};
use crate::rows::{row, words as row_words};

pub const LANES: usize = 8;

/// Eight numbers modulo p in Montgomery's form: a·2⁵²ᴸ stands for a.
#[derive(Clone, Copy)]
pub struct Number<P: Prime<N, L>, const N: usize, const L: usize> {
    limbs: [__m512i; L],
    /// All eight are below this times p.
    #[cfg(debug_assertions)]
    bound: f64,
    prime: PhantomData<P>,
}

#[inline]
#[target_feature(enable = "avx512f")]
fn set1(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

impl<P: Prime<N, L>, const N: usize, const L: usize> Number<P, N, L> {
    /// Carries limbs whose number is from 0 to below `bound` times p. They may be signed.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn carried(mut limbs: [__m512i; L], bound: f64) -> Self {
        let mask = set1(MASK);
        for limb in 0..L - 1 {
            limbs[limb + 1] =
                _mm512_add_epi64(limbs[limb + 1], _mm512_srai_epi64::<BITS>(limbs[limb]));
            limbs[limb] = _mm512_and_si512(limbs[limb], mask);
        }
        Self::checked(limbs, bound)
    }

    /// Takes carried limbs; checks that they are, and fit.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn checked(limbs: [__m512i; L], bound: f64) -> Self {
        debug_assert!(bound <= P::ROOM as f64, "a number of {bound} p does not fit its limbs");
        for &limb in &limbs {
            debug_assert!(
                row_words(limb).iter().all(|&word| word <= MASK),
                "a limb is not carried"
            );
        }
        Self {
            limbs,
            #[cfg(debug_assertions)]
            bound,
            prime: PhantomData,
        }
    }

    /// How many times p the numbers are below; known in builds with assertions.
    #[inline]
    fn bound(&self) -> f64 {
        #[cfg(debug_assertions)]
        return self.bound;
        #[cfg(not(debug_assertions))]
        return 0.0;
    }

    /// Returns numbers from words, one column of eight a word, of which missing ones are 0. They are
    /// below `bound` times p.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn unpack(columns: &[__m512i], bound: f64) -> Self {
        let mut limbs = [set1(0); L];
        for limb in 0..L {
            let (word, shift) = (limb * BITS as usize / 64, limb as u32 * BITS % 64);
            if word >= columns.len() {
                continue;
            }
            let low = _mm512_srl_epi64(columns[word], _mm_cvtsi64_si128(i64::from(shift)));
            let both = if shift > 64 - BITS && word + 1 < columns.len() {
                let left = _mm_cvtsi64_si128(i64::from(64 - shift));
                _mm512_or_si512(low, _mm512_sll_epi64(columns[word + 1], left))
            } else {
                low
            };
            limbs[limb] = _mm512_and_si512(both, set1(MASK));
        }
        Self::checked(limbs, bound)
    }

    /// Returns numbers below p, one a lane.
    #[target_feature(enable = "avx512f")]
    pub fn from_words(numbers: &[Words<N>; LANES]) -> Self {
        let mut columns = [set1(0); N];
        for word in 0..N {
            columns[word] = row(&numbers.map(|number| number[word]));
        }
        Self::unpack(&columns, 1.0)
    }

    /// Returns one number below p in all lanes.
    #[target_feature(enable = "avx512f")]
    pub fn splat(number: &Words<N>) -> Self {
        Self::from_words(&[*number; LANES])
    }

    /// Returns each lane's number, from 0 to p − 1.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn to_words(self) -> [Words<N>; LANES] {
        let settled = self.settled();
        let mut less = settled.limbs;
        for limb in 0..L {
            less[limb] = _mm512_sub_epi64(less[limb], set1(P::LIMBS[limb]));
        }
        for limb in 0..L - 1 {
            less[limb + 1] =
                _mm512_add_epi64(less[limb + 1], _mm512_srai_epi64::<BITS>(less[limb]));
            less[limb] = _mm512_and_si512(less[limb], set1(MASK));
        }
        let is_below_p = _mm512_cmplt_epi64_mask(less[L - 1], set1(0));
        let mut limbs = [[0; LANES]; L];
        for limb in 0..L {
            let blended = _mm512_mask_blend_epi64(is_below_p, less[limb], settled.limbs[limb]);
            limbs[limb] = row_words(blended);
        }
        std::array::from_fn(|lane| {
            let mut words = [0; N];
            for (limb, lanes) in limbs.iter().enumerate() {
                let (word, shift) = (limb * BITS as usize / 64, limb as u32 * BITS % 64);
                if word < N {
                    words[word] |= lanes[lane] << shift;
                }
                if shift > 64 - BITS && word + 1 < N {
                    words[word + 1] = lanes[lane] >> (64 - shift);
                }
            }
            words
        })
    }

    /// Returns which lanes are 0 modulo p.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn zeros(self) -> __mmask8 {
        let number = self.settled();
        let (mut zeros, mut primes) = (0xff, 0xff);
        for limb in 0..L {
            zeros &= _mm512_cmpeq_epi64_mask(number.limbs[limb], set1(0));
            primes &= _mm512_cmpeq_epi64_mask(number.limbs[limb], set1(P::LIMBS[limb]));
        }
        zeros | primes
    }

    /// Returns this number, in lanes of the mask the other.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn blend(&self, mask: __mmask8, other: &Self) -> Self {
        let mut limbs = self.limbs;
        for limb in 0..L {
            limbs[limb] = _mm512_mask_blend_epi64(mask, limbs[limb], other.limbs[limb]);
        }
        Self::checked(limbs, self.bound().max(other.bound()))
    }

    /// Returns a·b: below (ab/2⁵²ᴸ + 1)·p.
    ///
    /// Row by row: a limb of a times b is added, then the multiple of p that makes the lowest limb 0,
    /// which is dropped. Of t[j] a row adds at most four halves of products, or takes one, so that it
    /// stays within ±2⁵⁸ for eleven rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn times(&self, other: &Self) -> Self {
        let (zero, b) = (set1(0), &other.limbs);
        let mut t = [zero; L];
        for &a in &self.limbs {
            for j in 0..L {
                t[j] = _mm512_madd52lo_epu64(t[j], a, b[j]);
            }
            let q = if P::INVERSE == 1 {
                _mm512_and_si512(t[0], set1(MASK))
            } else {
                _mm512_madd52lo_epu64(zero, t[0], set1(P::INVERSE))
            };
            for j in 0..L {
                match P::DIGITS[j] {
                    0 => {}
                    -1 => t[j] = _mm512_sub_epi64(t[j], q),
                    digit => t[j] = _mm512_madd52lo_epu64(t[j], q, set1(digit as u64)),
                }
            }
            let over = _mm512_srai_epi64::<BITS>(t[0]);
            t[1] = _mm512_add_epi64(t[1], over);
            // A loop that only moved the limbs down would become a copy in memory.
            for j in 0..L - 1 {
                t[j] = _mm512_madd52hi_epu64(t[j + 1], a, b[j]);
            }
            t[L - 1] = _mm512_madd52hi_epu64(zero, a, b[L - 1]);
            for j in 0..L {
                if P::DIGITS[j] > 0 {
                    t[j] = _mm512_madd52hi_epu64(t[j], q, set1(P::DIGITS[j] as u64));
                }
            }
        }
        Self::carried(t, self.bound() * other.bound() / P::ROOM as f64 + 1.0)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn square(&self) -> Self {
        self.times(self)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn plus(&self, other: &Self) -> Self {
        let mut limbs = self.limbs;
        for limb in 0..L {
            limbs[limb] = _mm512_add_epi64(limbs[limb], other.limbs[limb]);
        }
        Self::carried(limbs, self.bound() + other.bound())
    }

    /// Returns K times this number.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn scaled<const K: u32>(&self) -> Self {
        let mut limbs = self.limbs;
        for limb in 0..L {
            let number = limbs[limb];
            limbs[limb] = match K {
                2 => _mm512_slli_epi64::<1>(number),
                3 => _mm512_add_epi64(_mm512_slli_epi64::<1>(number), number),
                4 => _mm512_slli_epi64::<2>(number),
                _ => _mm512_slli_epi64::<3>(number),
            };
        }
        const { assert!(matches!(K, 2 | 3 | 4 | 8)) };
        Self::carried(limbs, f64::from(K) * self.bound())
    }

    /// Returns a − b + K·p, where b is at most K·p.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn minus<const K: u64>(&self, other: &Self) -> Self {
        debug_assert!(other.bound() <= K as f64, "less than {} p is taken", other.bound());
        let mut limbs = self.limbs;
        for limb in 0..L {
            let difference = _mm512_sub_epi64(limbs[limb], other.limbs[limb]);
            limbs[limb] = _mm512_add_epi64(difference, set1(K * P::LIMBS[limb]));
        }
        Self::carried(limbs, self.bound() + K as f64)
    }

    /// Brings a number below 16p to below 1.6p.
    ///
    /// r = ROOM is R = 2⁵²ᴸ/p without its fraction. With q = ⌊top·r/2⁵²⌋ for the highest limb, qp is at
    /// most the number, and what is left is below (1 + 16·(R − r)/R + 2⁻²⁰)·p. Of our primes
    /// 2²⁵⁵ + 3225 has the largest of these, where R is just below 32 and r is 31.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn settled(&self) -> Self {
        debug_assert!(self.bound() <= 16.0);
        let (zero, mut limbs) = (set1(0), self.limbs);
        let q = _mm512_madd52hi_epu64(zero, limbs[L - 1], set1(P::ROOM));
        // Adds q·(2⁵²ᴸ − p), and leaves away the q·2⁵²ᴸ.
        for limb in 0..L {
            let factor = set1(P::COMPLEMENT[limb]);
            if P::COMPLEMENT[limb] != 0 {
                limbs[limb] = _mm512_madd52lo_epu64(limbs[limb], q, factor);
            }
            if P::COMPLEMENT[limb] != 0 && limb + 1 < L {
                limbs[limb + 1] = _mm512_madd52hi_epu64(limbs[limb + 1], q, factor);
            }
        }
        for limb in 0..L - 1 {
            limbs[limb + 1] =
                _mm512_add_epi64(limbs[limb + 1], _mm512_srli_epi64::<BITS>(limbs[limb]));
            limbs[limb] = _mm512_and_si512(limbs[limb], set1(MASK));
        }
        limbs[L - 1] = _mm512_and_si512(limbs[L - 1], set1(MASK));
        Self::checked(limbs, 1.6)
    }
}

#[cfg(test)]
pub mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::entries;
    use crate::primes;
    use crate::testing::{Random, big, words};

    /// Compares with big integers, on limbs of 0, 1 and 2⁵² − 1 mixed with random ones.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn compare<P: Prime<N, L>, const N: usize, const L: usize>() {
        let p = P::LIMBS.iter().rev().fold(BigUint::ZERO, |sum, &limb| (sum << BITS) + limb);
        let root = (BigUint::from(1_u32) << (BITS as usize * L)) % &p;
        let inverse = root.modinv(&p).unwrap();
        let mut random = Random::new(21);
        for round in 0..200 {
            let mut number = || {
                let limb = |random: &mut Random| match random.word() % 4 {
                    0 => 0,
                    1 => 1,
                    2 => MASK,
                    _ => random.word() & MASK,
                };
                let limbs: [_; L] = std::array::from_fn(|_| limb(&mut random));
                let sum = limbs.iter().rev().fold(BigUint::ZERO, |sum, &limb| (sum << BITS) + limb);
                if round == 0 { BigUint::ZERO } else { sum % &p }
            };
            let [a, b] = [0; 2].map(|_| -> [BigUint; LANES] { std::array::from_fn(|_| number()) });
            let lanes = |numbers: &[BigUint; LANES]| {
                Number::<P, N, L>::from_words(&numbers.each_ref().map(words))
            };
            let (x, y) = (lanes(&a), lanes(&b));
            let results = [
                (x.times(&y), 0),
                (x.square(), 1),
                (x.plus(&y), 2),
                (x.minus::<1>(&y), 3),
                (x.scaled::<8>().minus::<3>(&y.scaled::<3>()).settled(), 4),
                (x.blend(0b1010_0101, &y), 5),
            ];
            for (result, which) in results {
                let zeros = result.zeros();
                for (at, found) in result.to_words().iter().enumerate() {
                    let (a, b) = (&a[at], &b[at]);
                    let expected = match which {
                        0 => a * b * &inverse,
                        1 => a * a * &inverse,
                        2 => a + b,
                        3 => a + &p - b,
                        4 => a * 8_u32 + &p * 3_u32 - b * 3_u32,
                        _ => [a, b][0b1010_0101 >> at & 1].clone(),
                    } % &p;
                    assert_eq!(big(found), expected, "{which}");
                    assert_eq!(zeros >> at & 1 == 1, expected == BigUint::ZERO, "{which}");
                }
            }
        }
    }

    #[test]
    fn results_are_those_of_big_integers_for_every_prime() {
        entries::compare_numbers::<primes::P256, 4, 5>();
        entries::compare_numbers::<primes::P384, 6, 8>();
        entries::compare_numbers::<primes::P521, 9, 11>();
        entries::compare_numbers::<primes::Gost256AB, 4, 5>();
        entries::compare_numbers::<primes::Gost256C, 4, 5>();
        entries::compare_numbers::<primes::Gost256D, 4, 5>();
        entries::compare_numbers::<primes::Gost512AC, 8, 10>();
        entries::compare_numbers::<primes::Gost512B, 8, 10>();
    }
}
