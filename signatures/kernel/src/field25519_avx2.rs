//! Four numbers modulo p = 2²⁵⁵ − 19 at a time, in lanes of AVX2: ten limbs of 26 and 25 bits in
//! turn, because `vpmuludq` multiplies 32 bits.
//!
//! Bounds are said in *units*: 2²⁶ of an even limb, 2²⁵ of an odd one. A *carried* number has at
//! most 1 + 1/64 of them, a sum of two 2 + 1/32, a difference 3 + 1/64. The second factor of a
//! product may have 3 ¼, the first 5 ½: `times` asserts it.

// The same index in several arrays of limbs.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;
use std::hint::black_box;

use crate::ed25519_lanes::Point;
use crate::field25519::Field;
use crate::rows::{row4, transpose4, words4};

pub const LANES: usize = 4;

const LIMBS: usize = 10;

/// Bits of a word, in which numbers are stored: of an even limb and the odd one above it.
const WORD: u32 = 51;
const EVEN: i32 = 26;
const ODD: i32 = 25;
const MASK_EVEN: i64 = (1 << EVEN) - 1;
const MASK_ODD: i64 = (1 << ODD) - 1;

/// 2p, limb by limb: at least any carried limb, so that a difference plus it is not negative.
const TWICE_P: [i64; LIMBS] = [
    (1 << 27) - 38,
    (1 << 26) - 2,
    (1 << 27) - 2,
    (1 << 26) - 2,
    (1 << 27) - 2,
    (1 << 26) - 2,
    (1 << 27) - 2,
    (1 << 26) - 2,
    (1 << 27) - 2,
    (1 << 26) - 2,
];

/// One number in each lane.
#[derive(Clone, Copy)]
pub struct Lanes([__m256i; LIMBS]);

/// A point: five words each of X, Y, Z and T.
pub type Stored = [__m256i; 5];

/// Bounds in 64ths of a unit.
#[cfg(debug_assertions)]
const CARRIED: u64 = 65;
#[cfg(debug_assertions)]
const FIRST_FACTOR: u64 = 64 * 5 + 32;
#[cfg(debug_assertions)]
const SECOND_FACTOR: u64 = 64 * 3 + 16;

#[cfg(debug_assertions)]
#[target_feature(enable = "avx2")]
fn assert_at_most(number: &Lanes, bound: u64) {
    for (i, &limb) in number.0.iter().enumerate() {
        let limit = bound << (if i % 2 == 0 { EVEN } else { ODD } - 6);
        assert!(words4(limb).iter().all(|&limb| limb <= limit), "{i}: {:x?}", words4(limb));
    }
}

/// Returns the functions for these instructions.
#[inline]
#[target_feature(enable = "avx2")]
pub fn field() -> Field<Lanes, Stored, LANES> {
    Field {
        all: Lanes::all,
        from_bytes: Lanes::from_bytes,
        plus: Lanes::plus,
        minus: Lanes::minus,
        // Called and not inlined: of seven copies a loop's code exceeds the first-level cache.
        times: black_box(Lanes::times),
        times_to: black_box(Lanes::times_to),
        squared: black_box(Lanes::squared),
        squared_times: black_box(Lanes::squared_times),
        carried: Lanes::carried,
        negated_where: Lanes::negated_where,
        or: Lanes::or,
        is_zero: Lanes::is_zero,
        is_odd: Lanes::is_odd,
        rotated: Lanes::rotated,
        load_affine,
        store_affine,
        load,
        store,
    }
}

/// Returns a register with all bits of the lanes that the mask has.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(mask: u8) -> __m256i {
    let bits = _mm256_set_epi64x(8, 4, 2, 1);
    _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(mask.into()), bits), bits)
}

/// Returns 19 times what is below 2²⁷·⁷. A product of 64 bits would take five instructions.
#[inline]
#[target_feature(enable = "avx2")]
fn by_19(a: __m256i) -> __m256i {
    _mm256_mullo_epi32(a, _mm256_set1_epi64x(19))
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn all(words: [u64; 5]) -> Self {
        Self::from_words(&words.map(|word| _mm256_set1_epi64x(word as i64)))
    }

    /// Splits words of 51 bits, the top ones perhaps a little more.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn from_words(words: &[__m256i; 5]) -> Self {
        let mut limbs = [_mm256_setzero_si256(); LIMBS];
        for i in 0..5 {
            limbs[2 * i] = _mm256_and_si256(words[i], _mm256_set1_epi64x(MASK_EVEN));
            limbs[2 * i + 1] = _mm256_srli_epi64::<EVEN>(words[i]);
        }
        let number = Self(limbs);
        #[cfg(debug_assertions)]
        assert_at_most(&number, CARRIED);
        number
    }

    /// Joins carried limbs into words.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn to_words(self) -> [__m256i; 5] {
        #[cfg(debug_assertions)]
        assert_at_most(&self, CARRIED);
        let mut words = [_mm256_setzero_si256(); 5];
        for i in 0..5 {
            let high = _mm256_slli_epi64::<EVEN>(self.0[2 * i + 1]);
            words[i] = _mm256_add_epi64(self.0[2 * i], high);
        }
        words
    }

    #[target_feature(enable = "avx2")]
    fn from_bytes(numbers: &[[u8; 32]; LANES]) -> Self {
        let mut words = [[0; LANES]; 5];
        for (lane, number) in numbers.iter().enumerate() {
            let (w, _) = number.as_chunks::<8>();
            let w: [u64; 4] = std::array::from_fn(|i| u64::from_le_bytes(w[i]));
            let shifted = [
                w[0],
                w[0] >> 51 | w[1] << 13,
                w[1] >> 38 | w[2] << 26,
                w[2] >> 25 | w[3] << 39,
                w[3] >> 12,
            ];
            for (word, shifted) in words.iter_mut().zip(shifted) {
                word[lane] = shifted & ((1 << WORD) - 1);
            }
        }
        Self::from_words(&words.map(|word| row4(&word)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn plus(&self, other: &Self) -> Self {
        let mut out = self.0;
        for i in 0..LIMBS {
            out[i] = _mm256_add_epi64(out[i], other.0[i]);
        }
        Self(out)
    }

    /// Adds 2p first.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn minus(&self, other: &Self) -> Self {
        #[cfg(debug_assertions)]
        for (limb, twice_p) in other.0.iter().zip(TWICE_P) {
            assert!(words4(*limb).iter().all(|&limb| limb <= twice_p as u64));
        }
        let mut out = self.0;
        for i in 0..LIMBS {
            let more = _mm256_add_epi64(out[i], _mm256_set1_epi64x(TWICE_P[i]));
            out[i] = _mm256_sub_epi64(more, other.0[i]);
        }
        Self(out)
    }

    /// Returns 2p − self where the mask says so: at most 2 units.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn negated_where(&self, mask: u8) -> Self {
        #[cfg(debug_assertions)]
        assert_at_most(self, CARRIED);
        // x xor −1 is −x − 1.
        let mask = spread(mask);
        let mut out = self.0;
        for i in 0..LIMBS {
            let twice_p_and_1 = _mm256_and_si256(mask, _mm256_set1_epi64x(TWICE_P[i] + 1));
            out[i] = _mm256_add_epi64(_mm256_xor_si256(out[i], mask), twice_p_and_1);
        }
        Self(out)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn or(&self, mask: u8, other: &Self) -> Self {
        let mask = spread(mask);
        let mut out = self.0;
        for i in 0..LIMBS {
            out[i] = _mm256_blendv_epi8(out[i], other.0[i], mask);
        }
        Self(out)
    }

    /// Row i of the schoolbook product is factor i times the second factor from −i places on; what
    /// lies below 0 is 19 times what lies ten higher, because 2²⁵⁵ = 19. A product of two odd limbs
    /// counts twice: their places add up to half a bit more than the column's, twice.
    ///
    /// A column sums up at most 1 + 4·19 products of even limbs and 5·19 doubled ones of odd limbs,
    /// which are half as large: with 5 ½ and 3 ¼ units less than 124.5·5.5·3.25·2⁵² < 2⁶³·². 19 times
    /// 3 ¼ units are less than 2³².
    ///
    /// Each CALLER has a copy of its own, which is inlined: too large a function for more.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn product<const CALLER: usize>(&self, other: &Self) -> Self {
        #[cfg(debug_assertions)]
        assert_at_most(self, FIRST_FACTOR);
        #[cfg(debug_assertions)]
        assert_at_most(other, SECOND_FACTOR);
        let a = &self.0;
        let mut b = [_mm256_setzero_si256(); 2 * LIMBS];
        for i in 0..LIMBS {
            b[i] = by_19(other.0[i]);
            b[LIMBS + i] = other.0[i];
        }
        // LLVM aligns the stack for a local that is in memory, and not for spilled registers alone, half
        // of which would then cross a line of the cache.
        let b = black_box(&b);
        let z = [_mm256_setzero_si256(); LIMBS];
        let z = Self::row::<0>(z, a, b);
        let z = Self::row::<1>(z, a, b);
        let z = Self::row::<2>(z, a, b);
        let z = Self::row::<3>(z, a, b);
        let z = Self::row::<4>(z, a, b);
        let z = Self::row::<5>(z, a, b);
        let z = Self::row::<6>(z, a, b);
        let z = Self::row::<7>(z, a, b);
        let z = Self::row::<8>(z, a, b);
        Self::reduced(Self::row::<9>(z, a, b))
    }

    #[target_feature(enable = "avx2")]
    fn times(&self, other: &Self) -> Self {
        self.product::<0>(other)
    }

    #[target_feature(enable = "avx2")]
    fn times_to(product: &mut Self, a: &Self, b: &Self) {
        *product = a.product::<1>(b);
    }

    /// Adds row I. A loop over all rows is not unrolled, and takes twice as long.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn row<const I: usize>(
        mut z: [__m256i; LIMBS],
        a: &[__m256i; LIMBS],
        b: &[__m256i; 2 * LIMBS],
    ) -> [__m256i; LIMBS] {
        let in_odd = a[I];
        let in_even = if I.is_multiple_of(2) { a[I] } else { _mm256_add_epi64(a[I], a[I]) };
        for k in 0..LIMBS / 2 {
            let (even, odd) = (2 * k, 2 * k + 1);
            let product = _mm256_mul_epu32(in_even, b[LIMBS + even - I]);
            z[even] = _mm256_add_epi64(z[even], product);
            let product = _mm256_mul_epu32(in_odd, b[LIMBS + odd - I]);
            z[odd] = _mm256_add_epi64(z[odd], product);
        }
        z
    }

    /// As a product, but products of different limbs are made once and counted twice. Four times an
    /// odd limb is below 2²⁹.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn squared(&self) -> Self {
        #[cfg(debug_assertions)]
        assert_at_most(self, SECOND_FACTOR);
        let a = &self.0;
        let (mut twice, mut nineteenfold) = (*a, *a);
        for i in 0..LIMBS {
            twice[i] = _mm256_add_epi64(a[i], a[i]);
            nineteenfold[i] = by_19(a[i]);
        }
        let z = [_mm256_setzero_si256(); LIMBS];
        let z = Self::row_of_square::<0>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<1>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<2>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<3>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<4>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<5>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<6>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<7>(z, a, &twice, &nineteenfold);
        let z = Self::row_of_square::<8>(z, a, &twice, &nineteenfold);
        Self::reduced(Self::row_of_square::<9>(z, a, &twice, &nineteenfold))
    }

    /// One number after the other: a square has enough to do that waits for nothing.
    #[target_feature(enable = "avx2")]
    fn squared_times(numbers: &mut [Self], count: usize) {
        for number in numbers {
            // In memory, for the stack's alignment: see product.
            let mut square = *black_box(&mut { *number });
            for _ in 0..count {
                square = square.squared();
            }
            *number = square;
        }
    }

    /// Adds the products of limb I and itself, and of limb I and higher ones.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn row_of_square<const I: usize>(
        mut z: [__m256i; LIMBS],
        a: &[__m256i; LIMBS],
        twice: &[__m256i; LIMBS],
        nineteenfold: &[__m256i; LIMBS],
    ) -> [__m256i; LIMBS] {
        let four_times = _mm256_add_epi64(twice[I], twice[I]);
        for j in I..LIMBS {
            let both_odd = I % 2 == 1 && j % 2 == 1;
            let first = match (I == j, both_odd) {
                (true, false) => a[I],
                (false, true) => four_times,
                _ => twice[I],
            };
            let second = if I + j < LIMBS { a[j] } else { nineteenfold[j] };
            let k = (I + j) % LIMBS;
            z[k] = _mm256_add_epi64(z[k], _mm256_mul_epu32(first, second));
        }
        z
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn carried(&self) -> Self {
        Self::reduced(self.0)
    }

    /// Carries each column into the next, in two chains at once, from 0 and from 5. A column of a
    /// product is below 2⁶³·², and what is carried into it below 2³⁹. The top carry, times 19, makes
    /// the lowest column less than 2⁴⁴, which carries less than 2¹⁸.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn reduced(mut z: [__m256i; LIMBS]) -> Self {
        for i in 0..5 {
            for i in [i, 5 + i] {
                let over = Self::cut(&mut z, i);
                if i < 9 {
                    z[i + 1] = _mm256_add_epi64(z[i + 1], over);
                } else {
                    let twice_and_once = _mm256_add_epi64(_mm256_add_epi64(over, over), over);
                    let sixteen = _mm256_slli_epi64::<4>(over);
                    z[0] = _mm256_add_epi64(z[0], _mm256_add_epi64(twice_and_once, sixteen));
                }
            }
        }
        for i in [0, 5] {
            let over = Self::cut(&mut z, i);
            z[i + 1] = _mm256_add_epi64(z[i + 1], over);
        }
        let number = Self(z);
        #[cfg(debug_assertions)]
        assert_at_most(&number, CARRIED);
        number
    }

    /// Leaves a limb its bits, and returns what is above them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn cut(z: &mut [__m256i; LIMBS], i: usize) -> __m256i {
        let column = z[i];
        if i.is_multiple_of(2) {
            z[i] = _mm256_and_si256(column, _mm256_set1_epi64x(MASK_EVEN));
            _mm256_srli_epi64::<EVEN>(column)
        } else {
            z[i] = _mm256_and_si256(column, _mm256_set1_epi64x(MASK_ODD));
            _mm256_srli_epi64::<ODD>(column)
        }
    }

    /// Returns the limbs of the numbers below p: 26 and 25 bits.
    #[target_feature(enable = "avx2")]
    fn canonical(&self) -> Self {
        // Below 2p once it is carried.
        let mut out = self.carried().0;
        // 19 too many make the number reach 2²⁵⁵ if it is p or more: over is then 1.
        let mut over = _mm256_set1_epi64x(19);
        for (i, &limb) in out.iter().enumerate() {
            let sum = _mm256_add_epi64(limb, over);
            over = if i % 2 == 0 {
                _mm256_srli_epi64::<EVEN>(sum)
            } else {
                _mm256_srli_epi64::<ODD>(sum)
            };
        }
        over = _mm256_mul_epu32(over, _mm256_set1_epi64x(19));
        for i in 0..LIMBS {
            out[i] = _mm256_add_epi64(out[i], over);
            over = Self::cut(&mut out, i);
        }
        Self(out)
    }

    #[target_feature(enable = "avx2")]
    fn is_zero(&self) -> u8 {
        let any = self.canonical().0.into_iter().reduce(|a, b| _mm256_or_si256(a, b));
        let is_zero = _mm256_cmpeq_epi64(any.expect("there are limbs"), _mm256_setzero_si256());
        _mm256_movemask_pd(_mm256_castsi256_pd(is_zero)) as u8
    }

    #[target_feature(enable = "avx2")]
    fn is_odd(&self) -> u8 {
        let highest = _mm256_slli_epi64::<63>(self.canonical().0[0]);
        _mm256_movemask_pd(_mm256_castsi256_pd(highest)) as u8
    }

    #[target_feature(enable = "avx2")]
    fn rotated(&self, by: usize) -> Self {
        let mut out = self.0;
        for limb in &mut out {
            let words = words4(*limb);
            *limb = row4(&std::array::from_fn(|lane| words[(lane + by) % LANES]));
        }
        Self(out)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_affine(points: [&Point; LANES]) -> [Lanes; 3] {
    let mut words = [_mm256_setzero_si256(); 16];
    for quarter in 0..4 {
        let rows = points.map(|point| row4(point.0[4 * quarter..][..4].try_into().unwrap()));
        words[4 * quarter..][..4].copy_from_slice(&transpose4(rows));
    }
    let number = |i: usize| Lanes::from_words(words[5 * i..][..5].try_into().unwrap());
    [number(0), number(1), number(2)]
}

#[target_feature(enable = "avx2")]
fn store_affine(numbers: &[Lanes; 3]) -> [Point; LANES] {
    let mut points = [Point([0; 16]); LANES];
    for (place, word) in numbers.iter().flat_map(|number| number.to_words()).enumerate() {
        for (point, word) in points.iter_mut().zip(words4(word)) {
            point.0[place] = word;
        }
    }
    points
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(points: [&Stored; LANES]) -> [Lanes; 4] {
    let mut words = [_mm256_setzero_si256(); 20];
    for row in 0..5 {
        let rows = points.map(|point| point[row]);
        words[4 * row..][..4].copy_from_slice(&transpose4(rows));
    }
    let number = |i: usize| Lanes::from_words(words[5 * i..][..5].try_into().unwrap());
    [number(0), number(1), number(2), number(3)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(numbers: &[Lanes; 4]) -> [Stored; LANES] {
    let zero = _mm256_setzero_si256();
    let mut words = [zero; 20];
    for (i, number) in numbers.iter().enumerate() {
        words[5 * i..][..5].copy_from_slice(&number.to_words());
    }
    let mut points = [[zero; 5]; LANES];
    for row in 0..5 {
        let rows = transpose4(words[4 * row..][..4].try_into().unwrap());
        for (point, words) in points.iter_mut().zip(rows) {
            point[row] = words;
        }
    }
    points
}

#[cfg(test)]
pub mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::entries;
    use crate::testing::Random;

    /// Numbers whose limbs are the least and the greatest that may be, mixed: of so many 64ths of a
    /// unit.
    #[target_feature(enable = "avx2")]
    fn mixed(random: &mut Random, bound: u64) -> Lanes {
        let mut number = Lanes::all([0; 5]);
        for (i, limb) in number.0.iter_mut().enumerate() {
            let unit: u64 = 1 << if i % 2 == 0 { EVEN } else { ODD };
            let greatest = bound * (unit >> 6);
            let limbs = [0, 1, unit - 1, greatest - 1, greatest];
            *limb = row4(&random.words::<4>().map(|word| limbs[word as usize % limbs.len()]));
        }
        number
    }

    #[target_feature(enable = "avx2")]
    fn numbers(number: &Lanes) -> [BigUint; LANES] {
        let limbs = number.0.map(|limb| words4(limb));
        std::array::from_fn(|lane| {
            limbs.iter().enumerate().rev().fold(BigUint::ZERO, |sum, (i, limb)| {
                (sum << if i % 2 == 0 { EVEN } else { ODD }) + limb[lane]
            })
        })
    }

    /// Compares with big integers. Called through `entries`.
    #[target_feature(enable = "avx2")]
    pub fn compare() {
        let p = &((BigUint::from(1u32) << 255u32) - 19u32);
        let mut random = Random::new(3);
        for round in 0..500 {
            let (a, b) = (mixed(&mut random, 65), mixed(&mut random, 65));
            let (sum, difference) = (numbers(&a.plus(&b)), numbers(&a.minus(&b)));
            let negated = numbers(&a.negated_where(0b0110));
            let (numbers_a, numbers_b) = (numbers(&a), numbers(&b));
            // As loose as the factors may be.
            let (f, g) = (mixed(&mut random, 64 * 5 + 32), mixed(&mut random, 64 * 3 + 16));
            let (product, square) = (numbers(&f.times(&g)), numbers(&g.squared()));
            let (carried, canonical) = (numbers(&f.carried()), numbers(&f.canonical()));
            let (is_zero, is_odd) = (f.is_zero(), f.is_odd());
            let stored = mixed(&mut random, 64);
            let again = numbers(&Lanes::from_words(&stored.to_words()));
            let stored = numbers(&stored);
            let (rotated, f, g) = (numbers(&f.rotated(1)), numbers(&f), numbers(&g));
            for lane in 0..LANES {
                let (a, b, f, g) = (&numbers_a[lane], &numbers_b[lane], &f[lane], &g[lane]);
                assert_eq!(sum[lane], a + b, "{round}");
                assert_eq!(&difference[lane] + b, a + p * 2u32, "{round}");
                let is_negated = 0b0110 >> lane & 1 == 1;
                let expected = if is_negated { p * 2u32 - a } else { a.clone() };
                assert_eq!(negated[lane], expected, "{round}");
                assert_eq!(&product[lane] % p, f * g % p, "{round}");
                assert_eq!(&square[lane] % p, g * g % p, "{round}");
                assert_eq!(&carried[lane] % p, f % p, "{round}");
                assert_eq!(canonical[lane], f % p, "{round}");
                assert_eq!(is_zero >> lane & 1 == 1, f % p == BigUint::ZERO, "{round}");
                assert_eq!(is_odd >> lane & 1 == 1, (f % p).bit(0), "{round}");
                assert_eq!(again[lane], stored[lane], "{round}");
            }
            assert_eq!(rotated[LANES - 1], f[0], "{round}");
        }
        // 0, p, p + 1 and 2²⁵⁵ − 1.
        let all = (1 << WORD) - 1;
        for (low, high, expected) in
            [(0, 0, 0u32), (all - 18, all, 0), (all - 17, all, 1), (all, all, 18)]
        {
            let number = Lanes::all([low, high, high, high, high]);
            assert_eq!(numbers(&number.canonical()), std::array::from_fn(|_| expected.into()));
            assert_eq!(number.is_zero(), if expected == 0 { 0b1111 } else { 0 });
        }
    }

    #[test]
    fn results_are_those_of_big_integers() {
        entries::compare_field25519_in_four();
    }
}
