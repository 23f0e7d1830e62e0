//! Sums u·G + v·Q on curves, eight items in step, by AVX-512 IFMA.
//!
//! Digits are odd (see windows), so that all lanes go in step. A table has the odd multiples of
//! 2ʷᶜʲ·Q for each j, where w is the width of a window and C the number of classes: the windows of each
//! class c, those numbered Cj + c, are summed by a binary tree of affine additions, and the classes'
//! sums are joined by w doublings each, the highest first. With one class nothing is doubled; with as
//! many classes as windows the table has the odd multiples of Q only. The base point has one class,
//! whose points are summed with class 0.
//!
//! An affine addition takes five products and a square, and one division: all of a level share one.
//! Where two points of a pair have the same x there is no such sum: the item is refused, its lane goes
//! on with another number, and nobody else is disturbed. Where an addition of a sum of doubled points
//! meets the same or the opposite one, its Z becomes and stays 0, and the item is refused at the end.
//!
//! Nothing here is secret, so the time may vary. Numbers in comments are bounds as multiples of p; see
//! number_lanes.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use crate::group::Group;
use crate::modular::{self, Modulus, Words};
use crate::number_lanes::{LANES, Number};
use crate::primes::Prime;
use crate::rows::{row, transpose};
use crate::windows::{Digits, Shape};

/// How many groups of eight share divisions: as many as have this many bytes of points, so that they
/// stay in the cache, but at least the first number, whose shares of a division are small enough, and
/// at most the last one, beyond which nothing is gained.
const POINTS_BYTES: usize = 1 << 20;
const TOGETHER: [usize; 2] = [4, 16];

/// How many products of many numbers are multiplied up side by side: one alone would wait for each
/// product's last step before the next one's first.
const CHAINS: usize = 4;
/// How many points are added side by side.
const BLOCK: usize = 4;

/// A line of the cache. A point is x and y, below p and in Montgomery's form, in lines of its own.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; LANES]);

/// The lines of a point of nine words.
const MOST_LINES: usize = 3;

const fn lines<const N: usize>() -> usize {
    (2 * N).div_ceil(LANES)
}

/// Returns the bytes of a table of this shape, for scalars of so many bits.
pub const fn table_bytes<const N: usize>(shape: Shape, bits: usize) -> usize {
    shape.points(bits) * lines::<N>() * size_of::<Line>()
}

/// Odd multiples of a point: those of its lowest anchor first, each anchor's lowest first.
pub struct Table<const N: usize> {
    pub shape: Shape,
    lines: Box<[Line]>,
    words: PhantomData<Words<N>>,
}

impl<const N: usize> Table<N> {
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }
}

/// One signature: the base point times u plus the table's point times v should have an x that is r
/// modulo the order.
pub struct Item<'a, const N: usize> {
    pub table: &'a Table<N>,
    /// Below the order.
    pub u: Words<N>,
    pub v: Words<N>,
    /// From 1 to the order less 1.
    pub r: Words<N>,
}

/// What the arithmetic has to know of a group.
pub struct Constants<const N: usize> {
    /// Bits of the order, and of all scalars.
    pub bits: usize,
    /// 2⁵²ᴸ squared, which makes Montgomery's form of a number.
    into: Words<N>,
    /// What brings the inverse of a Montgomery form by `Modulus` into Montgomery's form.
    of_inverse: Words<N>,
    /// The curve's a, in Montgomery's form. None for −3.
    a: Option<Words<N>>,
    one: Words<N>,
}

impl<const N: usize> Constants<N> {
    /// Of a group whose numbers have so many limbs.
    pub fn new(group: &Group<N>, limbs: usize) -> Self {
        let p = &group.curve.p;
        let shifted = |number: Words<N>| (0..52 * limbs).fold(number, |n, _| p.add(&n, &n));
        let one = shifted(std::array::from_fn(|word| u64::from(word == 0)));
        let into = shifted(one);
        let in_form = |encoded: &Words<N>| p.reduce(&shifted(p.decode(encoded)));
        Self {
            bits: group.order.bits(),
            into: p.reduce(&into),
            // decode divides twice by what encode multiplies with: once for a number that was taken
            // as encoded, and once for its inverse.
            of_inverse: p.decode(&p.decode(&shifted(into))),
            a: group.curve.a_unless_minus_3().map(in_form),
            one: p.reduce(&one),
        }
    }
}

/// A point in each lane. Both coordinates are below 1.6.
#[derive(Clone, Copy)]
struct Affine<P: Prime<N, L>, const N: usize, const L: usize> {
    x: Number<P, N, L>,
    y: Number<P, N, L>,
}

/// x = X/Z², y = Y/Z³; X and Y are below 1.6, Z below 1.4.
#[derive(Clone, Copy)]
struct Jacobian<P: Prime<N, L>, const N: usize, const L: usize> {
    x: Number<P, N, L>,
    y: Number<P, N, L>,
    z: Number<P, N, L>,
}

/// The group's numbers in lanes.
struct Field<'a, P: Prime<N, L>, const N: usize, const L: usize> {
    p: &'a Modulus<N>,
    one: Number<P, N, L>,
    of_inverse: Number<P, N, L>,
    into: Number<P, N, L>,
    a: Option<Number<P, N, L>>,
}

impl<'a, P: Prime<N, L>, const N: usize, const L: usize> Field<'a, P, N, L> {
    #[target_feature(enable = "avx512f")]
    fn new(group: &'a Group<N>, constants: &Constants<N>) -> Self {
        Self {
            p: &group.curve.p,
            one: Number::splat(&constants.one),
            of_inverse: Number::splat(&constants.of_inverse),
            into: Number::splat(&constants.into),
            a: constants.a.as_ref().map(|a| Number::splat(a)),
        }
    }

    /// Replaces numbers by their inverses, which are below 1.6. False, with the numbers as they were,
    /// if one is 0 in a lane. They are below 6.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn invert_all(&self, numbers: &mut [Number<P, N, L>]) -> bool {
        // Below 1.6, since 1.6 · 6 / 16 + 1 is.
        let mut chains = [self.one; CHAINS];
        let mut before = Vec::with_capacity(numbers.len());
        for (place, number) in numbers.iter().enumerate() {
            let chain = &mut chains[place % CHAINS];
            before.push(*chain);
            *chain = chain.times(number);
        }
        let Some(mut inverses) = self.invert_chains(&chains) else { return false };
        for (place, number) in numbers.iter_mut().enumerate().rev() {
            let inverse = &mut inverses[place % CHAINS];
            let next = inverse.times(number);
            *number = inverse.times(&before[place]);
            *inverse = next;
        }
        true
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn invert_chains(
        &self,
        chains: &[Number<P, N, L>; CHAINS],
    ) -> Option<[Number<P, N, L>; CHAINS]> {
        let [a, b, c, d] = chains;
        let (ab, cd) = (a.times(b), c.times(d));
        let mut inverses = ab.times(&cd).to_words();
        self.p.invert_all(&mut inverses)?;
        let inverse = Number::from_words(&inverses.map(|n| self.p.reduce(&n)));
        let inverse = inverse.times(&self.of_inverse);
        let (of_ab, of_cd) = (inverse.times(&cd), inverse.times(&ab));
        Some([of_ab.times(b), of_ab.times(a), of_cd.times(d), of_cd.times(c)])
    }

    /// Returns the sums of K pairs of points, by the inverses of right.x − left.x. They are made step
    /// by step side by side, since each step alone would wait for the last.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_affine<const K: usize>(
        &self,
        pairs: [[&Affine<P, N, L>; 2]; K],
        inverses: [&Number<P, N, L>; K],
    ) -> [Affine<P, N, L>; K] {
        let mut slopes = [self.one; K];
        let mut sums = [Affine { x: self.one, y: self.one }; K];
        for at in 0..K {
            let [left, right] = pairs[at];
            slopes[at] = right.y.minus(&left.y).positive().times(inverses[at]);
        }
        for at in 0..K {
            let [left, right] = pairs[at];
            sums[at].x = slopes[at].raw_square().minus(&left.x).minus(&right.x).settled();
        }
        for at in 0..K {
            let [left, _] = pairs[at];
            let across = left.x.minus(&sums[at].x).positive();
            sums[at].y = slopes[at].raw_product(&across).minus(&left.y).settled();
        }
        sums
    }

    /// Returns a point's double, by the inverse of 2y.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn double_affine(&self, point: &Affine<P, N, L>, inverse: &Number<P, N, L>) -> Affine<P, N, L> {
        let square = point.x.raw_square().scaled::<3>();
        let numerator = match &self.a {
            Some(a) => square.plus(a).carried(),
            None => square.minus_raw(&self.one.raw().scaled::<3>()).lifted(3).carried(),
        };
        let slope = numerator.times(inverse);
        let x = slope.raw_square().minus(&point.x).minus(&point.x).settled();
        let across = point.x.minus(&x).positive();
        let y = slope.raw_product(&across).minus(&point.y).settled();
        Affine { x, y }
    }

    /// Doubles a point: dbl-2001-b of the Explicit-Formulas Database for a = −3, dbl-1998-cmo-2 for
    /// others. A Z of 0 stays.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn double(&self, Jacobian { x, y, z }: &Jacobian<P, N, L>) -> Jacobian<P, N, L> {
        let (delta, gamma) = (z.square(), y.square());
        let alpha = match &self.a {
            None => x.minus(&delta).positive().raw_product(&x.plus(&delta).carried()).scaled::<3>(),
            Some(a) => {
                let fourth = a.times(&delta.square());
                x.raw_square().scaled::<3>().plus(&fourth)
            }
        };
        let alpha = alpha.carried();
        let beta = x.raw_product(&gamma).scaled::<4>().carried();
        let x3 = alpha.raw_square().minus(&beta).minus(&beta).settled();
        let across = beta.minus(&x3).positive();
        let gammas = gamma.raw_square().scaled::<8>();
        let y3 = alpha.raw_product(&across).minus_raw(&gammas).settled();
        Jacobian { x: x3, y: y3, z: y.raw_product(z).scaled::<2>().carried() }
    }

    /// Adds an affine point. Where it is the same or the opposite one, Z becomes 0; a Z of 0 stays.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(
        &self,
        Jacobian { x, y, z }: &Jacobian<P, N, L>,
        right: &Affine<P, N, L>,
    ) -> Jacobian<P, N, L> {
        let square = z.square();
        let h = right.x.raw_product(&square).minus(x).positive();
        let r = right.y.raw_product(&z.times(&square)).minus(y).positive();
        let h_square = h.square();
        let h_cube = h.times(&h_square);
        let v = x.times(&h_square);
        let x3 = r.raw_square().minus(&h_cube).minus(&v).minus(&v).settled();
        let across = v.minus(&x3).positive();
        let y3 = r.raw_product(&across).minus_raw(&y.raw_product(&h_cube)).settled();
        Jacobian { x: x3, y: y3, z: z.times(&h) }
    }

    /// Replaces the points of each group's runs by their sums, each of which lies at its run's start.
    /// Marks the lanes of each group that have no sum.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn sum_runs(
        &self,
        points: &mut [Affine<P, N, L>],
        runs: &[Run],
        count: usize,
        refused: &mut [__mmask8],
    ) {
        let longest = runs.iter().map(|run| run.length).max().unwrap_or(0);
        let mut stride = 1;
        while stride < longest {
            let lefts = |group: usize| {
                runs.iter().flat_map(move |run| {
                    let last = run.length.saturating_sub(stride);
                    (0..last).step_by(2 * stride).map(move |at| group * count + run.start + at)
                })
            };
            let lefts: Vec<usize> = (0..refused.len()).flat_map(lefts).collect();
            let mut inverses = Vec::with_capacity(lefts.len());
            for &left in &lefts {
                inverses.push(points[left + stride].x.minus(&points[left].x).positive());
            }
            if !self.invert_all(&mut inverses) {
                for (&left, difference) in lefts.iter().zip(&mut inverses) {
                    let zeros = difference.zeros();
                    refused[left / count] |= zeros;
                    *difference = difference.blend(zeros, &self.one);
                }
                let all = self.invert_all(&mut inverses);
                debug_assert!(all, "what is 0 was replaced");
            }
            let mut blocks = lefts.chunks_exact(BLOCK);
            for (lefts, inverses) in (&mut blocks).zip(inverses.chunks_exact(BLOCK)) {
                let pair = |at: usize| [&points[lefts[at]], &points[lefts[at] + stride]];
                let pairs: [_; BLOCK] = std::array::from_fn(pair);
                let sums = self.add_affine(pairs, std::array::from_fn(|at| &inverses[at]));
                for (&left, sum) in lefts.iter().zip(sums) {
                    points[left] = sum;
                }
            }
            let rest = blocks.remainder();
            for (&left, inverse) in rest.iter().zip(&inverses[lefts.len() - rest.len()..]) {
                let [sum] = self.add_affine([[&points[left], &points[left + stride]]], [inverse]);
                points[left] = sum;
            }
            stride *= 2;
        }
    }
}

/// Points of a group that are summed.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    length: usize,
}

/// Returns for each item whether its sum has its x; None if that is not decided. All items' tables
/// have one shape.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn holds<P: Prime<N, L>, const N: usize, const L: usize>(
    group: &Group<N>,
    constants: &Constants<N>,
    base: &Table<N>,
    items: &[Item<N>],
) -> Vec<Option<bool>> {
    let Some(first) = items.first() else { return Vec::new() };
    let field = Field::<P, N, L>::new(group, constants);
    let layout = Layout::new(constants.bits, base.shape, first.table.shape);
    let bytes = layout.stored * size_of::<Affine<P, N, L>>();
    let together = (POINTS_BYTES / bytes).clamp(TOGETHER[0], TOGETHER[1]);
    let mut answers = Vec::with_capacity(items.len());
    for items in items.chunks(LANES * together) {
        answers.extend(hold_together(&field, &layout, &group.order.words, base, items));
    }
    answers
}

/// Where the points of a group of eight items lie.
struct Layout {
    bits: usize,
    shape: Shape,
    /// The base point's windows, then those of class 0, of class 1 …
    base_windows: usize,
    windows: Vec<usize>,
    /// The base point's and class 0, class 1 …
    runs: Vec<Run>,
    /// How many points are stored. Where each class has one window, those of the others are looked up
    /// when they are needed.
    stored: usize,
}

impl Layout {
    fn new(bits: usize, base: Shape, shape: Shape) -> Self {
        let base_windows = base.windows(bits);
        let classes = if shape.anchors(bits) > 1 { shape.classes } else { 1 };
        let mut runs = vec![Run { start: 0, length: base_windows }];
        let mut windows = Vec::new();
        for class in 0..classes {
            let of_class: Vec<_> = (class..shape.windows(bits)).step_by(shape.classes).collect();
            if class > 0 {
                runs.push(Run { start: base_windows + windows.len(), length: 0 });
            }
            runs[class].length += of_class.len();
            windows.extend(of_class);
        }
        let stored = base_windows + windows.len();
        Self { bits, shape, base_windows, windows, runs, stored }
    }
}

/// As holds, with the same divisions for all.
#[target_feature(enable = "avx512f,avx512ifma")]
fn hold_together<P: Prime<N, L>, const N: usize, const L: usize>(
    field: &Field<P, N, L>,
    layout: &Layout,
    order: &Words<N>,
    base: &Table<N>,
    items: &[Item<N>],
) -> Vec<Option<bool>> {
    let &Layout { bits, shape, base_windows, ref windows, ref runs, stored } = layout;
    let groups = items.len().div_ceil(LANES);
    // Lanes without an item repeat the last one.
    let lane = |group: usize, at: usize| &items[(LANES * group + at).min(items.len() - 1)];
    let mut digits = Vec::with_capacity(groups);
    let mut points = Vec::with_capacity(groups * stored);
    for group in 0..groups {
        let u: [_; LANES] = std::array::from_fn(|at| Digits::new(&lane(group, at).u, order));
        let v: [_; LANES] = std::array::from_fn(|at| Digits::new(&lane(group, at).v, order));
        for window in 0..base_windows {
            points.push(look_up(window, &u, bits, |_| base));
        }
        for &window in windows {
            points.push(look_up(window, &v, bits, |at| lane(group, at).table));
        }
        digits.push(v);
    }
    let mut refused = vec![0; groups];
    field.sum_runs(&mut points, runs, stored, &mut refused);
    let mut answers = Vec::with_capacity(groups * LANES);
    for (group, points) in points.chunks_exact(stored).enumerate() {
        let sum_of = |class: usize| match runs.get(class) {
            Some(run) => points[run.start],
            None => look_up(class, &digits[group], bits, |at| lane(group, at).table),
        };
        let highest = sum_of(shape.classes - 1);
        let mut sum = Jacobian { x: highest.x, y: highest.y, z: field.one };
        for class in (0..shape.classes - 1).rev() {
            for _ in 0..shape.width {
                sum = field.double(&sum);
            }
            sum = field.add(&sum, &sum_of(class));
        }
        let z_square = sum.z.square();
        refused[group] |= z_square.zeros();
        let candidates = std::array::from_fn(|at| lane(group, at).r);
        let holds = field.has_x(&sum.x, &z_square, candidates, order);
        for at in 0..LANES {
            let bit = 1 << at;
            answers.push((refused[group] & bit == 0).then_some(holds & bit != 0));
        }
    }
    answers.truncate(items.len());
    answers
}

impl<P: Prime<N, L>, const N: usize, const L: usize> Field<'_, P, N, L> {
    /// Returns in which lanes x is r modulo the order, times z²: r, r plus the order, and so on, as
    /// long as that is below p.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn has_x(
        &self,
        x: &Number<P, N, L>,
        z_square: &Number<P, N, L>,
        mut candidates: [Words<N>; LANES],
        order: &Words<N>,
    ) -> __mmask8 {
        let mut holds = 0;
        let mut possible: __mmask8 = 0xff;
        while possible != 0 {
            let expected = Number::from_words(&candidates).times(&self.into);
            holds |= possible & expected.raw_product(z_square).minus(x).positive().zeros();
            for (at, candidate) in candidates.iter_mut().enumerate() {
                let (next, is_past) = modular::add(candidate, order);
                if is_past || !modular::is_below(&next, &self.p.words) {
                    possible &= !(1 << at);
                } else {
                    *candidate = next;
                }
            }
        }
        holds
    }
}

/// Returns the points of a window, one a lane, of tables of one shape.
#[target_feature(enable = "avx512f,avx512ifma")]
fn look_up<'a, P: Prime<N, L>, const N: usize, const L: usize>(
    window: usize,
    digits: &[Digits<N>; LANES],
    bits: usize,
    table: impl Fn(usize) -> &'a Table<N>,
) -> Affine<P, N, L> {
    let shape = table(0).shape;
    let mut points: [&[Line]; LANES] = [&[]; LANES];
    let mut turned = 0;
    for at in 0..LANES {
        let is_last = window + 1 == shape.windows(bits);
        let (multiple, is_negative) = digits[at].digit(window, shape.width, is_last);
        let place = shape.place(window, multiple);
        points[at] = &table(at).lines[lines::<N>() * place..][..lines::<N>()];
        turned |= u8::from(is_negative) << at;
    }
    // Of more lines than any point has, by lines, so that no place is computed while it runs.
    let mut columns = [[_mm512_setzero_si512(); LANES]; MOST_LINES];
    for (line, columns) in columns.iter_mut().enumerate().take(lines::<N>()) {
        let mut rows = [_mm512_setzero_si512(); LANES];
        for (row_at, point) in rows.iter_mut().zip(&points) {
            *row_at = row(&point[line].0);
        }
        *columns = transpose(rows);
    }
    let columns = columns.as_flattened();
    let x = Number::unpack(&columns[..N], 1.0);
    let y = Number::unpack(&columns[N..2 * N], 1.0);
    Affine { x, y: y.negated_where(turned) }
}

/// Returns tables of points of the group, in order, whose coordinates are as the group's p encodes
/// them. None if a multiple is infinity, as none is in a group of large prime order.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn tables<P: Prime<N, L>, const N: usize, const L: usize>(
    group: &Group<N>,
    constants: &Constants<N>,
    shape: Shape,
    points: &[[Words<N>; 2]],
) -> Option<Vec<Table<N>>> {
    let field = Field::<P, N, L>::new(group, constants);
    let p = &group.curve.p;
    let anchors = shape.anchors(constants.bits);
    let mut shifted = Vec::new();
    for points in points.chunks(LANES) {
        let point = |at: usize| &points[at.min(points.len() - 1)];
        let [x, y] = [0, 1].map(|coordinate| {
            let plain = std::array::from_fn(|at| p.decode(&point(at)[coordinate]));
            Number::from_words(&plain).raw_product(&field.into).settled()
        });
        let mut anchor = Jacobian { x, y, z: field.one };
        for at in 0..anchors {
            if at > 0 {
                for _ in 0..shape.width * shape.classes {
                    anchor = field.double(&anchor);
                }
            }
            shifted.push(anchor);
        }
    }
    let multiples = field.odd_multiples(field.affine(&shifted)?, 1 << (shape.width - 1))?;
    let mut tables = Vec::new();
    for (points, multiples) in
        points.chunks(LANES).zip(multiples.chunks_exact(shape.points(constants.bits)))
    {
        let count = multiples.len() * lines::<N>();
        let mut of_lanes: [Vec<_>; LANES] = std::array::from_fn(|_| Vec::with_capacity(count));
        for multiple in multiples {
            let (x, y) = (multiple.x.to_words(), multiple.y.to_words());
            for (at, of_lane) in of_lanes.iter_mut().enumerate() {
                let word =
                    |place: usize| [&x[at], &y[at]].get(place / N).map_or(0, |n| n[place % N]);
                let line = |line| Line(std::array::from_fn(|at| word(LANES * line + at)));
                of_lane.extend((0..lines::<N>()).map(line));
            }
        }
        let made = of_lanes.into_iter().take(points.len());
        tables.extend(made.map(|lines| Table { shape, lines: lines.into(), words: PhantomData }));
    }
    Some(tables)
}

impl<P: Prime<N, L>, const N: usize, const L: usize> Field<'_, P, N, L> {
    /// Returns the same points in affine coordinates. None if one is infinity.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn affine(&self, points: &[Jacobian<P, N, L>]) -> Option<Vec<Affine<P, N, L>>> {
        let mut inverses: Vec<_> = Vec::with_capacity(points.len());
        for point in points {
            inverses.push(point.z);
        }
        if !self.invert_all(&mut inverses) {
            return None;
        }
        let mut affine = Vec::with_capacity(points.len());
        for (point, inverse) in points.iter().zip(&inverses) {
            let square = inverse.square();
            let y = point.y.times(&square.times(inverse));
            affine.push(Affine { x: point.x.times(&square), y });
        }
        Some(affine)
    }

    /// Returns so many odd multiples of each point, side by side: a power of two. From the lowest half
    /// of them and twice the highest power of two, the other half is made by one addition each.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn odd_multiples(
        &self,
        points: Vec<Affine<P, N, L>>,
        count: usize,
    ) -> Option<Vec<Affine<P, N, L>>> {
        let (mut made, mut powers) = (points.clone(), points);
        let mut each = 1;
        while each < count {
            // The power is the double of the last one: 2, 4, 8 … times each point.
            let mut inverses = Vec::with_capacity(powers.len());
            for power in &powers {
                inverses.push(power.y.plus(&power.y).carried());
            }
            if !self.invert_all(&mut inverses) {
                return None;
            }
            for (power, inverse) in powers.iter_mut().zip(&inverses) {
                *power = self.double_affine(power, inverse);
            }
            let mut inverses = Vec::with_capacity(made.len());
            for (multiples, power) in made.chunks_exact(each).zip(&powers) {
                for multiple in multiples {
                    inverses.push(power.x.minus(&multiple.x).positive());
                }
            }
            if !self.invert_all(&mut inverses) {
                return None;
            }
            let mut more = Vec::with_capacity(2 * made.len());
            let of_each = made.chunks_exact(each).zip(inverses.chunks_exact(each));
            for ((multiples, inverses), power) in of_each.zip(&powers) {
                more.extend_from_slice(multiples);
                for (multiple, inverse) in multiples.iter().zip(inverses) {
                    more.extend(self.add_affine([[multiple, power]], [inverse]));
                }
            }
            (made, each) = (more, 2 * each);
        }
        Some(made)
    }
}
