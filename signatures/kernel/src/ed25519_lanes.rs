//! The batch equation of Ed25519 in lanes, eight of AVX-512 or four of AVX2: as many points are
//! decoded at a time, and a sum of multiples is made by Pippenger's buckets. Nothing here is secret:
//! times depend on the numbers.
//!
//! Scalars are written in signed digits of eight or four bits, d₀ + d₁·2ʷ + …, each window's digits
//! sort the points into buckets of equal |d|, and every lane fills one bucket at a time. Twisted
//! Edwards addition is complete with these constants: there are no exceptional points.

// The same lane in several arrays; and see `field25519` for what must be inlined.
#![allow(clippy::needless_range_loop, clippy::inline_always)]

use std::array;

use crate::field25519::Field;
use crate::{field25519_avx2, field25519_ifma};

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

/// A point ready to be added, affine: five words of 51 bits each of y + x, y − x and 2dxy, which the
/// top one may exceed a little, and one of nothing.
#[derive(Clone, Copy)]
pub struct Point(pub [u64; 16]);

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

/// Affine points ready to be added, one in each lane.
struct Affine<L> {
    y_plus_x: L,
    y_minus_x: L,
    xy2d: L,
}

/// Points in extended coordinates, one in each lane: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Extended<L> {
    x: L,
    y: L,
    z: L,
    t: L,
}

impl<L: Copy> Affine<L> {
    #[inline(always)]
    fn load<S, const LANES: usize>(
        field: &Field<L, S, LANES>,
        points: [&Point; LANES],
        negative: u8,
    ) -> Self {
        let [plus, minus, xy2d] = (field.load_affine)(points);
        Self {
            y_plus_x: (field.or)(&plus, negative, &minus),
            y_minus_x: (field.or)(&minus, negative, &plus),
            xy2d: (field.negated_where)(&xy2d, negative),
        }
    }
}

impl<L: Copy> Extended<L> {
    #[inline(always)]
    fn identity<S, const LANES: usize>(field: &Field<L, S, LANES>) -> Self {
        let (zero, one) = ((field.all)([0; 5]), (field.all)([1, 0, 0, 0, 0]));
        Self { x: zero, y: one, z: one, t: zero }
    }

    /// Returns affine points with Z = 4, for one product: from e = 2x and h = 2y, X = 2e, Y = 2h and
    /// T = X·Y/Z = e·h.
    #[inline(always)]
    fn from_affine<S, const LANES: usize>(field: &Field<L, S, LANES>, affine: &Affine<L>) -> Self {
        let Field { plus, minus, times, carried, .. } = *field;
        let e = carried(&minus(&affine.y_plus_x, &affine.y_minus_x));
        let h = plus(&affine.y_plus_x, &affine.y_minus_x);
        let (x, y) = (carried(&plus(&e, &e)), carried(&plus(&h, &h)));
        Self { x, y, z: (field.all)([4, 0, 0, 0, 0]), t: times(&e, &h) }
    }

    /// Adds affine points: add-2008-hwcd-3 with Z₂ = 1, seven products.
    #[inline(always)]
    fn add_affine<S, const LANES: usize>(&mut self, field: &Field<L, S, LANES>, other: &Affine<L>) {
        let Field { plus, minus, times, .. } = *field;
        let a = times(&minus(&self.y, &self.x), &other.y_minus_x);
        let b = times(&plus(&self.y, &self.x), &other.y_plus_x);
        let c = times(&self.t, &other.xy2d);
        let d = plus(&self.z, &self.z);
        self.join(field, &a, &b, &c, &d);
    }

    /// Adds points: add-2008-hwcd-3, nine products.
    #[inline(always)]
    fn add<S, const LANES: usize>(&mut self, field: &Field<L, S, LANES>, other: &Self) {
        let Field { plus, minus, times, .. } = *field;
        let a = times(&minus(&self.y, &self.x), &minus(&other.y, &other.x));
        let b = times(&plus(&self.y, &self.x), &plus(&other.y, &other.x));
        let c = times(&times(&self.t, &other.t), &(field.all)(TWICE_D));
        let zz = times(&self.z, &other.z);
        self.join(field, &a, &b, &c, &plus(&zz, &zz));
    }

    /// The end of both, from carried a, b and c, and d that is twice a carried number.
    #[inline(always)]
    fn join<S, const LANES: usize>(
        &mut self,
        field: &Field<L, S, LANES>,
        a: &L,
        b: &L,
        c: &L,
        d: &L,
    ) {
        let Field { plus, minus, times_to, .. } = *field;
        // f is the loosest one.
        let (e, f, g, h) = (minus(b, a), minus(d, c), plus(d, c), plus(b, a));
        times_to(&mut self.x, &f, &e);
        times_to(&mut self.y, &g, &h);
        times_to(&mut self.z, &f, &g);
        times_to(&mut self.t, &e, &h);
    }

    /// Doubles: dbl-2008-hwcd with a = −1 and all signs turned. T, which a doubling does not read, is
    /// left as it was if nobody else will.
    #[inline(always)]
    fn double<S, const LANES: usize>(&mut self, field: &Field<L, S, LANES>, needs_t: bool) {
        let Field { plus, minus, squared, times_to, .. } = *field;
        let (a, b, zz) = (squared(&self.x), squared(&self.y), squared(&self.z));
        let h = plus(&a, &b);
        let e = minus(&h, &squared(&plus(&self.x, &self.y)));
        let g = minus(&a, &b);
        let f = (field.carried)(&plus(&plus(&zz, &zz), &g));
        times_to(&mut self.x, &e, &f);
        times_to(&mut self.y, &g, &h);
        times_to(&mut self.z, &f, &g);
        if needs_t {
            times_to(&mut self.t, &e, &h);
        }
    }

    #[inline(always)]
    fn double_times<S, const LANES: usize>(&mut self, field: &Field<L, S, LANES>, count: usize) {
        for left in (0..count).rev() {
            self.double(field, left == 0);
        }
    }

    /// Returns the lanes whose point times 8 is the identity.
    #[inline(always)]
    fn are_small<S, const LANES: usize>(&self, field: &Field<L, S, LANES>) -> u8 {
        let mut eightfold = *self;
        eightfold.double_times(field, 3);
        let difference = (field.minus)(&eightfold.y, &eightfold.z);
        (field.is_zero)(&eightfold.x) & (field.is_zero)(&difference)
    }

    /// Moves every lane down, around the end.
    #[inline(always)]
    fn rotated<S, const LANES: usize>(&self, field: &Field<L, S, LANES>, by: usize) -> Self {
        let [x, y, z, t] =
            [&self.x, &self.y, &self.z, &self.t].map(|number| (field.rotated)(number, by));
        Self { x, y, z, t }
    }

    #[inline(always)]
    fn store<S, const LANES: usize>(&self, field: &Field<L, S, LANES>) -> [S; LANES] {
        (field.store)(&[self.x, self.y, self.z, self.t])
    }

    #[inline(always)]
    fn load<S, const LANES: usize>(field: &Field<L, S, LANES>, points: [&S; LANES]) -> Self {
        let [x, y, z, t] = (field.load)(points);
        Self { x, y, z, t }
    }
}

/// Returns points by their coordinates, x perhaps negated, y carried.
#[inline(always)]
fn points<L: Copy, S, const LANES: usize>(
    field: &Field<L, S, LANES>,
    x: &L,
    y: &L,
) -> [Point; LANES] {
    let Field { plus, minus, times, carried, .. } = *field;
    let xy2d = times(&times(x, y), &(field.all)(TWICE_D));
    (field.store_affine)(&[carried(&plus(y, x)), carried(&minus(y, x)), xy2d])
}

/// Decodes points (RFC 8032, section 5.1.3), whose encodings were found canonical. None for those
/// that are not on the curve.
#[inline(always)]
fn decode<L: Copy, S, const LANES: usize, const WIDTH: usize>(
    field: &Field<L, S, LANES>,
    encoded: &[[u8; 32]],
) -> Vec<Option<Point>> {
    let mut decoded = Vec::with_capacity(encoded.len().next_multiple_of(LANES * WIDTH));
    for groups in encoded.chunks(LANES * WIDTH) {
        let groups: [[[u8; 32]; LANES]; WIDTH] = array::from_fn(|group| {
            array::from_fn(|lane| *groups.get(group * LANES + lane).unwrap_or(&groups[0]))
        });
        let ratios = groups.map(|group| Ratio::new(field, &(field.from_bytes)(&group)));
        let powers = field.power_p58(&ratios.map(|ratio| ratio.uv7));
        for ((group, ratio), power) in groups.iter().zip(&ratios).zip(&powers) {
            let (x, on_curve) = ratio.root(field, power);
            let mut negative = 0;
            for (lane, encoded) in group.iter().enumerate() {
                negative |= (encoded[31] >> 7) << lane;
            }
            let x = (field.negated_where)(&x, (field.is_odd)(&x) ^ negative);
            let points = points(field, &x, &ratio.y).into_iter().enumerate();
            decoded
                .extend(points.map(|(lane, point)| (on_curve >> lane & 1 == 1).then_some(point)));
        }
    }
    decoded.truncate(encoded.len());
    decoded
}

/// What x² is, from y: u / v, so that x is u·v³·(u·v⁷)^((p − 5)/8), perhaps times the root of −1.
#[derive(Clone, Copy)]
struct Ratio<L> {
    y: L,
    u: L,
    v: L,
    uv3: L,
    uv7: L,
}

impl<L: Copy> Ratio<L> {
    #[inline(always)]
    fn new<S, const LANES: usize>(field: &Field<L, S, LANES>, y: &L) -> Self {
        let Field { plus, minus, times, squared, all, .. } = *field;
        let (one, yy) = (all([1, 0, 0, 0, 0]), squared(y));
        let u = (field.carried)(&minus(&yy, &one));
        let v = plus(&times(&yy, &all(D)), &one);
        let v3 = times(&squared(&v), &v);
        let uv3 = times(&u, &v3);
        let v4 = times(&v3, &v);
        Self { y: *y, u, v, uv3, uv7: times(&uv3, &v4) }
    }

    /// Returns a root from (u·v⁷)^((p − 5)/8), and the lanes that have one.
    #[inline(always)]
    fn root<S, const LANES: usize>(&self, field: &Field<L, S, LANES>, power: &L) -> (L, u8) {
        let Field { plus, minus, times, squared, all, is_zero, .. } = *field;
        let x = times(&self.uv3, power);
        let vxx = times(&squared(&x), &self.v);
        let is_root = is_zero(&minus(&vxx, &self.u));
        let is_other_root = is_zero(&plus(&vxx, &self.u));
        ((field.or)(&x, !is_root, &times(&x, &all(ROOT))), is_root | is_other_root)
    }
}

/// Returns the points times 2¹²⁸.
#[inline(always)]
fn high<L: Copy, S, const LANES: usize>(
    field: &Field<L, S, LANES>,
    affine: &[&Point],
) -> Vec<Point> {
    let mut high = Vec::with_capacity(affine.len().next_multiple_of(LANES));
    for group in affine.chunks(LANES) {
        let group = array::from_fn(|i| *group.get(i).unwrap_or(&group[0]));
        let mut group = Extended::from_affine(field, &Affine::load(field, group, 0));
        group.double_times(field, 128);
        let Extended { x, y, z, .. } = group;
        let inverse = field.inverse(&z);
        let (x, y) = ((field.times)(&x, &inverse), (field.times)(&y, &inverse));
        high.extend(points(field, &x, &y));
    }
    high.truncate(affine.len());
    high
}

/// Returns whether 8 times the sum of the multiples is the identity.
#[inline(always)]
fn is_small<L: Copy, S: Copy, const LANES: usize>(
    field: &Field<L, S, LANES>,
    windows: Windows,
    points: &[&Point],
    scalars: &[Scalar],
) -> bool {
    let groups = windows.count() / LANES;
    // Lane l of group g has window l·groups + g.
    let mut sum = Extended::identity(field);
    let mut scratch = Buckets::new(field, windows);
    for group in (0..groups).rev() {
        let windows_of_group = array::from_fn(|lane| lane * groups + group);
        let lanes = scratch.sums(field, points, scalars, windows_of_group);
        sum.double_times(field, windows.bits);
        sum.add(field, &lanes);
    }
    let mut lane_bits = groups * windows.bits;
    let mut by = 1;
    while by < LANES {
        // Only the lanes that are multiples of 2·by matter from here on.
        let mut upper = sum.rotated(field, by);
        upper.double_times(field, lane_bits);
        sum.add(field, &upper);
        lane_bits *= 2;
        by *= 2;
    }
    sum.are_small(field) & 1 == 1
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

/// Returns whether each equation holds, one in each lane: four doublings a window, and one addition
/// each from the multiples of A and of the base point.
#[inline(always)]
fn hold<L: Copy, S: Copy, const LANES: usize>(
    field: &Field<L, S, LANES>,
    equations: &[Equation],
) -> Vec<bool> {
    let windows = WINDOWS_ALONE;
    let of_base = Multiples::new(field, [&BASE; LANES]);
    let mut verdicts = Vec::with_capacity(equations.len().next_multiple_of(LANES));
    for group in equations.chunks(LANES) {
        let group: [&Equation; LANES] = array::from_fn(|i| group.get(i).unwrap_or(&group[0]));
        let of_a = Multiples::new(field, group.map(|equation| equation.a));
        let k = group.map(|equation| equation.k);
        let minus_s = group.map(|equation| equation.minus_s);
        let mut sum = Extended::identity(field);
        for window in (0..windows.count()).rev() {
            sum.double_times(field, windows.bits);
            for (multiples, scalars) in [(&of_a, &k), (&of_base, &minus_s)] {
                let mut digits = [0; LANES];
                for lane in 0..LANES {
                    digits[lane] = windows.digit(&scalars[lane], window);
                }
                sum.add(field, &multiples.look_up(field, &digits));
            }
        }
        let r = Affine::load(field, group.map(|equation| equation.r), 0);
        sum.add_affine(field, &r);
        let small = sum.are_small(field);
        verdicts.extend((0..LANES).map(|lane| small >> lane & 1 == 1));
    }
    verdicts.truncate(equations.len());
    verdicts
}

/// The points of all lanes times 0 to 8.
struct Multiples<S, const LANES: usize>([[S; LANES]; 9]);

impl<S: Copy, const LANES: usize> Multiples<S, LANES> {
    #[inline(always)]
    fn new<L: Copy>(field: &Field<L, S, LANES>, points: [&Point; LANES]) -> Self {
        let points = Affine::load(field, points, 0);
        let mut multiple = Extended::identity(field);
        let mut multiples = [multiple.store(field); 9];
        for stored in &mut multiples[1..] {
            multiple.add_affine(field, &points);
            *stored = multiple.store(field);
        }
        Self(multiples)
    }

    /// Returns the multiples by −8 to 8. X and T of negatives are not carried, which an addition's
    /// formula bears.
    #[inline(always)]
    fn look_up<L: Copy>(&self, field: &Field<L, S, LANES>, digits: &[i32; LANES]) -> Extended<L> {
        let mut negative = 0;
        let mut chosen = [&self.0[0][0]; LANES];
        for lane in 0..LANES {
            chosen[lane] = &self.0[digits[lane].unsigned_abs() as usize][lane];
            negative |= u8::from(digits[lane] < 0) << lane;
        }
        let point = Extended::load(field, chosen);
        let x = (field.negated_where)(&point.x, negative);
        let t = (field.negated_where)(&point.t, negative);
        Extended { x, t, ..point }
    }
}

/// The buckets of as many windows as there are lanes, and what sorts points into them.
struct Buckets<S, const LANES: usize> {
    windows: Windows,
    sums: Vec<S>,
    /// The identity.
    nothing: S,
    /// Where in `entries` each bucket's begin.
    starts: Vec<u32>,
    /// Points, by twice their place, plus 1 for the negative.
    entries: Vec<u32>,
    by_length: Vec<u32>,
}

impl<S: Copy, const LANES: usize> Buckets<S, LANES> {
    #[inline(always)]
    fn new<L: Copy>(field: &Field<L, S, LANES>, windows: Windows) -> Self {
        Self {
            windows,
            sums: Vec::new(),
            nothing: Extended::identity(field).store(field)[0],
            starts: Vec::new(),
            entries: Vec::new(),
            by_length: Vec::new(),
        }
    }

    /// Returns the sum of digit times point for each lane's window.
    #[inline(always)]
    fn sums<L: Copy>(
        &mut self,
        field: &Field<L, S, LANES>,
        points: &[&Point],
        scalars: &[Scalar],
        windows: [usize; LANES],
    ) -> Extended<L> {
        self.sort(scalars, windows);
        self.fill(field, points);
        self.empty(field)
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

    /// Sums up the points of every bucket, of as many at a time as there are lanes, which have about
    /// as many points.
    #[inline(always)]
    fn fill<L: Copy>(&mut self, field: &Field<L, S, LANES>, points: &[&Point]) {
        self.sums.resize(self.by_length.len(), self.nothing);
        for buckets in self.by_length.chunks(LANES) {
            let lists: [&[u32]; LANES] = array::from_fn(|lane| {
                let bucket = buckets[lane] as usize;
                &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]
            });
            let mut sum = Extended::identity(field);
            for step in 0..lists[0].len() {
                let mut chosen = [&IDENTITY; LANES];
                let mut negative = 0;
                for lane in 0..LANES {
                    if let Some(&entry) = lists[lane].get(step) {
                        chosen[lane] = points[(entry >> 1) as usize];
                        negative |= ((entry & 1) as u8) << lane;
                    }
                }
                let affine = Affine::load(field, chosen, negative);
                match step {
                    0 => sum = Extended::from_affine(field, &affine),
                    _ => sum.add_affine(field, &affine),
                }
            }
            for (&bucket, point) in buckets.iter().zip(sum.store(field)) {
                self.sums[bucket as usize] = point;
            }
        }
    }

    /// Sums up |d| times each window's bucket of |d|, one window in each lane.
    #[inline(always)]
    fn empty<L: Copy>(&self, field: &Field<L, S, LANES>) -> Extended<L> {
        let per_window = self.windows.buckets();
        let mut running = Extended::identity(field);
        let mut sum = Extended::identity(field);
        for bucket in (0..per_window).rev() {
            let lanes: [&S; LANES] = array::from_fn(|lane| &self.sums[lane * per_window + bucket]);
            running.add(field, &Extended::load(field, lanes));
            sum.add(field, &running);
        }
        sum
    }
}

/// What is done in eight lanes.
pub mod ifma {
    use super::{Equation, Point, Scalar, Windows, field25519_ifma};

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    pub fn decode(encoded: &[[u8; 32]]) -> Vec<Option<Point>> {
        super::decode::<_, _, _, 2>(&field25519_ifma::field(), encoded)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    pub fn high(points: &[&Point]) -> Vec<Point> {
        super::high(&field25519_ifma::field(), points)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    pub fn is_small(windows: Windows, points: &[&Point], scalars: &[Scalar]) -> bool {
        super::is_small(&field25519_ifma::field(), windows, points, scalars)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    pub fn hold(equations: &[Equation]) -> Vec<bool> {
        super::hold(&field25519_ifma::field(), equations)
    }
}

/// What is done in four lanes.
pub mod avx2 {
    use super::{Equation, Point, Scalar, Windows, field25519_avx2};

    #[target_feature(enable = "avx2")]
    pub fn decode(encoded: &[[u8; 32]]) -> Vec<Option<Point>> {
        super::decode::<_, _, _, 1>(&field25519_avx2::field(), encoded)
    }

    #[target_feature(enable = "avx2")]
    pub fn high(points: &[&Point]) -> Vec<Point> {
        super::high(&field25519_avx2::field(), points)
    }

    #[target_feature(enable = "avx2")]
    pub fn is_small(windows: Windows, points: &[&Point], scalars: &[Scalar]) -> bool {
        super::is_small(&field25519_avx2::field(), windows, points, scalars)
    }

    #[target_feature(enable = "avx2")]
    pub fn hold(equations: &[Equation]) -> Vec<bool> {
        super::hold(&field25519_avx2::field(), equations)
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
