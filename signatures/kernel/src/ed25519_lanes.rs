//! The batch equation of Ed25519 in eight lanes: points are decoded eight at a time, and a sum of
//! multiples is made by Pippenger's buckets. Nothing here is secret: times depend on the numbers.
//!
//! Scalars are written in signed digits of eight or four bits, d₀ + d₁·2ʷ + …, each window's digits
//! sort the points into buckets of equal |d|, and every lane fills one bucket at a time. Twisted
//! Edwards addition is complete with these constants: there are no exceptional points.

// The same lane in several arrays.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;
use std::array;

use crate::field25519_lanes::Lanes;
use crate::rows::{row, transpose, words};

/// Points and sums are worked on eight at a time.
pub const LANES: usize = 8;

/// From this many points on, windows of eight bits cost less than those of four: a point costs half
/// as many additions, but emptying the buckets eight times as many.
const MANY: usize = 400;

const D: [u64; 5] =
    [0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff];
const TWICE_D: [u64; 5] =
    [0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff];
/// The square root of −1.
const ROOT: [u64; 5] =
    [0x61b274a0ea0b0, 0x0d5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d];

/// A point ready to be added, affine: five limbs each of y + x, y − x and 2dxy.
#[derive(Clone, Copy)]
pub struct Point([u64; 16]);

const IDENTITY: Point = Point([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/// The base point: RFC 8032, section 5.1.
pub const BASE: Point = Point([
    0x493c6f58c3b85,
    0x0df7181c325f7,
    0x0f50b0b3e4cb7,
    0x5329385a44c32,
    0x07cf9d3a33d4b,
    0x03905d740913e,
    0x0ba2817d673a2,
    0x23e2827f4e67c,
    0x133d2e0c21a34,
    0x44fd2f9298f81,
    0x11205877aaa68,
    0x479955893d579,
    0x50d66309b67a0,
    0x2d42d0dbee5ee,
    0x6f117b689f0c6,
    0,
]);

/// The base point times 2¹²⁸.
#[rustfmt::skip]
pub const BASE_HIGH: Point = Point([
    0x304bfacad8ea2, 0x502917d108b07, 0x043176ca6dd0f, 0x5d5158f2c1d84, 0x2b5449e58eb3b,
    0x27562eb3dbe47, 0x291d7b4170be7, 0x5d1ca67dfa8e1, 0x2a88061f298a2, 0x1304e9e71627d,
    0x014d26adc9cfe, 0x7f1691ba16f13, 0x5e71828f06eac, 0x349ed07f0fffc, 0x4468de2d7c2dd,
    0,
]);

/// How the scalars of a sum are cut into signed digits, one for each window.
#[derive(Clone, Copy)]
pub struct Windows {
    bits: usize,
    /// Of each scalar: 32, or 16 for halves.
    bytes: usize,
}

/// A scalar plus 128·(1 + 2⁸ + …), little-endian, or for windows of four bits 8·(1 + 2⁴ + …): the
/// bits of a window, less half their range, are its signed digit.
#[derive(Clone, Copy)]
pub struct Scalar([u8; 32]);

impl Windows {
    /// Returns what suits a sum of so many points, of whole scalars or halves.
    pub fn new(points: usize, halves: bool) -> Self {
        Self { bits: if points < MANY { 4 } else { 8 }, bytes: if halves { 16 } else { 32 } }
    }

    /// Takes a number below 2²⁵⁴, little-endian.
    pub fn scalar(self, number: &[u8; 32]) -> Scalar {
        Scalar(added(number, self.offset()))
    }

    /// Takes 128 bits as digits: the number less `coefficient_offset`.
    pub fn coefficient(self, number: u128) -> Scalar {
        let mut digits = [self.offset(); 32];
        digits[..16].copy_from_slice(&number.to_le_bytes());
        Scalar(digits)
    }

    pub fn coefficient_offset(self) -> u128 {
        u128::from_le_bytes([self.offset(); 16])
    }

    /// What is added to each byte.
    fn offset(self) -> u8 {
        if self.bits == 8 { 0x80 } else { 0x88 }
    }

    fn count(self) -> usize {
        8 * self.bytes / self.bits
    }

    /// Buckets of a window: one for each |d| but 0.
    fn buckets(self) -> usize {
        1 << (self.bits - 1)
    }

    fn digit(self, scalar: &Scalar, window: usize) -> i32 {
        let byte = scalar.0[window * self.bits / 8];
        let unsigned = if self.bits == 8 { byte } else { byte >> (4 * (window % 2)) & 0xf };
        i32::from(unsigned) - (1 << (self.bits - 1))
    }
}

impl Scalar {
    /// Returns the halves: the scalar is the first and 2¹²⁸ times the second.
    pub fn halves(&self) -> [Self; 2] {
        let (mut low, mut high) = ([0; 32], [0; 32]);
        low[..16].copy_from_slice(&self.0[..16]);
        high[..16].copy_from_slice(&self.0[16..]);
        [Self(low), Self(high)]
    }
}

/// Adds to each byte of a little-endian number, without overflow.
fn added(number: &[u8; 32], to_each: u8) -> [u8; 32] {
    let mut carry = 0;
    number.map(|byte| {
        let sum = u16::from(byte) + u16::from(to_each) + carry;
        carry = sum >> 8;
        sum as u8
    })
}

/// Eight affine points ready to be added.
struct Affine {
    y_plus_x: Lanes,
    y_minus_x: Lanes,
    xy2d: Lanes,
}

/// Eight points in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Extended {
    x: Lanes,
    y: Lanes,
    z: Lanes,
    t: Lanes,
}

impl Affine {
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn new(x: &Lanes, y: &Lanes) -> Self {
        Self {
            y_plus_x: y.plus(x),
            y_minus_x: y.minus(x),
            xy2d: x.times(y).times(&Lanes::all(TWICE_D)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn load(points: [&Point; LANES], negative: __mmask8) -> Self {
        let zero = _mm512_setzero_si512();
        let mut limbs = [zero; 16];
        for half in 0..2 {
            let mut rows = [zero; LANES];
            for lane in 0..LANES {
                rows[lane] = row(points[lane].0[8 * half..][..8].try_into().unwrap());
            }
            limbs[8 * half..][..8].copy_from_slice(&transpose(rows));
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, _] = limbs;
        let (plus, minus) = (Lanes([a, b, c, d, e]), Lanes([f, g, h, i, j]));
        Self {
            y_plus_x: plus.or(negative, &minus),
            y_minus_x: minus.or(negative, &plus),
            xy2d: Lanes([k, l, m, n, o]).negated_factor(negative),
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn store(&self) -> [Point; LANES] {
        let mut points = [IDENTITY; LANES];
        let numbers = [&self.y_plus_x, &self.y_minus_x, &self.xy2d];
        for (place, &limb) in numbers.into_iter().flat_map(|number| &number.0).enumerate() {
            for (point, word) in points.iter_mut().zip(words(limb)) {
                point.0[place] = word;
            }
        }
        points
    }
}

impl Extended {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn identity() -> Self {
        let (zero, one) = (Lanes::zero(), Lanes::one());
        Self { x: zero, y: one, z: one, t: zero }
    }

    /// Adds affine points: add-2008-hwcd-3 with Z₂ = 1, seven products.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn plus_affine(&self, other: &Affine) -> Self {
        let a = self.y.minus(&self.x).times(&other.y_minus_x);
        let b = self.y.plus(&self.x).times(&other.y_plus_x);
        let c = self.t.times(&other.xy2d);
        Self::joined(&a, &b, &c, &self.z.plus(&self.z))
    }

    /// Adds points: add-2008-hwcd-3, nine products.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn plus(&self, other: &Self) -> Self {
        let a = self.y.minus(&self.x).times(&other.y.minus(&other.x));
        let b = self.y.plus(&self.x).times(&other.y.plus(&other.x));
        let c = self.t.times(&other.t).times(&Lanes::all(TWICE_D));
        let zz = self.z.times(&other.z);
        Self::joined(&a, &b, &c, &zz.plus(&zz))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn joined(a: &Lanes, b: &Lanes, c: &Lanes, d: &Lanes) -> Self {
        let (e, f, g, h) = (b.minus(a), d.minus(c), d.plus(c), b.plus(a));
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    /// Doubles: dbl-2008-hwcd with a = −1 and all signs turned.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn doubled(&self) -> Self {
        let (a, b, zz) = (self.x.squared(), self.y.squared(), self.z.squared());
        let h = a.plus(&b);
        let e = h.minus(&self.x.plus(&self.y).squared());
        let g = a.minus(&b);
        let f = zz.plus(&zz).plus(&g);
        Self { x: e.times(&f), y: g.times(&h), z: f.times(&g), t: e.times(&h) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn doubled_times(&self, count: usize) -> Self {
        let mut out = *self;
        for _ in 0..count {
            out = out.doubled();
        }
        out
    }

    /// Returns the lanes whose point times 8 is the identity.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn are_small(&self) -> __mmask8 {
        let eightfold = self.doubled_times(3);
        eightfold.x.is_zero() & eightfold.y.minus(&eightfold.z).is_zero()
    }

    /// Moves every lane down, around the end.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn rotated(&self, by: i64) -> Self {
        let places: [u64; 8] = array::from_fn(|lane| (lane as u64 + by as u64) % 8);
        let places = row(&places);
        let mut out = *self;
        for number in [&mut out.x, &mut out.y, &mut out.z, &mut out.t] {
            for limb in &mut number.0 {
                *limb = _mm512_permutexvar_epi64(places, *limb);
            }
        }
        out
    }

    /// Returns the words of each lane's point as three rows, and four words of nothing.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn store(&self) -> [[__m512i; 3]; LANES] {
        let zero = _mm512_setzero_si512();
        let mut limbs = [zero; 24];
        for (i, number) in [&self.x, &self.y, &self.z, &self.t].into_iter().enumerate() {
            limbs[5 * i..][..5].copy_from_slice(&number.0);
        }
        let mut out = [[zero; 3]; LANES];
        for third in 0..3 {
            let rows = transpose(limbs[8 * third..][..8].try_into().unwrap());
            for (out, row) in out.iter_mut().zip(rows) {
                out[third] = row;
            }
        }
        out
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn load(points: [&[__m512i; 3]; LANES]) -> Self {
        let mut limbs = [_mm512_setzero_si512(); 24];
        for third in 0..3 {
            let mut rows = [_mm512_setzero_si512(); LANES];
            for lane in 0..LANES {
                rows[lane] = points[lane][third];
            }
            limbs[8 * third..][..8].copy_from_slice(&transpose(rows));
        }
        let number = |i: usize| Lanes(limbs[5 * i..][..5].try_into().unwrap());
        Self { x: number(0), y: number(1), z: number(2), t: number(3) }
    }
}

/// Decodes points (RFC 8032, section 5.1.3), whose encodings were found canonical. None for those
/// that are not on the curve.
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
pub fn decode(encoded: &[[u8; 32]]) -> Vec<Option<Point>> {
    let mut points = Vec::with_capacity(encoded.len().next_multiple_of(LANES));
    for group in encoded.chunks(LANES) {
        let group: [[u8; 32]; LANES] = array::from_fn(|i| *group.get(i).unwrap_or(&group[0]));
        let y = Lanes::from_bytes(&group);
        let yy = y.squared();
        // x² = u / v, so x = u·v³·(u·v⁷)^((p − 5)/8), perhaps times the root of −1.
        let u = yy.minus(&Lanes::one());
        let v = yy.times(&Lanes::all(D)).plus(&Lanes::one());
        let v3 = v.squared().times(&v);
        let v7 = v3.squared().times(&v);
        let x = u.times(&v3).times(&u.times(&v7).power_p58());
        let vxx = x.squared().times(&v);
        let is_root = vxx.minus(&u).is_zero();
        let is_other_root = vxx.plus(&u).is_zero();
        let x = x.or(!is_root, &x.times(&Lanes::all(ROOT)));
        let mut negative = 0;
        for (lane, encoded) in group.iter().enumerate() {
            negative |= (encoded[31] >> 7) << lane;
        }
        let x = x.or(x.is_odd() ^ negative, &Lanes::zero().minus(&x));
        let affine = Affine::new(&x, &y);
        let on_curve = is_root | is_other_root;
        let decoded = affine.store().into_iter().enumerate();
        points.extend(decoded.map(|(lane, point)| (on_curve >> lane & 1 == 1).then_some(point)));
    }
    points.truncate(encoded.len());
    points
}

/// Returns the points times 2¹²⁸.
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
pub fn high(points: &[&Point]) -> Vec<Point> {
    let mut high = Vec::with_capacity(points.len().next_multiple_of(LANES));
    for group in points.chunks(LANES) {
        let group = array::from_fn(|i| *group.get(i).unwrap_or(&group[0]));
        let points = Extended::identity().plus_affine(&Affine::load(group, 0)).doubled_times(128);
        // 1/Z = Z^(p − 2), and p − 2 = 8·(p − 5)/8 + 3.
        let z3 = points.z.squared().times(&points.z);
        let inverse = points.z.power_p58().squared_times(3).times(&z3);
        high.extend(Affine::new(&points.x.times(&inverse), &points.y.times(&inverse)).store());
    }
    high.truncate(points.len());
    high
}

/// Returns whether 8 times the sum of the multiples is the identity.
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
pub fn is_small(windows: Windows, points: &[&Point], scalars: &[Scalar]) -> bool {
    let groups = windows.count() / LANES;
    // Lane l of group g has window l·groups + g.
    let mut sum = Extended::identity();
    let mut scratch = Buckets::new(windows);
    for group in (0..groups).rev() {
        let lanes = scratch.sums(points, scalars, array::from_fn(|lane| lane * groups + group));
        sum = sum.doubled_times(windows.bits).plus(&lanes);
    }
    let mut lane_bits = groups * windows.bits;
    for by in [1, 2, 4] {
        // Only the lanes that are multiples of 2·by matter from here on.
        sum = sum.plus(&sum.rotated(by).doubled_times(lane_bits));
        lane_bits *= 2;
    }
    sum.are_small() & 1 == 1
}

/// The windows of an equation's scalars.
pub const WINDOWS_ALONE: Windows = Windows { bits: 4, bytes: 32 };

/// One signature's equation: 8·(k·A + (−s)·B + R) = 0.
pub struct Equation<'a> {
    pub a: &'a Point,
    pub r: &'a Point,
    pub k: Scalar,
    pub minus_s: Scalar,
}

/// Returns whether each equation holds, eight at a time: four doublings a window, and one addition
/// each from the multiples of A and of the base point.
#[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
pub fn hold(equations: &[Equation]) -> Vec<bool> {
    let windows = WINDOWS_ALONE;
    let of_base = Multiples::new([&BASE; LANES]);
    let mut verdicts = Vec::with_capacity(equations.len().next_multiple_of(LANES));
    for group in equations.chunks(LANES) {
        let group: [&Equation; LANES] = array::from_fn(|i| group.get(i).unwrap_or(&group[0]));
        let of_a = Multiples::new(group.map(|equation| equation.a));
        let k = group.map(|equation| equation.k);
        let minus_s = group.map(|equation| equation.minus_s);
        let mut sum = Extended::identity();
        for window in (0..windows.count()).rev() {
            sum = sum.doubled_times(windows.bits);
            for (multiples, scalars) in [(&of_a, &k), (&of_base, &minus_s)] {
                let mut digits = [0; LANES];
                for lane in 0..LANES {
                    digits[lane] = windows.digit(&scalars[lane], window);
                }
                sum = sum.plus(&multiples.look_up(&digits));
            }
        }
        sum = sum.plus_affine(&Affine::load(group.map(|equation| equation.r), 0));
        let small = sum.are_small();
        verdicts.extend((0..LANES).map(|lane| small >> lane & 1 == 1));
    }
    verdicts.truncate(equations.len());
    verdicts
}

/// Eight points times 0 to 8.
struct Multiples([[[__m512i; 3]; LANES]; 9]);

impl Multiples {
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn new(points: [&Point; LANES]) -> Self {
        let points = Affine::load(points, 0);
        let mut multiple = Extended::identity();
        let mut multiples = [multiple.store(); 9];
        for stored in &mut multiples[1..] {
            multiple = multiple.plus_affine(&points);
            *stored = multiple.store();
        }
        Self(multiples)
    }

    /// Returns the multiples by −8 to 8. X and T of negatives are 2p less the limbs: not carried,
    /// but below 2⁵² and not above 2p, which an addition's formula bears.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn look_up(&self, digits: &[i32; LANES]) -> Extended {
        let mut negative = 0;
        let mut chosen = [&self.0[0][0]; LANES];
        for lane in 0..LANES {
            chosen[lane] = &self.0[digits[lane].unsigned_abs() as usize][lane];
            negative |= u8::from(digits[lane] < 0) << lane;
        }
        let point = Extended::load(chosen);
        let (x, t) = (point.x.negated_factor(negative), point.t.negated_factor(negative));
        Extended { x, t, ..point }
    }
}

/// The buckets of eight windows, and what sorts points into them.
struct Buckets {
    windows: Windows,
    sums: Vec<[__m512i; 3]>,
    /// Where in `entries` each bucket's begin.
    starts: Vec<u32>,
    /// Points, by twice their place, plus 1 for the negative.
    entries: Vec<u32>,
    by_length: Vec<u32>,
}

impl Buckets {
    fn new(windows: Windows) -> Self {
        Self {
            windows,
            sums: Vec::new(),
            starts: Vec::new(),
            entries: Vec::new(),
            by_length: Vec::new(),
        }
    }

    /// Returns the sum of digit times point for eight windows, one in each lane.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn sums(&mut self, points: &[&Point], scalars: &[Scalar], windows: [usize; LANES]) -> Extended {
        self.sort(scalars, windows);
        self.fill(points);
        self.empty()
    }

    /// Sorts the points by window and digit, and the buckets by how many points they have.
    fn sort(&mut self, scalars: &[Scalar], windows: [usize; LANES]) {
        let per_window = self.windows.buckets();
        let count = LANES * per_window;
        let place = |lane: usize, digit: i32| lane * per_window + digit.unsigned_abs() as usize - 1;
        self.starts.clear();
        self.starts.resize(count + 1, 0);
        for scalar in scalars {
            for (lane, &window) in windows.iter().enumerate() {
                let digit = self.windows.digit(scalar, window);
                if digit != 0 {
                    self.starts[place(lane, digit)] += 1;
                }
            }
        }
        let longest = *self.starts.iter().max().expect("there are buckets") as usize;
        let mut of_length = vec![0; longest + 2];
        for &length in &self.starts[..count] {
            of_length[longest - length as usize + 1] += 1;
        }
        for length in 1..of_length.len() {
            of_length[length] += of_length[length - 1];
        }
        self.by_length.resize(count, 0);
        let mut end = 0;
        for bucket in 0..count {
            let length = self.starts[bucket];
            let slot = &mut of_length[longest - length as usize];
            self.by_length[*slot] = bucket as u32;
            *slot += 1;
            end += length;
            // The end for now: filling from the back turns it into the start.
            self.starts[bucket] = end;
        }
        self.starts[count] = end;
        self.entries.resize(end as usize, 0);
        for (point, scalar) in scalars.iter().enumerate() {
            for (lane, &window) in windows.iter().enumerate() {
                let digit = self.windows.digit(scalar, window);
                if digit != 0 {
                    let start = &mut self.starts[place(lane, digit)];
                    *start -= 1;
                    self.entries[*start as usize] = 2 * point as u32 + u32::from(digit < 0);
                }
            }
        }
    }

    /// Sums up the points of every bucket, of eight at a time that have about as many.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn fill(&mut self, points: &[&Point]) {
        self.sums.resize(self.by_length.len(), [_mm512_setzero_si512(); 3]);
        for buckets in self.by_length.chunks(LANES) {
            let lists: [&[u32]; LANES] = array::from_fn(|lane| {
                let bucket = buckets[lane] as usize;
                &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]
            });
            let mut sum = Extended::identity();
            for step in 0..lists[0].len() {
                let mut chosen = [&IDENTITY; LANES];
                let mut negative = 0;
                for lane in 0..LANES {
                    if let Some(&entry) = lists[lane].get(step) {
                        chosen[lane] = points[(entry >> 1) as usize];
                        negative |= ((entry & 1) as u8) << lane;
                    }
                }
                sum = sum.plus_affine(&Affine::load(chosen, negative));
            }
            for (&bucket, point) in buckets.iter().zip(sum.store()) {
                self.sums[bucket as usize] = point;
            }
        }
    }

    /// Sums up |d| times each window's bucket of |d|, one window in each lane.
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    fn empty(&self) -> Extended {
        let per_window = self.windows.buckets();
        let mut running = Extended::identity();
        let mut sum = Extended::identity();
        for bucket in (0..per_window).rev() {
            let lanes: [&[__m512i; 3]; LANES] =
                array::from_fn(|lane| &self.sums[lane * per_window + bucket]);
            running = running.plus(&Extended::load(lanes));
            sum = sum.plus(&running);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::edwards::CompressedEdwardsY;
    use num_bigint::BigUint;

    use crate::entries;
    use crate::testing::{Random, bytes};

    #[test]
    fn points_are_decoded_or_refused_as_by_dalek() {
        let p = (BigUint::from(1u32) << 255u32) - 19u32;
        let number = |limbs: &[u64]| {
            limbs.iter().rev().fold(BigUint::ZERO, |sum, &limb| (sum << 51u32) + limb) % &p
        };
        // RFC 8032, section 5.1.
        let d = bytes("a3785913ca4deb75abd841414d0a700098e879777940c78c73fe6f2bee6c0352");
        let d = BigUint::from_bytes_le(&d);
        let mut random = Random::new(7);
        let mut encoded: Vec<[u8; 32]> = Vec::new();
        for small in 0..40 {
            for sign in [0, 0x80] {
                let mut low = [0; 32];
                (low[0], low[31]) = (small, sign);
                // p − 1 − small.
                let mut high = [0xff; 32];
                (high[0], high[31]) = (0xec - small, 0x7f | sign);
                encoded.extend([low, high]);
            }
        }
        for _ in 0..500 {
            encoded.push(random.words::<4>().map(u64::to_le_bytes).concat().try_into().unwrap());
        }
        let Some(points) = entries::decode25519(&encoded) else { return };
        for (encoded, point) in encoded.iter().zip(points) {
            let other = CompressedEdwardsY(*encoded).decompress();
            assert_eq!(point.is_some(), other.is_some(), "{encoded:x?}");
            let Some(point) = point else { continue };
            let [plus, minus, xy2d] = [0, 5, 10].map(|i| number(&point.0[i..i + 5]));
            // y + x and y − x, halved modulo p.
            let half = (&p + 1u32) / 2u32;
            let y = (&plus + &minus) * &half % &p;
            let x = (&plus + &p - &minus) * &half % &p;
            assert_eq!(&x * &y * &d * 2u32 % &p, xy2d);
            let mut again = y.to_bytes_le();
            again.resize(32, 0);
            again[31] |= (x.bit(0) as u8) << 7;
            let is_zero = x == BigUint::ZERO;
            assert!(again[..] == encoded[..] || is_zero, "{encoded:x?}");
        }
    }
}
