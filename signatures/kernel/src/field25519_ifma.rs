//! Eight numbers modulo p = 2²⁵⁵ − 19 at a time, in lanes of AVX-512: five limbs of 51 bits, with
//! the products of 52 bits that IFMA makes.
//!
//! Between operations every limb is *carried*: at most 2⁵¹ + 2¹⁴. `vpmadd52` reads 52 bits of a
//! factor and ignores the rest in silence, so a product asserts that its factors have no more.

// The same index in several arrays of limbs.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use crate::ed25519_lanes::Point;
use crate::field25519::Field;
use crate::rows::{row, transpose, words};

pub const LANES: usize = 8;

const BITS: u32 = 51;
const MASK: i64 = (1 << BITS) - 1;

/// A carried limb is at most this.
#[cfg(debug_assertions)]
const CARRIED: u64 = (1 << BITS) + (1 << 14);

/// 2p, limb by limb: at least any carried limb, so that a difference plus it is not negative.
const TWICE_P: [i64; 5] =
    [(1 << 52) - 38, (1 << 52) - 2, (1 << 52) - 2, (1 << 52) - 2, (1 << 52) - 2];

/// One number in each lane.
#[derive(Clone, Copy)]
pub struct Lanes([__m512i; 5]);

/// A point: five words each of X, Y, Z and T, and four of nothing.
pub type Stored = [__m512i; 3];

/// Returns the functions for these instructions.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
pub fn field() -> Field<Lanes, Stored, LANES> {
    Field {
        all: Lanes::all,
        from_bytes: Lanes::from_bytes,
        plus: Lanes::plus,
        minus: Lanes::minus,
        times: Lanes::times,
        times_to: |product, a, b| *product = a.times(b),
        squared: Lanes::squared,
        squared_times: Lanes::squared_times,
        // Every sum and difference is.
        carried: |number| *number,
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

#[cfg(debug_assertions)]
#[target_feature(enable = "avx512f")]
fn assert_at_most(limbs: &[__m512i; 5], limit: u64) {
    for &limb in limbs {
        assert!(words(limb).iter().all(|&word| word <= limit), "{:x?} > {limit:x}", words(limb));
    }
}

impl Lanes {
    /// The same number in all lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn all(limbs: [u64; 5]) -> Self {
        let mut lanes = [_mm512_setzero_si512(); 5];
        for (lanes, limb) in lanes.iter_mut().zip(limbs) {
            *lanes = _mm512_set1_epi64(limb as i64);
        }
        Self(lanes)
    }

    /// Carries each limb into the next, and the top one times 19 into the lowest. Limbs below 2⁶⁰·³
    /// carry less than 2⁹·³, 19 times which is below 2¹⁴: the result is carried.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn carry(limbs: [__m512i; 5]) -> Self {
        #[cfg(debug_assertions)]
        assert_at_most(&limbs, 300 << 52);
        let mask = _mm512_set1_epi64(MASK);
        let mut out = limbs;
        let mut over = limbs;
        for i in 0..5 {
            out[i] = _mm512_and_si512(limbs[i], mask);
            over[i] = _mm512_srli_epi64::<BITS>(limbs[i]);
        }
        for i in 1..5 {
            out[i] = _mm512_add_epi64(out[i], over[i - 1]);
        }
        out[0] = _mm512_madd52lo_epu64(out[0], over[4], _mm512_set1_epi64(19));
        #[cfg(debug_assertions)]
        assert_at_most(&out, CARRIED);
        Self(out)
    }

    /// Two carried limbs make less than 2⁵³.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn plus(&self, other: &Self) -> Self {
        let mut out = self.0;
        for i in 0..5 {
            out[i] = _mm512_add_epi64(out[i], other.0[i]);
        }
        Self::carry(out)
    }

    /// Adds 2p first: a carried limb and one of 2p make less than 2⁵³.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn minus(&self, other: &Self) -> Self {
        let mut out = self.0;
        for i in 0..5 {
            let more = _mm512_add_epi64(out[i], _mm512_set1_epi64(TWICE_P[i]));
            out[i] = _mm512_sub_epi64(more, other.0[i]);
        }
        Self::carry(out)
    }

    /// Returns 2p − self where the mask says so. A factor only: limbs are below 2⁵², not carried.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn negated_where(&self, negative: __mmask8) -> Self {
        let mut out = self.0;
        for i in 0..5 {
            let twice_p = _mm512_set1_epi64(TWICE_P[i]);
            out[i] = _mm512_mask_sub_epi64(out[i], negative, twice_p, out[i]);
        }
        Self(out)
    }

    /// Takes the other number where the mask says so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn or(&self, mask: __mmask8, other: &Self) -> Self {
        let mut out = self.0;
        for i in 0..5 {
            out[i] = _mm512_mask_mov_epi64(out[i], mask, other.0[i]);
        }
        Self(out)
    }

    /// Factors have limbs below 2⁵². A column has at most five low halves and five high ones, which
    /// count twice because a limb has 51 bits and not 52: less than 15·2⁵². With 19 times the column
    /// that is five higher, less than 300·2⁵².
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn times(&self, other: &Self) -> Self {
        #[cfg(debug_assertions)]
        assert_at_most(&self.0, (1 << 52) - 1);
        #[cfg(debug_assertions)]
        assert_at_most(&other.0, (1 << 52) - 1);
        let (a, b) = (&self.0, &other.0);
        let mut z = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in 0..5 {
                z[i + j + 1] = _mm512_madd52hi_epu64(z[i + j + 1], a[i], b[j]);
            }
        }
        for column in &mut z {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            for j in 0..5 {
                z[i + j] = _mm512_madd52lo_epu64(z[i + j], a[i], b[j]);
            }
        }
        Self::fold(z)
    }

    /// As a product, but products of different limbs are made once and counted twice.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn squared(&self) -> Self {
        #[cfg(debug_assertions)]
        assert_at_most(&self.0, (1 << 52) - 1);
        let a = &self.0;
        let mut z = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in i + 1..5 {
                z[i + j + 1] = _mm512_madd52hi_epu64(z[i + j + 1], a[i], a[j]);
            }
        }
        for column in &mut z {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            z[2 * i + 1] = _mm512_madd52hi_epu64(z[2 * i + 1], a[i], a[i]);
            for j in i + 1..5 {
                z[i + j] = _mm512_madd52lo_epu64(z[i + j], a[i], a[j]);
            }
        }
        for column in &mut z {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            z[2 * i] = _mm512_madd52lo_epu64(z[2 * i], a[i], a[i]);
        }
        Self::fold(z)
    }

    /// In step: each square waits for the one before it, and meanwhile the processor works on another
    /// number's.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn squared_times(numbers: &mut [Self], count: usize) {
        for _ in 0..count {
            for number in &mut *numbers {
                *number = number.squared();
            }
        }
    }

    /// 2²⁵⁵ = 19.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn fold(z: [__m512i; 10]) -> Self {
        let mut out = [z[0]; 5];
        for i in 0..5 {
            let high = z[i + 5];
            let twice_and_once = _mm512_add_epi64(_mm512_add_epi64(high, high), high);
            let sixteen = _mm512_slli_epi64::<4>(high);
            out[i] = _mm512_add_epi64(_mm512_add_epi64(z[i], twice_and_once), sixteen);
        }
        Self::carry(out)
    }

    /// Returns the limbs of the numbers below p: 51 bits each.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn canonical(&self) -> Self {
        let mask = _mm512_set1_epi64(MASK);
        // Carried from less than 2⁵², so that the number is below 2p.
        let mut out = Self::carry(self.0).0;
        let mut over = _mm512_set1_epi64(19);
        for limb in out {
            over = _mm512_srli_epi64::<BITS>(_mm512_add_epi64(limb, over));
        }
        // One if the number is p or more.
        over = _mm512_mullo_epi32(over, _mm512_set1_epi64(19));
        for limb in &mut out {
            let sum = _mm512_add_epi64(*limb, over);
            over = _mm512_srli_epi64::<BITS>(sum);
            *limb = _mm512_and_si512(sum, mask);
        }
        Self(out)
    }

    /// Returns the lanes that are 0 modulo p.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn is_zero(&self) -> __mmask8 {
        let [a, b, c, d, e] = self.canonical().0;
        let any = _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)), e);
        _mm512_testn_epi64_mask(any, any)
    }

    /// Returns the lanes whose number below p is odd.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn is_odd(&self) -> __mmask8 {
        _mm512_test_epi64_mask(self.canonical().0[0], _mm512_set1_epi64(1))
    }

    /// Reads 255 bits of each little-endian number; the highest bit is ignored.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn from_bytes(numbers: &[[u8; 32]; 8]) -> Self {
        let mut limbs = [[0; 8]; 5];
        for (lane, number) in numbers.iter().enumerate() {
            let (w, _) = number.as_chunks::<8>();
            let w: [u64; 4] = std::array::from_fn(|i| u64::from_le_bytes(w[i]));
            limbs[0][lane] = w[0];
            limbs[1][lane] = w[0] >> 51 | w[1] << 13;
            limbs[2][lane] = w[1] >> 38 | w[2] << 26;
            limbs[3][lane] = w[2] >> 25 | w[3] << 39;
            limbs[4][lane] = w[3] >> 12;
        }
        let mask = _mm512_set1_epi64(MASK);
        let mut lanes = [mask; 5];
        for (lane, limb) in lanes.iter_mut().zip(&limbs) {
            *lane = _mm512_and_si512(row(limb), mask);
        }
        Self(lanes)
    }
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn rotated(&self, by: usize) -> Self {
        let places = row(&std::array::from_fn(|lane| ((lane + by) % LANES) as u64));
        let mut out = self.0;
        for limb in &mut out {
            *limb = _mm512_permutexvar_epi64(places, *limb);
        }
        Self(out)
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
fn load_affine(points: [&Point; LANES]) -> [Lanes; 3] {
    let zero = _mm512_setzero_si512();
    let mut limbs = [zero; 16];
    for half in 0..2 {
        let mut rows = [zero; LANES];
        for lane in 0..LANES {
            rows[lane] = row(points[lane].0[8 * half..][..8].try_into().unwrap());
        }
        limbs[8 * half..][..8].copy_from_slice(&transpose(rows));
    }
    let number = |i: usize| Lanes(limbs[5 * i..][..5].try_into().unwrap());
    [number(0), number(1), number(2)]
}

#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
fn store_affine(numbers: &[Lanes; 3]) -> [Point; LANES] {
    let mut points = [Point([0; 16]); LANES];
    for (place, &limb) in numbers.iter().flat_map(|number| &number.0).enumerate() {
        for (point, word) in points.iter_mut().zip(words(limb)) {
            point.0[place] = word;
        }
    }
    points
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
fn load(points: [&Stored; LANES]) -> [Lanes; 4] {
    let zero = _mm512_setzero_si512();
    let mut limbs = [zero; 24];
    for third in 0..3 {
        let mut rows = [zero; LANES];
        for lane in 0..LANES {
            rows[lane] = points[lane][third];
        }
        limbs[8 * third..][..8].copy_from_slice(&transpose(rows));
    }
    let number = |i: usize| Lanes(limbs[5 * i..][..5].try_into().unwrap());
    [number(0), number(1), number(2), number(3)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
fn store(numbers: &[Lanes; 4]) -> [Stored; LANES] {
    let zero = _mm512_setzero_si512();
    let mut limbs = [zero; 24];
    for (i, number) in numbers.iter().enumerate() {
        limbs[5 * i..][..5].copy_from_slice(&number.0);
    }
    let mut points = [[zero; 3]; LANES];
    for third in 0..3 {
        let rows = transpose(limbs[8 * third..][..8].try_into().unwrap());
        for (point, row) in points.iter_mut().zip(rows) {
            point[third] = row;
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

    /// Numbers whose limbs are the least and the greatest that may be, mixed.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn mixed(random: &mut Random, greatest: u64) -> Lanes {
        let limbs = [0, 1, MASK as u64, greatest - 1, greatest];
        let mut lanes = Lanes::all([0; 5]);
        for lane in &mut lanes.0 {
            *lane = row(&random.words::<8>().map(|word| limbs[word as usize % limbs.len()]));
        }
        lanes
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn numbers(lanes: &Lanes) -> [BigUint; 8] {
        let limbs = lanes.0.map(|limb| words(limb));
        std::array::from_fn(|lane| {
            limbs.iter().rev().fold(BigUint::ZERO, |sum, limb| (sum << BITS) + limb[lane])
        })
    }

    /// Compares with big integers. Called through `entries`.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    pub fn compare() {
        let p = &((BigUint::from(1u32) << 255u32) - 19u32);
        let mut random = Random::new(3);
        for round in 0..500 {
            let (a, b) = (mixed(&mut random, (1 << 51) + (1 << 14)), mixed(&mut random, 1 << 51));
            let (sum, difference) = (numbers(&a.plus(&b)), numbers(&a.minus(&b)));
            let negated = numbers(&a.negated_where(0x5a));
            let (numbers_a, numbers_b) = (numbers(&a), numbers(&b));
            // Factors may have 52 bits.
            let (f, g) = (mixed(&mut random, (1 << 52) - 1), mixed(&mut random, (1 << 52) - 1));
            let (product, square) = (numbers(&f.times(&g)), numbers(&f.squared()));
            let (canonical, is_zero, is_odd) = (numbers(&f.canonical()), f.is_zero(), f.is_odd());
            let (f, g) = (numbers(&f), numbers(&g));
            for lane in 0..8 {
                let (a, b, f, g) = (&numbers_a[lane], &numbers_b[lane], &f[lane], &g[lane]);
                assert_eq!(&sum[lane] % p, (a + b) % p, "{round}");
                assert_eq!((&difference[lane] + b) % p, a % p, "{round}");
                let is_negated = 0x5a >> lane & 1 == 1;
                let expected = if is_negated { p * 4u32 - a } else { a.clone() };
                assert_eq!(&negated[lane] % p, expected % p, "{round}");
                assert_eq!(&product[lane] % p, f * g % p, "{round}");
                assert_eq!(&square[lane] % p, f * f % p, "{round}");
                assert_eq!(canonical[lane], f % p, "{round}");
                assert_eq!(is_zero >> lane & 1 == 1, f % p == BigUint::ZERO, "{round}");
                assert_eq!(is_odd >> lane & 1 == 1, (f % p).bit(0), "{round}");
            }
        }
        // 0, p, p + 1, 2p and 2p + 1.
        for (low, high, expected) in [
            (0, 0, 0u32),
            (MASK as u64 - 18, MASK as u64, 0),
            (MASK as u64 - 17, MASK as u64, 1),
            ((1 << 52) - 38, (1 << 52) - 2, 0),
            ((1 << 52) - 37, (1 << 52) - 2, 1),
        ] {
            let number = Lanes::all([low, high, high, high, high]);
            assert_eq!(numbers(&number.canonical()), std::array::from_fn(|_| expected.into()));
            assert_eq!(number.is_zero(), if expected == 0 { 0xff } else { 0 });
        }
    }

    #[test]
    fn results_are_those_of_big_integers() {
        entries::compare_field25519();
    }
}
