//! ECDSA on P-256 for keys that come again, eight signatures in step, by AVX-512 IFMA.
//!
//! u·G + v·Q needs no doubling where all odd multiples of 2ʷʲ·G and 2ʷʲ·Q are at hand for each window
//! j (combs): it is then the sum of one point a window. Scalars are made odd (u, or n − u with the
//! sign turned), so that each window's digit is odd: there is no zero and no infinity among the
//! points, and all lanes go in step. The points are added pairwise, level by level, in affine
//! coordinates: five products and a square each, and one inversion a level for all items together.
//!
//! Where two points of a pair have the same x, their difference is no unit and the level's product is
//! 0. Nothing is decided then: `holds` returns None, and the caller verifies one by one. Nothing here
//! is secret, so the time may vary.
//!
//! Numbers modulo p are five limbs of 52 bits in Montgomery's form, R = 2²⁶⁰, in 0 to 16p. Comments
//! give bounds as multiples of p: a product of numbers below a·p and b·p is below (ab/16 + 1)·p.

use std::arch::x86_64::*;

use crate::modular::Words;
use crate::rows::{row, transpose, words as row_words};

/// Items that share the inversions: more cost little less each, and their points leave the cache.
pub const CHUNK: usize = 128;
const LANES: usize = 8;
const LIMBS: usize = 5;
const MASK: u64 = (1 << 52) - 1;

/// Window widths of a key's comb and of the base point's: 2ʷ⁻¹ points a window.
pub const KEY_WIDTH: usize = 5;
pub const BASE_WIDTH: usize = 8;

/// p = 2²⁵⁶ − 2²²⁴ + 2¹⁹² + 2⁹⁶ − 1 in limbs; the third is 0.
const P: [u64; LIMBS] = [MASK, (1 << 44) - 1, 0, 1 << 36, (1 << 48) - (1 << 16)];

/// x and y, each four words below p in Montgomery's form: a line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Row(pub [u64; 8]);

/// The odd multiples of a point for each window, lowest window and multiple first.
pub struct Comb {
    width: usize,
    points: Box<[Row]>,
}

impl Comb {
    /// points: as the struct has them, 2ʷ⁻¹ for each of the windows that 256 bits have.
    pub fn new(width: usize, points: Box<[Row]>) -> Self {
        assert_eq!(points.len(), windows(width) << (width - 1), "a comb of another width");
        Self { width, points }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.points)
    }
}

pub const fn windows(width: usize) -> usize {
    256_usize.div_ceil(width)
}

/// One signature: the base point times u plus the comb's point times v should have this x.
pub struct Item<'a> {
    pub comb: &'a Comb,
    /// Below the order n.
    pub u: Words<4>,
    pub v: Words<4>,
    /// r, from 1 to n − 1.
    pub r: Words<4>,
}

/// What the arithmetic has to know of the curve: n, and the inversion modulo p.
pub struct Curve<'a> {
    pub order: Words<4>,
    pub base: &'a Comb,
    /// Returns the inverses of numbers in Montgomery's form (R = 2²⁶⁰), in that form, or None if one
    /// is 0 modulo p.
    pub invert: &'a dyn Fn(&[Words<4>; LANES]) -> Option<[Words<4>; LANES]>,
    pub p: Words<4>,
}

type Field = [__m512i; LIMBS];

#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
}

/// Returns for each item whether the sum has its x. None if a sum is not decided. At most CHUNK.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn holds(curve: &Curve, items: &[Item]) -> Option<Vec<bool>> {
    let groups = items.len().div_ceil(LANES);
    let count = windows(curve.base.width) + windows(items.first()?.comb.width);
    let mut points = Vec::with_capacity(groups * count);
    for group in 0..groups {
        // Lanes without an item repeat the last one.
        let lane = |at: usize| &items[(LANES * group + at).min(items.len() - 1)];
        let u: [Digits; LANES] = std::array::from_fn(|at| Digits::new(&lane(at).u, &curve.order));
        let v: [Digits; LANES] = std::array::from_fn(|at| Digits::new(&lane(at).v, &curve.order));
        for window in 0..windows(curve.base.width) {
            points.push(look_up(window, &u, |_| curve.base));
        }
        for window in 0..count - windows(curve.base.width) {
            points.push(look_up(window, &v, |at| lane(at).comb));
        }
    }
    let mut left = count;
    while left > 1 {
        points = add_pairs(curve, &points, left)?;
        left = left.div_ceil(2);
    }
    let one: Field = [set1(1), set1(0), set1(0), set1(0), set1(0)];
    let mut answers = Vec::with_capacity(groups * LANES);
    for point in &points {
        // Out of Montgomery's form: below (1.01/16 + 1)·p.
        let x = words(&multiply(&point.x, &one), &curve.p);
        answers.extend(x);
    }
    let has_x = |(x, item): (&Words<4>, &Item)| {
        *x == item.r || {
            let (sum, overflow) = crate::modular::add(&item.r, &curve.order);
            !overflow && *x == sum
        }
    };
    Some(answers.iter().zip(items).map(has_x).collect())
}

/// Adds the points of each group in pairs, `count` a group; one that is left over stays.
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_pairs(curve: &Curve, points: &[Point], count: usize) -> Option<Vec<Point>> {
    let pairs = count / 2;
    let total = points.len() / count * pairs;
    // R modulo p, which is 1 in Montgomery's form.
    let mut product = one();
    let mut before = Vec::with_capacity(total);
    let mut across = Vec::with_capacity(total);
    for group in points.chunks_exact(count) {
        for pair in group[..2 * pairs].chunks_exact(2) {
            // Below 3.01: coordinates are below 1.01.
            let difference = subtract::<2>(&pair[1].x, &pair[0].x);
            before.push(product);
            // Below 1.24, since 1.24 · 3.01 / 16 + 1 is.
            product = multiply(&product, &difference);
            across.push(difference);
        }
    }
    let inverses = (curve.invert)(&words(&product, &curve.p))?;
    let mut inverse = lanes(&inverses);
    let width = count.div_ceil(2);
    let mut sums = vec![Point { x: inverse, y: inverse }; points.len() / count * width];
    let mut place = total;
    for (at, group) in points.chunks_exact(count).enumerate().rev() {
        for (pair_at, pair) in group[..2 * pairs].chunks_exact(2).enumerate().rev() {
            place -= 1;
            let [left, right] = [&pair[0], &pair[1]];
            let reciprocal = multiply(&inverse, &before[place]);
            inverse = multiply(&inverse, &across[place]);
            // Below 1.21.
            let slope = multiply(&subtract::<2>(&right.y, &left.y), &reciprocal);
            // Below 1.1 + 4.
            let x = subtract::<4>(&multiply(&slope, &slope), &add(&left.x, &right.x));
            let x = settle(&x);
            // Below 1.23 + 2.
            let y = subtract::<2>(&multiply(&slope, &subtract::<2>(&left.x, &x)), &left.y);
            sums[at * width + pair_at] = Point { x, y: settle(&y) };
        }
        if count % 2 == 1 {
            sums[at * width + pairs] = group[count - 1];
        }
    }
    Some(sums)
}

/// An odd number that stands for a scalar, and whether the sign is turned.
struct Digits {
    odd: Words<4>,
    is_negative: bool,
}

impl Digits {
    fn new(scalar: &Words<4>, order: &Words<4>) -> Self {
        if scalar[0] & 1 == 1 {
            return Self { odd: *scalar, is_negative: false };
        }
        let (odd, _) = crate::modular::subtract(order, scalar);
        Self { odd, is_negative: true }
    }

    /// Returns which odd multiple the window takes, and whether it is subtracted. The number is the
    /// sum of 2ʷʲ·dⱼ, where dⱼ is 2m + 1 − 2ʷ for the w bits m above bit wj; the last window has no
    /// bits above it, and takes its own.
    fn at(&self, window: usize, width: usize) -> (usize, bool) {
        let half = 1 << (width - 1);
        if window + 1 == windows(width) {
            return (self.bits(window * width, width) >> 1, self.is_negative);
        }
        let bits = self.bits(window * width + 1, width);
        if bits >= half {
            (bits - half, self.is_negative)
        } else {
            (half - 1 - bits, !self.is_negative)
        }
    }

    fn bits(&self, from: usize, width: usize) -> usize {
        let (word, shift) = (from / 64, from % 64);
        let high = self.odd.get(word + 1).copied().unwrap_or(0);
        let pair = u128::from(self.odd[word]) | u128::from(high) << 64;
        (pair >> shift) as usize & ((1 << width) - 1)
    }
}

/// Returns the points of a window, one a lane. Their coordinates are below p, or at most p for a
/// y that was negated.
#[target_feature(enable = "avx512f")]
fn look_up<'a>(window: usize, digits: &[Digits; LANES], comb: impl Fn(usize) -> &'a Comb) -> Point {
    let mut rows = [set1(0); LANES];
    let mut turned = 0;
    for at in 0..LANES {
        let comb = comb(at);
        let (multiple, is_negative) = digits[at].at(window, comb.width);
        rows[at] = row(&comb.points[(window << (comb.width - 1)) + multiple].0);
        turned |= u8::from(is_negative) << at;
    }
    let [a, b, c, d, e, f, g, h] = transpose(rows);
    let (x, y) = (unpack([a, b, c, d]), unpack([e, f, g, h]));
    let negative = subtract::<1>(&[set1(0); LIMBS], &y);
    let y = std::array::from_fn(|limb| _mm512_mask_blend_epi64(turned, y[limb], negative[limb]));
    Point { x, y }
}

#[target_feature(enable = "avx512f")]
fn set1(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

/// Returns 1 in Montgomery's form: 2²⁶⁰ modulo p is 16·(2²⁵⁶ − p), below p.
#[target_feature(enable = "avx512f")]
fn one() -> Field {
    // 2²⁶⁰ − 16p in limbs, from the highest power down: 2²²⁸ − 2¹⁹⁶ − 2¹⁰⁰ + 16.
    carry([
        set1(16),
        set1((1_u64 << 48).wrapping_neg()),
        set1(0),
        set1((1_u64 << 40).wrapping_neg()),
        set1(1 << 20),
    ])
}

/// Cuts four words a lane into limbs.
#[target_feature(enable = "avx512f")]
fn unpack([a, b, c, d]: [__m512i; 4]) -> Field {
    let mask = set1(MASK);
    [
        _mm512_and_si512(a, mask),
        _mm512_and_si512(
            _mm512_or_si512(_mm512_srli_epi64::<52>(a), _mm512_slli_epi64::<12>(b)),
            mask,
        ),
        _mm512_and_si512(
            _mm512_or_si512(_mm512_srli_epi64::<40>(b), _mm512_slli_epi64::<24>(c)),
            mask,
        ),
        _mm512_and_si512(
            _mm512_or_si512(_mm512_srli_epi64::<28>(c), _mm512_slli_epi64::<36>(d)),
            mask,
        ),
        _mm512_srli_epi64::<16>(d),
    ]
}

#[target_feature(enable = "avx512f")]
fn lanes(numbers: &[Words<4>; LANES]) -> Field {
    let column = |word: usize| row(&std::array::from_fn(|at| numbers[at][word]));
    unpack([column(0), column(1), column(2), column(3)])
}

/// Returns each lane's number below p; it is below 2p.
#[target_feature(enable = "avx512f")]
fn words(number: &Field, p: &Words<4>) -> [Words<4>; LANES] {
    let limbs = number.map(|limb| row_words(limb));
    std::array::from_fn(|at| {
        let [a, b, c, d, e] = limbs.map(|limb| limb[at]);
        let words = [a | b << 52, b >> 12 | c << 40, c >> 24 | d << 28, d >> 36 | e << 16];
        // A number from 2²⁵⁶ to 2p loses its top bit here, and gets it back by the borrow.
        let is_past = e >> 48 != 0;
        let (less, borrow) = crate::modular::subtract(&words, p);
        if is_past || !borrow { less } else { words }
    })
}

/// Returns ab/R. Both are carried; the result is.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn multiply(a: &Field, b: &Field) -> Field {
    debug_assert!(is_carried(a) && is_carried(b));
    let zero = set1(0);
    let mut t = [zero; 2 * LIMBS];
    for i in 0..LIMBS {
        for j in 0..LIMBS {
            t[i + j] = _mm512_madd52lo_epu64(t[i + j], a[i], b[j]);
            t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a[i], b[j]);
        }
    }
    // Each limb is a sum of ten products' halves at most, below 2⁵⁶, and of six more below.
    let (p1, p3, p4) = (set1(P[1]), set1(P[3]), set1(P[4]));
    let mask = set1(MASK);
    for i in 0..LIMBS {
        // −p⁻¹ modulo 2⁵² is 1, so that q·p cancels the limb: q + q·(2⁵² − 1) is q·2⁵².
        let q = _mm512_and_si512(t[i], mask);
        let over = _mm512_add_epi64(_mm512_srli_epi64::<52>(t[i]), q);
        t[i + 1] = _mm512_add_epi64(t[i + 1], over);
        t[i + 1] = _mm512_madd52lo_epu64(t[i + 1], q, p1);
        t[i + 2] = _mm512_madd52hi_epu64(t[i + 2], q, p1);
        t[i + 3] = _mm512_madd52lo_epu64(t[i + 3], q, p3);
        t[i + 4] = _mm512_madd52hi_epu64(t[i + 4], q, p3);
        t[i + 4] = _mm512_madd52lo_epu64(t[i + 4], q, p4);
        t[i + 5] = _mm512_madd52hi_epu64(t[i + 5], q, p4);
    }
    carry([t[5], t[6], t[7], t[8], t[9]])
}

/// Returns a + b, not carried.
#[target_feature(enable = "avx512f")]
#[inline]
fn add(a: &Field, b: &Field) -> Field {
    std::array::from_fn(|limb| _mm512_add_epi64(a[limb], b[limb]))
}

/// Returns a − b + Kp, carried; b is at most Kp, and the result below 16p.
#[target_feature(enable = "avx512f")]
#[inline]
fn subtract<const K: u64>(a: &Field, b: &Field) -> Field {
    carry(std::array::from_fn(|limb| {
        _mm512_add_epi64(_mm512_sub_epi64(a[limb], b[limb]), set1(K * P[limb]))
    }))
}

/// Moves what is over 52 bits, or borrowed, into the limb above.
#[target_feature(enable = "avx512f")]
#[inline]
fn carry(mut limbs: Field) -> Field {
    let mask = set1(MASK);
    for limb in 0..LIMBS - 1 {
        limbs[limb + 1] = _mm512_add_epi64(limbs[limb + 1], _mm512_srai_epi64::<52>(limbs[limb]));
        limbs[limb] = _mm512_and_si512(limbs[limb], mask);
    }
    debug_assert!(is_carried(&limbs));
    limbs
}

/// Brings a number below 16p to below 1.01p: the multiple of 2²⁵⁶ in it, q·2²⁵⁶, is replaced by
/// q·(2²⁵⁶ − p) = q·(2²²⁴ − 2¹⁹² − 2⁹⁶ + 1).
#[target_feature(enable = "avx512f")]
#[inline]
fn settle(number: &Field) -> Field {
    let q = _mm512_srli_epi64::<48>(number[4]);
    let top = _mm512_and_si512(number[4], set1((1 << 48) - 1));
    carry([
        _mm512_add_epi64(number[0], q),
        _mm512_sub_epi64(number[1], _mm512_slli_epi64::<44>(q)),
        number[2],
        _mm512_sub_epi64(number[3], _mm512_slli_epi64::<36>(q)),
        _mm512_add_epi64(top, _mm512_slli_epi64::<16>(q)),
    ])
}

/// Returns whether all limbs have at most 52 bits, as the products take them.
#[target_feature(enable = "avx512f")]
fn is_carried(number: &Field) -> bool {
    number.iter().all(|&limb| row_words(limb).iter().all(|&value| value <= MASK))
}
