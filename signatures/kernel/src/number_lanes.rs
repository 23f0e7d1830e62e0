//! Arithmetic modulo a prime on eight numbers in step, by AVX-512 IFMA.
//!
//! A number is carried: its limbs are from 0 to 2⁵² − 1, because the products read 52 bits of a limb
//! and ignore the rest in silence. Its value may be a small multiple of p. What products, sums and
//! differences return is raw: its limbs carry into each other later, once for several of them. Builds
//! with assertions carry the bounds of values and limbs along, and check them at each step. The
//! formulas of points have no branches, so that one run of each proves its bounds for all numbers.
// Limbs of several numbers and constants go by one index.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;
use std::marker::PhantomData;

use crate::modular::Words;
use crate::primes::{BITS, MASK, Prime};
use crate::rows::{row, words as row_words};

pub const LANES: usize = 8;

/// The longest numbers have eleven limbs.
const MOST_LIMBS: usize = 11;

/// Eight numbers modulo p in Montgomery's form: a·2⁵²ᴸ stands for a.
#[derive(Clone, Copy)]
pub struct Number<P: Prime<N, L>, const N: usize, const L: usize> {
    limbs: [__m512i; L],
    /// All eight are below this times p.
    #[cfg(debug_assertions)]
    bound: f64,
    prime: PhantomData<P>,
}

/// Eight numbers whose limbs are signed and not carried.
#[derive(Clone, Copy)]
pub struct Raw<P: Prime<N, L>, const N: usize, const L: usize> {
    limbs: [__m512i; L],
    #[cfg(debug_assertions)]
    bounds: Bounds,
    prime: PhantomData<P>,
}

/// What is known of raw numbers, in builds with assertions.
#[derive(Clone, Copy)]
struct Bounds {
    /// All eight are from −below times p to above times p.
    below: f64,
    above: f64,
    /// Each limb but the highest is within ± this times 2⁵².
    limb: f64,
}

impl Bounds {
    const UNKNOWN: Self = Self { below: 0.0, above: 0.0, limb: 0.0 };

    fn plus(self, other: Self) -> Self {
        Self {
            below: self.below + other.below,
            above: self.above + other.above,
            limb: self.limb + other.limb,
        }
    }

    fn negated(self) -> Self {
        Self { below: self.above, above: self.below, ..self }
    }

    fn times(self, factor: f64) -> Self {
        Self { below: factor * self.below, above: factor * self.above, limb: factor * self.limb }
    }
}

/// The columns of a product, one for each power of 2⁵², to be reduced.
type Columns = [__m512i; 2 * MOST_LIMBS + 1];

/// Repeats a block for each row, which is a constant in it. A loop over so many products would not be
/// unrolled, and its columns would be kept in memory.
macro_rules! for_each_row {
    ($row:ident, $block:block) => {
        for_each_row!($row, $block, 0 1 2 3 4 5 6 7 8 9 10)
    };
    ($row:ident, $block:block, $($number:literal)*) => {
        $({
            const $row: usize = $number;
            if $row < L $block
        })*
    };
}

#[inline]
#[target_feature(enable = "avx512f")]
fn set1(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

/// Returns small signed numbers times ±2ᵏ, or times any factor of 31 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn multiplied(small: __m512i, factor: i64) -> __m512i {
    if factor.unsigned_abs().is_power_of_two() {
        let shift = _mm_cvtsi64_si128(i64::from(factor.trailing_zeros()));
        let shifted = _mm512_sll_epi64(small, shift);
        return if factor > 0 { shifted } else { _mm512_sub_epi64(set1(0), shifted) };
    }
    debug_assert!(i64::from(factor as i32) == factor);
    _mm512_mul_epi32(small, _mm512_set1_epi64(factor))
}

impl<P: Prime<N, L>, const N: usize, const L: usize> Number<P, N, L> {
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
        let settled = self.below_twice();
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
        let number = self.below_twice();
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

    /// Returns this number, which is below p, in lanes of the mask p less it.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn negated_where(&self, mask: __mmask8) -> Self {
        debug_assert!(self.bound() <= 1.0);
        let mut limbs = self.limbs;
        for limb in 0..L {
            let p = set1(P::LIMBS[limb]);
            limbs[limb] = _mm512_mask_sub_epi64(limbs[limb], mask, p, limbs[limb]);
        }
        Raw::of(limbs, Bounds { below: 0.0, above: 1.0, limb: 1.0 }).carried()
    }

    #[inline]
    fn bounds(&self) -> Bounds {
        Bounds { below: 0.0, above: self.bound(), limb: 1.0 }
    }

    /// Returns the same number as a raw one.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn raw(&self) -> Raw<P, N, L> {
        Raw::of(self.limbs, self.bounds())
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn plus(&self, other: &Self) -> Raw<P, N, L> {
        self.raw().plus(other)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn minus(&self, other: &Self) -> Raw<P, N, L> {
        self.raw().minus(other)
    }

    /// Returns a·b, below (ab/2⁵²ᴸ + 1)·p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn times(&self, other: &Self) -> Self {
        self.raw_product(other).carried()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn square(&self) -> Self {
        self.raw_square().carried()
    }

    /// Returns a·b, from 0 to below (ab/2⁵²ᴸ + 1)·p.
    ///
    /// To column k each row adds at most four halves of products, of a and b and of a factor of p, and
    /// takes at most one limb from it: columns stay within 4L·2⁵². A column is reduced a row after it
    /// is complete, so that nothing waits for its factor.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn raw_product(&self, other: &Self) -> Raw<P, N, L> {
        let mut columns = [set1(0); 2 * MOST_LIMBS + 1];
        for_each_row!(ROW, {
            for limb in 0..L {
                let column = &mut columns[ROW + limb];
                *column = _mm512_madd52lo_epu64(*column, self.limbs[ROW], other.limbs[limb]);
            }
            for limb in 0..L {
                let column = &mut columns[ROW + limb + 1];
                *column = _mm512_madd52hi_epu64(*column, self.limbs[ROW], other.limbs[limb]);
            }
            if ROW != 0 {
                Self::reduce_column(&mut columns, ROW - 1);
            }
        });
        Self::reduce_column(&mut columns, L - 1);
        Self::reduced(&columns, self.bound() * other.bound())
    }

    /// Returns a·a as `raw_product` does. The products of different limbs are made once, and doubled.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn raw_square(&self) -> Raw<P, N, L> {
        let (mut columns, limbs) = ([set1(0); 2 * MOST_LIMBS + 1], &self.limbs);
        for_each_row!(ROW, {
            for limb in ROW + 1..L {
                let column = &mut columns[ROW + limb];
                *column = _mm512_madd52lo_epu64(*column, limbs[ROW], limbs[limb]);
            }
            for limb in ROW + 1..L {
                let column = &mut columns[ROW + limb + 1];
                *column = _mm512_madd52hi_epu64(*column, limbs[ROW], limbs[limb]);
            }
        });
        for_each_row!(ROW, {
            let [low, high] = [2 * ROW, 2 * ROW + 1];
            columns[low] = _mm512_slli_epi64::<1>(columns[low]);
            columns[low] = _mm512_madd52lo_epu64(columns[low], limbs[ROW], limbs[ROW]);
            columns[high] = _mm512_slli_epi64::<1>(columns[high]);
            columns[high] = _mm512_madd52hi_epu64(columns[high], limbs[ROW], limbs[ROW]);
        });
        for_each_row!(ROW, {
            Self::reduce_column(&mut columns, ROW);
        });
        Self::reduced(&columns, self.bound() * self.bound())
    }

    /// Adds the multiple q of p that makes the lowest 52 bits of a column 0, and its rest to the next
    /// one.
    ///
    /// For l, the lowest bits, the column and q·p's lowest limb come to the column less l, and 2⁵²
    /// more unless l is 0: that is the column plus 2⁵² − 1, divided by 2⁵². Where p is −1 modulo 2⁵²
    /// q is l and they come to the column less l. Products read 52 bits of q. The sum for the next
    /// column has two parts, so that its own q waits for one product after this.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce_column(columns: &mut Columns, at: usize) {
        let column = columns[at];
        let (q, mut next) = if P::INVERSE == 1 {
            (column, column)
        } else {
            let q = _mm512_madd52lo_epu64(set1(0), column, set1(P::INVERSE));
            (q, _mm512_add_epi64(column, set1(MASK)))
        };
        next = _mm512_srai_epi64::<BITS>(next);
        for limb in 0..L {
            let low = if limb == 1 { &mut next } else { &mut columns[at + limb] };
            match P::DIGITS[limb] {
                0 => continue,
                -1 => {
                    *low = _mm512_sub_epi64(*low, _mm512_and_si512(q, set1(MASK)));
                }
                digit => {
                    let digit = set1(digit as u64);
                    if limb > 0 {
                        *low = _mm512_madd52lo_epu64(*low, q, digit);
                    }
                    let high = &mut columns[at + limb + 1];
                    *high = _mm512_madd52hi_epu64(*high, q, digit);
                }
            }
        }
        columns[at + 1] = _mm512_add_epi64(columns[at + 1], next);
    }

    /// Returns the upper half of a product's columns, once the lower half was reduced.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn reduced(columns: &Columns, product: f64) -> Raw<P, N, L> {
        let mut limbs = [set1(0); L];
        limbs.copy_from_slice(&columns[L..2 * L]);
        let above = product / P::ROOM as f64 + 1.0;
        Raw::of(limbs, Bounds { below: 0.0, above, limb: 4.0 * L as f64 })
    }

    /// Brings a number that is at most 16p, or for P-521 any, to below 1.6p.
    ///
    /// r = ROOM is R = 2⁵²ᴸ/p without its fraction. With q = ⌊top·r/2⁵²⌋ for the highest limb, qp is at
    /// most the number, and what is left is below (1 + 16·(R − r)/R + 2⁻²⁰)·p. Of our primes
    /// 2²⁵⁵ + 3225 has the largest of these, where R is just below 32 and r is 31.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn below_twice(&self) -> Self {
        debug_assert!(self.bound() <= 16.0 || P::EXPONENT == 521);
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

impl<P: Prime<N, L>, const N: usize, const L: usize> Raw<P, N, L> {
    #[inline]
    fn of(limbs: [__m512i; L], bounds: Bounds) -> Self {
        // A carry more must not overflow 64 bits.
        debug_assert!(bounds.limb < 1024.0, "a limb may be {} · 2⁵²", bounds.limb);
        Self {
            limbs,
            #[cfg(debug_assertions)]
            bounds,
            prime: PhantomData,
        }
    }

    #[inline]
    fn bounds(&self) -> Bounds {
        #[cfg(debug_assertions)]
        return self.bounds;
        #[cfg(not(debug_assertions))]
        return Bounds::UNKNOWN;
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn plus(&self, other: &Number<P, N, L>) -> Self {
        let mut limbs = self.limbs;
        for limb in 0..L {
            limbs[limb] = _mm512_add_epi64(limbs[limb], other.limbs[limb]);
        }
        Self::of(limbs, self.bounds().plus(other.bounds()))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn minus(&self, other: &Number<P, N, L>) -> Self {
        let mut limbs = self.limbs;
        for limb in 0..L {
            limbs[limb] = _mm512_sub_epi64(limbs[limb], other.limbs[limb]);
        }
        Self::of(limbs, self.bounds().plus(other.bounds().negated()))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn minus_raw(&self, other: &Self) -> Self {
        let mut limbs = self.limbs;
        for limb in 0..L {
            limbs[limb] = _mm512_sub_epi64(limbs[limb], other.limbs[limb]);
        }
        Self::of(limbs, self.bounds().plus(other.bounds().negated()))
    }

    /// Returns K times this number.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn scaled<const K: u32>(&self) -> Self {
        const { assert!(matches!(K, 2 | 3 | 4 | 8)) };
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
        Self::of(limbs, self.bounds().times(f64::from(K)))
    }

    /// Adds k·p.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn lifted(&self, k: u64) -> Self {
        let mut limbs = self.limbs;
        for limb in 0..L {
            if P::DIGITS[limb] != 0 {
                let multiple = _mm512_set1_epi64(P::DIGITS[limb] * k as i64);
                limbs[limb] = _mm512_add_epi64(limbs[limb], multiple);
            }
        }
        let k = k as f64;
        Self::of(limbs, self.bounds().plus(Bounds { below: -k, above: k, limb: k }))
    }

    /// Carries a number that is not negative.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn carried(&self) -> Number<P, N, L> {
        debug_assert!(self.bounds().below <= 0.0, "a number may be negative");
        let mut limbs = self.limbs;
        for limb in 0..L - 1 {
            limbs[limb + 1] =
                _mm512_add_epi64(limbs[limb + 1], _mm512_srai_epi64::<BITS>(limbs[limb]));
            limbs[limb] = _mm512_and_si512(limbs[limb], set1(MASK));
        }
        Number::checked(limbs, self.bounds().above)
    }

    /// Carries the difference of numbers of which what is taken was settled: adds a multiple of p.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn positive(&self) -> Number<P, N, L> {
        self.lifted(P::SETTLED).carried()
    }

    /// Brings a number from −10p to 6p to below SETTLED·p, which is next to p but for P-521.
    ///
    /// What the lower limbs carry into the highest one is not known yet, but within ±limb. From the
    /// highest one less a margin above that, q is the multiple of 2ᵏ in it, where p = 2ᵏ − f, signed
    /// and small; the number less q·2ᵏ plus q·f is q·p less, and positive because the margin is
    /// added again.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn settled(&self) -> Number<P, N, L> {
        let bounds = self.bounds();
        debug_assert!(bounds.below <= 10.0 && bounds.above <= 6.0 || P::EXPONENT == 521);
        if P::FOLD.is_empty() {
            return self.lifted(10).carried().below_twice();
        }
        let shift = P::EXPONENT - BITS * (L as u32 - 1);
        let margin = set1(P::MARGIN);
        let mut limbs = self.limbs;
        debug_assert!(bounds.limb < 511.0, "a limb may carry more than the margin");
        let top = _mm512_sub_epi64(limbs[L - 1], margin);
        let q = _mm512_sra_epi64(top, _mm_cvtsi64_si128(i64::from(shift)));
        let rest = _mm512_and_si512(top, set1((1 << shift) - 1));
        limbs[L - 1] = _mm512_add_epi64(rest, margin);
        for &(limb, factor) in P::FOLD {
            limbs[limb] = _mm512_add_epi64(limbs[limb], multiplied(q, factor));
        }
        let most = ((1 << shift) + 2 * P::MARGIN) as f64;
        let prime = P::LIMBS[L - 1] as f64 + P::LIMBS[L - 2] as f64 / (1_u64 << BITS) as f64;
        let (above, limb) = (most / prime, bounds.limb + 1.0);
        Self::of(limbs, Bounds { below: 0.0, above, limb }).carried()
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
                (x.plus(&y).carried(), 2),
                (x.minus(&y).lifted(1).carried(), 3),
                (x.raw().scaled::<4>().minus_raw(&y.raw().scaled::<3>()).settled(), 4),
                (y.negated_where(0b0101_1010), 6),
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
                        4 => a * 4_u32 + &p * 3_u32 - b * 3_u32,
                        6 if 0b0101_1010 >> at & 1 == 1 => &p - b,
                        6 => b.clone(),
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
